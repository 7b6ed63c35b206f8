package device

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"
)

// TestCopies: what one stripe cannot read is read from its copies, by all ways, and none of it is written.
func TestCopies(t *testing.T) {
	path, content := numbered(t, 8192)
	first := opened(t, path)
	other, _ := numbered(t, 4096)
	second := opened(t, other)
	third, _ := numbered(t, 16384)
	whole := opened(t, third)
	part := Part{Length: 4096, Chunk: 512, Stripes: []Stripe{
		{On: first, Copies: []Stripe{{On: second}, {On: whole}}},
		{On: whole, Start: 8192},
	}}
	d := all(t, []Part{{Length: 512, Stripes: []Stripe{{On: whole, Start: 512}}}, part})
	want := slices.Clone(content[512:1024])
	big, err := os.ReadFile(third)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		want = append(append(want, content[i*512:][:512]...), big[8192+i*512:][:512]...)
	}
	check := func(what string) {
		t.Helper()
		checkReads(t, d, want)
		checkManyReads(t, d, want)
		past, err := d.PastCache()
		if err != nil {
			t.Fatal(what, err)
		}
		checkReads(t, past, want)
		past.Close()
		section, err := d.Section(700, 2000)
		if err != nil {
			t.Fatal(what, err)
		}
		checkReads(t, section, want[700:2700])
	}
	check("all is there")
	for path, left := range map[string]int64{path: 1024, other: 300} { // so that each lacks something else
		if err := os.Truncate(path, left); err != nil {
			t.Fatal(err)
		}
		check("cut")
	}
	if !d.Overlaps(all(t, []Part{{Length: 512, Stripes: []Stripe{{On: second, Start: 1536}}}})) {
		t.Error("does not overlap with a copy")
	}
	if d.Overlaps(all(t, []Part{{Length: 512, Stripes: []Stripe{{On: whole, Start: 2048}}}})) {
		t.Error("overlaps with what is behind a copy")
	}
	if err := os.Truncate(third, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(make([]byte, 512), 512+1024*2); n != 0 || err == nil {
		t.Errorf("%d bytes that are nowhere, %v", n, err)
	}
	fourth, _ := numbered(t, 1024)
	w := openedWritable(t, fourth)
	if _, err := JoinWritable("joined", []Part{{Length: 512, Stripes: []Stripe{{On: &w.Device, Copies: []Stripe{{On: &w.Device}}}}}}); err == nil {
		t.Error("copies are written")
	}
}

// twice is the sum of two devices' bytes.
type twice struct{ a, b io.ReaderAt }

func (s twice) ReadAt(p []byte, at int64) (int, error) {
	q := make([]byte, len(p))
	n, err := s.a.ReadAt(p, at)
	if err == nil {
		n, err = s.b.ReadAt(q, at)
	}
	for i := range p {
		p[i] += q[i]
	}
	return n, err
}

// TestComputed: a device that is computed is read, joined from, and on what it is computed from; it is not written.
func TestComputed(t *testing.T) {
	path, content := numbered(t, 8192)
	d := opened(t, path)
	join := func(start, length int64) *Device {
		return all(t, []Part{{Length: length, Stripes: []Stripe{{On: d, Start: start}}}})
	}
	a, b := join(0, 2048), join(4096, 2048)
	sum := Computed("sum", 2048, twice{a, b}, a, b)
	want := make([]byte, 2048)
	for i := range want {
		want[i] = content[i] + content[4096+i]
	}
	checkReads(t, sum, want)
	checkManyReads(t, sum, want)
	j := all(t, []Part{{Length: 1024, Stripes: []Stripe{{On: sum, Start: 512}}}, {Length: 512, Stripes: []Stripe{{On: Zeros("zeros", 512)}}}, {Length: 1024, Stripes: []Stripe{{On: d, Start: 7168}}}})
	joined := slices.Concat(want[512:1536], make([]byte, 512), content[7168:])
	checkReads(t, j, joined)
	checkManyReads(t, j, joined)
	for _, on := range []*Device{sum, j} {
		for start, is := range map[int64]bool{0: true, 2047: true, 2048: false, 4096: true, 6143: true, 6144: false} {
			if on.Overlaps(join(start, 1)) != is {
				t.Errorf("%s: overlaps with byte %d: %v", on.Path(), start, !is)
			}
		}
		on.Lock()
		on.Cached()
		on.Prefetch(0, 512)
		if start, end, err := on.NextData(5); start != 5 || end != on.Size() || err != nil {
			t.Errorf("data from %d to %d, %v", start, end, err)
		}
		if _, _, ok := on.Stretch(); ok {
			t.Error("what is computed is a stretch of a file")
		}
		past, err := on.PastCache()
		if err != nil || past.Close() != nil {
			t.Error(err)
		}
	}
	if _, err := JoinWritable("joined", []Part{{Length: 2048, Stripes: []Stripe{{On: sum}}}}); err == nil {
		t.Error("what is computed is written")
	}
	if s := sum.uses(); len(s.Media) != 1 || len(s.Media[0].Spans) != 2 || len(sum.holds) != 1 {
		t.Errorf("is on %+v, with %d locks", s.Media, len(sum.holds))
	}
	bad := errors.New("bad")
	if n, err := Computed("fails", 512, failing{bad}).ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, bad) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
