package raw

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestStretch: stretches are whole blocks of one kind, but for the last, and together they are all.
func TestStretch(t *testing.T) {
	for _, kinds := range []string{"", "0", "1", "001", "110", "0101", "00001111"} {
		for _, tail := range []int{0, 1, 511, Block - 1} {
			var p []byte
			for _, k := range kinds + "1" {
				block := make([]byte, Block)
				block[Block-1] = byte(k - '0')
				p = append(p, block...)
			}
			p = append(p, make([]byte, tail)...)
			total := 0
			for last := -1; len(p[total:]) > 0; {
				n, zero := Stretch(p[total:])
				if zero != bytes.Equal(p[total:total+n], make([]byte, n)) || n%Block != 0 && total+n < len(p) {
					t.Errorf("%q: %d bytes at %d, zero: %v", kinds, n, total, zero)
				}
				if kind := map[bool]int{false: 0, true: 1}[zero]; kind == last {
					t.Errorf("%q: two stretches of one kind at %d", kinds, total)
				} else {
					last = kind
				}
				total += n
			}
			if total != len(p) {
				t.Errorf("%q: %d of %d bytes", kinds, total, len(p))
			}
		}
	}
}

// TestIsZero: a byte that is not zero is seen wherever it stands.
func TestIsZero(t *testing.T) {
	p := make([]byte, 2*Block+7)
	if !IsZero(p) || !IsZero(nil) {
		t.Error("zeros are none")
	}
	for _, at := range []int{0, Block - 1, Block, 2*Block - 1, 2 * Block, len(p) - 1} {
		p[at] = 1
		if IsZero(p) {
			t.Errorf("byte %d is not seen", at)
		}
		p[at] = 0
	}
}

// TestReadFull: what is short is an error, which says where.
func TestReadFull(t *testing.T) {
	r := strings.NewReader("0123456789")
	p := make([]byte, 4)
	if err := ReadFull(r, p, 6); err != nil || string(p) != "6789" {
		t.Errorf("%q, %v", p, err)
	}
	if err := ReadFull(r, p, 7); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if err := ReadWhere(r, p, 7); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "byte 10: ") {
		t.Error(err)
	}
	if RoundUp(0, 512) != 0 || RoundUp(1, 512) != 512 || RoundUp(512, 512) != 512 || RoundUp(uint64(513), 512) != 1024 {
		t.Error("numbers are not rounded up")
	}
}
