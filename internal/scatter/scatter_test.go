package scatter_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"dmcow/internal/scatter"
)

// quilt has its bytes on two readers in turn, three of each and then two zeros, by offset.
type quilt struct{ a, b io.ReaderAt }

func (q quilt) Run(offset, _ int64) (scatter.Run, error) {
	row, at := offset/8, offset%8
	switch {
	case at < 3:
		return scatter.Run{On: q.a, At: 3*row + at, Length: 3 - at}, nil
	case at < 6:
		return scatter.Run{On: q.b, At: 3*row + at - 3, Length: 6 - at}, nil
	}
	return scatter.Run{Length: 8 - at}, nil
}

// TestReadAt: each byte comes from where the map has it, whatever piece is read.
func TestReadAt(t *testing.T) {
	d := scatter.New(quilt{strings.NewReader("abcdefghi"), strings.NewReader("ABCDEFGHI")}, 23)
	want := "abcABC\x00\x00defDEF\x00\x00ghiGHI\x00"
	for from := range 25 {
		for to := from; to < 27; to++ {
			p := bytes.Repeat([]byte{'x'}, to-from)
			n, err := d.ReadAt(p, int64(from))
			there := want[min(from, 23):min(to, 23)]
			if n != len(there) || string(p[:n]) != there || (err == nil) != (to <= 23) || err != nil && err != io.EOF {
				t.Errorf("bytes %d to %d: %q, %v; want %q", from, to, p[:n], err, there)
			}
		}
	}
	if n, err := d.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
		t.Errorf("before the beginning: %d, %v", n, err)
	}
	if err := iotest.TestReader(io.NewSectionReader(d, 0, d.Size()), []byte(want)); err != nil {
		t.Error(err)
	}
}

// TestReadAtFaults: what was read before the fault counts.
func TestReadAtFaults(t *testing.T) {
	d := scatter.New(quilt{strings.NewReader("abcdef"), strings.NewReader("ABCD")}, 24)
	n, err := d.ReadAt(make([]byte, 16), 0)
	if n != 12 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "byte 4") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := scatter.New(nowhere{}, 8).ReadAt(make([]byte, 1), 3); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

type nowhere struct{}

func (nowhere) Run(int64, int64) (scatter.Run, error) { return scatter.Run{}, nil }
