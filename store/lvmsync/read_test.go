package lvmsync

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
)

// record is a record as lvmsync writes it.
func record(offset uint64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, offset)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// readAll writes all that a reader has to an image.
func readAll(r *Reader, image []byte) error {
	var w apply.Window
	defer w.Free()
	for {
		if err := r.Next(&w); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		end := format.Bytes(0)
		for _, p := range w.Pieces {
			if p.Offset < end {
				return errors.New("pieces of a window are not in order")
			}
			copy(image[p.Offset:], p.Data)
			end = p.Offset + format.Bytes(len(p.Data))
		}
	}
}

// TestRead reads streams of records in any order, some longer than a window, and some over each other: what comes later
// counts.
func TestRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 1))
	for range 20 {
		want, got := make([]byte, 8<<20), make([]byte, 8<<20)
		var stream []byte
		for range 1 + rng.IntN(30) {
			length := 512 * (1 + rng.IntN(40))
			if rng.IntN(8) == 0 {
				length = 512 * (4000 + rng.IntN(3000))
			}
			offset := 512 * rng.IntN((len(want)-length)/512+1)
			data := bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, length)
			copy(want[offset:], data)
			stream = append(stream, record(uint64(offset), data)...)
		}
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)), format.Bytes(len(want)))
		if err := readAll(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the image is not what it should be (%v)", err)
		}
		if r.at != format.Bytes(len(Banner)+len(stream)) {
			t.Errorf("it is at byte %d of %d", r.at, len(Banner)+len(stream))
		}
	}
}

// TestReadCut cuts a stream at every byte: between records, nobody can tell.
func TestReadCut(t *testing.T) {
	first, second := record(512, make([]byte, 512)), record(2048, make([]byte, 1024))
	all := append(bytes.Clone(first), second...)
	for n := range len(all) + 1 {
		if n%512 > 40 { // within data, one byte is like the next
			continue
		}
		err := readAll(NewReader(bytes.NewReader(all[:n]), 4096), make([]byte, 4096))
		whole := n == 0 || n == len(first) || n == len(all)
		var cut *CutError
		if whole != (err == nil) || !whole && (!errors.As(err, &cut) || cut.At != format.Bytes(len(Banner)+n)) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// TestRefusals: a record that cannot be of the device, and banners.
func TestRefusals(t *testing.T) {
	for want, x := range map[string][]byte{
		"not whole sectors": record(100, make([]byte, 512)),
		"past its end":      record(4096, make([]byte, 512)),
		"past its end ":     record(1<<63, make([]byte, 512)),
		"not whole":         record(0, nil),
		" whole sectors":    record(0, make([]byte, 100)),
	} {
		err := readAll(NewReader(bytes.NewReader(x), 4096), make([]byte, 4096))
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for head, want := range map[string]bool{Banner: true, "lvmsync PROTO[2]\n": true, "SnAp": false, "": false, "lvmsync": false} {
		is, err := Begins([]byte(head))
		if is != want || (err != nil) != strings.Contains(head, "[2]") {
			t.Errorf("%q: %v, %v", head, is, err)
		}
	}
}
