package devicetest

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

func TestMemory(t *testing.T) {
	image := make([]byte, 3*pageSize+100)
	for i := range image {
		image[i] = byte(i / 7)
	}
	m := Of(image)
	for _, r := range []Range{{0, 1}, {0, len(image)}, {pageSize - 1, 2}, {5, 2 * pageSize}, {int64(len(image)), 0}} {
		p := make([]byte, r.Length)
		n, err := m.ReadAt(p, r.Offset)
		if n != r.Length || err != nil || !bytes.Equal(p, image[r.Offset:][:r.Length]) {
			t.Errorf("read of %v: %d bytes, %v, or other content", r, n, err)
		}
	}
	for offset, want := range map[int64]int{m.Size() - 3: 3, m.Size(): 0, m.Size() + 9: 0} {
		if n, err := m.ReadAt(make([]byte, 10), offset); n != want || err != io.EOF {
			t.Errorf("read at %d: %d bytes, %v", offset, n, err)
		}
	}
	if m.Active() != 0 || len(m.Reads()) != 8 {
		t.Errorf("%d reads under way, record %v", m.Active(), m.Reads())
	}
}

// TestHolds: a device and its parts hold what they were given, and nothing shorter, longer or else.
func TestHolds(t *testing.T) {
	image := make([]byte, 2*pageSize+100)
	for i := range image {
		image[i] = byte(i / 7)
	}
	m := Of(image)
	clone := m.Clone()
	clone.Put(pageSize-1, image[pageSize-1:][:2]) // what is there already
	part := m.Part(50, pageSize)
	if !m.Holds(image) || !clone.Holds(image) || !part.Holds(image[50:][:pageSize]) {
		t.Error("they do not hold what they were given")
	}
	if m.Holds(image[:len(image)-1]) || m.Holds(append(image, 0)) || part.Holds(image[50:][:pageSize-1]) || part.Holds(image[:pageSize]) {
		t.Error("they hold what is shorter, longer or else")
	}
	clone.Put(pageSize, []byte{image[pageSize] + 1})
	if !m.Holds(image) || clone.Holds(image) || clone.Image()[pageSize] == image[pageSize] {
		t.Error("what was put into a copy is in both, or in none")
	}
}

func TestSparse(t *testing.T) {
	m := New(1 << 50)
	m.Put(1<<49-1, []byte("abc"))
	p := []byte("xxxxx")
	if _, err := m.ReadAt(p, 1<<49-2); err != nil || string(p) != "\x00abc\x00" {
		t.Errorf("%q, %v", p, err)
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	nth := &NthOp{N: 1, Err: broken}
	for _, c := range []struct {
		fault func(Op) (int, error)
		want  []int // bytes read at 0, 1, 2, 3, 4; fewer than 3 with the error
	}{
		{nth.Fault, []int{3, 0, 3, 3, 3}},
		{BadByte(3, broken), []int{3, 2, 1, 0, 3}},
		{(&NthOp{N: 5}).Fault, []int{3, 3, 3, 3, 3}},
	} {
		m := Of([]byte("0123456789"))
		m.Fault = c.fault
		var got []int
		for i := range int64(5) {
			n, err := m.ReadAt(make([]byte, 3), i)
			if (err == broken) != (n < 3) {
				t.Errorf("read at %d: %d bytes, %v", i, n, err)
			}
			got = append(got, n)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("read %v, want %v", got, c.want)
		}
	}
	if !nth.Failed() || (&NthOp{N: 5}).Failed() {
		t.Error("NthOp does not know whether it failed")
	}
}
