package device

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
}

// holed cannot be read at some of its bytes.
type holed struct {
	content []byte
	holes   []int
}

func (h holed) ReadAt(p []byte, at int64) (int, error) {
	for _, hole := range h.holes {
		if at <= int64(hole) && int64(hole) < at+int64(len(p)) {
			return copy(p, h.content[at:hole]), unix.EIO
		}
	}
	return copy(p, h.content[at:]), nil
}

// TestCopiesWithHoles: what is read is put together from copies of which none has all, as often as that takes.
func TestCopiesWithHoles(t *testing.T) {
	_, content := numbered(t, 8192)
	one := Computed("one", 8192, holed{content, []int{1000, 3000, 5000, 7000}})
	join := func(other ...int) *Device {
		two := Computed("two", 8192, holed{content, other})
		return all(t, []Part{{Length: 8192, Stripes: []Stripe{{On: one, Copies: []Stripe{{On: two}}}}}})
	}
	checkReads(t, join(2000, 4000, 6000), content)
	checkManyReads(t, join(2000, 4000, 6000), content)
	p := make([]byte, 8192)
	if n, err := join(2000, 3000).ReadAt(p, 0); n != 3000 || !errors.Is(err, unix.EIO) || !bytes.Equal(p[:n], content[:n]) {
		t.Errorf("with one that both have: %d, %v", n, err)
	}
}

// legsOf are four image files, and a device joined from them: two stripes in chunks of a sector, the first of which
// is kept twice more; behind it, a stretch that is kept on a device that is joined itself, and on a file.
func legsOf(t *testing.T, stale bool) (w *Writable, on []*Writable, paths []string) {
	t.Helper()
	for range 4 {
		path, _ := numbered(t, 16384)
		on, paths = append(on, openedWritable(t, path)), append(paths, path)
	}
	inner := all(t, []Part{{Length: 2048, Chunk: 512, Stripes: []Stripe{{On: &on[1].Device, Start: 8192}, {On: &on[2].Device, Start: 8192}}}})
	w, err := JoinWritable("joined", []Part{
		{Length: 4096, Chunk: 512, Stripes: []Stripe{
			{On: &on[0].Device, Copies: []Stripe{{On: &on[1].Device, Start: 512}, {On: &on[2].Device, Start: 1024}}, Stale: stale},
			{On: &on[3].Device},
		}},
		{Length: 2048, Stripes: []Stripe{{On: Within(inner), Copies: []Stripe{{On: &on[3].Device, Start: 4096}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, on, paths
}

// keptAt is where a sector of such a device is: in which of the files, and at which byte.
func keptAt(sector int) [][2]int {
	switch at := sector / 2 * 512; {
	case sector < 8 && sector%2 == 0:
		return [][2]int{{0, at}, {1, 512 + at}, {2, 1024 + at}}
	case sector < 8:
		return [][2]int{{3, at}}
	default:
		return [][2]int{{1 + sector%2, 8192 + (sector-8)/2*512}, {3, 4096 + (sector-8)*512}}
	}
}

// TestCopiesAreWritten by all ways of writing, wherever they are, and nothing else is.
func TestCopiesAreWritten(t *testing.T) {
	many := func(w *Writable, p []byte, at int64) error {
		_, err := w.WriteMany([][]byte{p[:512], p[512:]}, []int64{at, at + 512})
		return err
	}
	for name, write := range map[string]func(w *Writable, p []byte, at int64) error{
		"at":      func(w *Writable, p []byte, at int64) error { _, err := w.WriteAt(p, at); return err },
		"durably": (*Writable).WriteDurable,
		"many":    many,
		"many, without the kernel": func(w *Writable, p []byte, at int64) error {
			for m := range w.media() {
				m.aio.tried = true
			}
			return many(w, p, at)
		},
		"hole": func(w *Writable, p []byte, at int64) error { clear(p); return w.PunchHole(at, int64(len(p))) },
	} {
		t.Run(name, func(t *testing.T) {
			w, _, paths := legsOf(t, false)
			var want [][]byte
			for _, path := range paths {
				want = append(want, readWhole(t, path))
			}
			p := bytes.Repeat([]byte("written!"), 5*64)
			if err := write(w, p, 512*5); err != nil || w.Sync() != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				for _, on := range keptAt(5 + i) {
					copy(want[on[0]][on[1]:], p[512*i:][:512])
				}
			}
			for i, path := range paths {
				if !bytes.Equal(readWhole(t, path), want[i]) {
					t.Errorf("file %d is not what it should be", i)
				}
			}
			for i, leg := range w.Legs() {
				got := make([]byte, 512*5)
				if _, err := leg.ReadAt(got, 512*5); err != nil || !bytes.Equal(got, p) {
					t.Errorf("leg %d: %v", i, err)
				}
			}
		})
	}
}

func readWhole(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLegs: each leg is read from its own copies, also past the cache; stale ones by nobody else.
func TestLegs(t *testing.T) {
	for _, stale := range []bool{false, true} {
		w, on, paths := legsOf(t, stale)
		past, err := w.PastCache()
		if err != nil {
			t.Fatal(err)
		}
		defer past.Close()
		for _, d := range []*Device{&w.Device, past} {
			legs := d.Legs()
			if len(legs) != 3 {
				t.Fatalf("%d legs", len(legs))
			}
			for i, leg := range legs {
				for sector := range 12 {
					of := keptAt(sector)
					at := of[min(i, len(of)-1)]
					got := make([]byte, 512)
					if _, err := leg.ReadAt(got, int64(sector)*512); err != nil || !bytes.Equal(got, readWhole(t, paths[at[0]])[at[1]:][:512]) {
						t.Errorf("leg %d, sector %d: %v", i, sector, err)
					}
				}
			}
		}
		if legs := on[0].Legs(); len(legs) != 1 || legs[0] != &on[0].Device {
			t.Errorf("a file has %d legs", len(legs))
		}
		if err := os.Truncate(paths[0], 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ReadAt(make([]byte, 512), 0); (err != nil) != stale {
			t.Errorf("stale: %v, read: %v", stale, err)
		}
	}
}

// TestLegFails: where one copy cannot be written, or not durably, the error names it, whichever it is, and the others are
// written.
func TestLegFails(t *testing.T) {
	for i := range 3 {
		for _, many := range []bool{false, true} {
			w, on, paths := legsOf(t, false)
			was := on[i].file
			for m := range w.media() {
				if m.is == on[i].is {
					m.file, _ = os.Open(paths[i])
					defer m.file.Close()
				}
			}
			p := bytes.Repeat([]byte("written!"), 64)
			_, err := w.WriteAt(p, 512*4)
			if many {
				_, err = w.WriteMany([][]byte{p, p}, []int64{512 * 4, 512 * 2})
			}
			if err == nil || !strings.Contains(err.Error(), paths[i]) {
				t.Errorf("leg %d: %v", i, err)
			}
			for j := range 3 {
				at := keptAt(4)[j]
				if wrote := bytes.Equal(readWhole(t, paths[at[0]])[at[1]:][:512], p); wrote != (i != j) {
					t.Errorf("leg %d fails, leg %d is written: %v", i, j, wrote)
				}
			}
			on[i].file = was
		}
		w, on, paths := legsOf(t, false)
		on[i].order.fdatasync = func(int) error { return unix.EIO }
		for what, err := range map[string]error{"sync": w.Sync(), "durable": w.WriteDurable(make([]byte, 512), 0)} {
			if !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), paths[i]) {
				t.Errorf("leg %d, %s: %v", i, what, err)
			}
		}
	}
}

// TestCopiesRefused: what is joined cannot be written where one copy of it cannot, or is not whole blocks.
func TestCopiesRefused(t *testing.T) {
	path, _ := numbered(t, 2048)
	w := openedWritable(t, path)
	other, _ := numbered(t, 2048)
	reading := opened(t, other)
	third, _ := numbered(t, 2048)
	apart := openedWritable(t, third)
	for name, s := range map[string]Stripe{
		"to read":         {On: &w.Device, Copies: []Stripe{{On: reading}}},
		"gone":            {On: &w.Device, Copies: []Stripe{{Gone: errors.New("gone")}}},
		"computed":        {On: &w.Device, Copies: []Stripe{{On: Zeros("zeros", 512)}}},
		"within, to read": {On: Within(all(t, []Part{{Length: 512, Stripes: []Stripe{{On: reading}}}}))},
		"no block":        {On: &w.Device, Copies: []Stripe{{On: &apart.Device, Start: 100}}},
	} {
		if j, err := JoinWritable("joined", []Part{{Length: 512, Stripes: []Stripe{s}}}); err == nil {
			t.Errorf("%s: is written", name)
			j.Close()
		}
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
