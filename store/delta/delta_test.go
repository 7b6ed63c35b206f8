package delta_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/naive"
	"dmcow/store/delta"
)

// pair is what a delta is made of.
type pair struct {
	base, source []byte
	head         delta.Head
	chunks       []format.OldChunk
}

// newPair is a base of size bytes, and a source that differs from it in each of differ of a thousand chunks. Runs
// of equal content and of zeros are among both.
func newPair(t testing.TB, rng *rand.Rand, sectors uint32, size, differ int) *pair {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	chunk := int(g.ChunkBytes())
	p := &pair{base: make([]byte, size)}
	p.head = delta.Head{Kind: delta.Forward, Geometry: g, Size: format.Bytes(size)}
	p.head.Base = delta.Side{Name: "vg0/monday", UUID: "abc-def", Moment: 1700000000}
	p.head.Source = delta.Side{Name: "vg0/root"}
	scribble := func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	for at := 0; at < size; at += chunk {
		if c := p.base[at:min(at+chunk, size)]; rng.IntN(3) > 0 {
			scribble(c[:min(len(c), 64)])
		}
	}
	p.source = bytes.Clone(p.base)
	for old := range (size + chunk - 1) / chunk {
		if rng.IntN(1000) >= differ {
			continue
		}
		c := p.source[old*chunk : min((old+1)*chunk, size)]
		if c[len(c)-1]++; rng.IntN(4) == 0 {
			clear(c)
		}
		if !bytes.Equal(c, p.base[old*chunk:][:len(c)]) {
			p.chunks = append(p.chunks, format.OldChunk(old))
			p.head.Bytes += format.Bytes(len(c))
		}
	}
	p.head.Count = uint64(len(p.chunks))
	return p
}

func (p *pair) writer() *delta.Writer {
	return &delta.Writer{Head: p.head, Base: bytes.NewReader(p.base), Source: bytes.NewReader(p.source), Chunks: slices.Values(p.chunks)}
}

func (p *pair) delta(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.writer().Stream(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// apply reads a delta, and writes its data over the image. It returns the error with which that ended.
func apply(from io.Reader, image []byte) (delta.Head, error) {
	r, err := delta.NewReader(from)
	if err != nil {
		return delta.Head{}, err
	}
	var w delta.Window
	for {
		err := r.Next(&w)
		if err == io.EOF {
			return r.Head(), r.End()
		}
		if err == nil {
			err = w.Check()
		}
		if err != nil {
			return r.Head(), err
		}
		r.Add(&w)
		for _, c := range w.Chunks {
			copy(image[int(c.Old)*int(r.Head().Geometry.ChunkBytes()):], c.Data)
		}
	}
}

// sizes are chunk sizes in sectors, with devices of which several stripes differ, or more than is read ahead, where that
// does not take long.
var sizes = []struct {
	sectors uint32
	chunks  int
}{{1, 1500}, {2, 700}, {8, 700}, {16, 300}, {32, 100}, {128, 60}, {1024, 8}}

// TestRoundTrip: a delta makes the source of the base; as a store it is sound, and its view of the base is the source, by
// a reader that knows nothing of deltas. The same contents give the same bytes.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := sizes[rng.IntN(len(sizes))]
		size := rng.IntN(s.chunks)*int(s.sectors)*format.SectorSize + (1+rng.IntN(int(s.sectors)))*format.SectorSize
		p := newPair(t, rng, s.sectors, size, []int{0, 10, 500, 1000}[rng.IntN(4)])
		d := p.delta(t)
		if format.Bytes(len(d)) != p.head.Layout().Size() || !bytes.Equal(d, p.delta(t)) {
			t.Fatalf("seed %d: the delta has %d bytes, not %d, or others the second time", seed, len(d), p.head.Layout().Size())
		}
		image := bytes.Clone(p.base)
		h, err := apply(bytes.NewReader(d), image)
		if err != nil || h != p.head || !bytes.Equal(image, p.source) {
			t.Fatalf("seed %d: %v: %+v; want %+v", seed, err, h, p.head)
		}
		if view, err := naive.Of(d).View(p.base); err != nil || !bytes.Equal(view, p.source) {
			t.Fatalf("seed %d: the view of the store is not the source (%v)", seed, err)
		}
		checkSound(t, d, p)
	}
}

// checkSound wants a delta to be a sound store.
func checkSound(t *testing.T, d []byte, p *pair) {
	t.Helper()
	r, err := check.Make(check.Options{Device: cow(d), Origin: p.head.Size, Content: bytes.NewReader(p.base)})
	if err != nil || r.Outcome() != check.Sound || r.Exceptions != p.head.Count {
		t.Fatalf("check: %v, %v, %d exceptions; want %d", err, r.Outcome(), r.Exceptions, p.head.Count)
	}
	for _, x := range r.Tallies {
		if x.Rule != check.LeakedChunks && x.Rule != check.Full {
			t.Errorf("check: %s: %s", x.Name, x.Findings[0].Message())
		}
	}
	h, err := delta.Find(cow(d))
	if err != nil || h != p.head {
		t.Errorf("found: %v, %+v", err, h)
	}
}

// cow is an image as a COW device.
type cow []byte

func (c cow) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(c).ReadAt(p, at) }
func (c cow) Size() int64                            { return int64(len(c)) }
func (c cow) LogicalBlockSize() int64                { return format.SectorSize }

// TestKinds: what the beginning says comes back, of long names the end.
func TestKinds(t *testing.T) {
	long := string(bytes.Repeat([]byte("/directory"), 500)) + "/image"
	for _, kind := range []delta.Kind{delta.Forward, delta.Back, delta.Between, delta.Full} {
		p := newPair(t, rand.New(rand.NewPCG(1, uint64(kind))), 1, 20000, 500)
		p.head.Kind, p.head.AllChunks = kind, kind == delta.Between
		p.head.Source = delta.Side{Name: long, UUID: "x", Moment: -5}
		w := p.writer()
		if kind == delta.Full {
			w.Base = nil
			p.base = make([]byte, len(p.base))
		}
		var b bytes.Buffer
		if err := w.Stream(&b); err != nil {
			t.Fatal(err)
		}
		want := p.head
		want.Source.Name = long[len(long)-delta.MaxName:]
		if h, err := delta.Check(&b, nil); err != nil || h != want {
			t.Errorf("%v: %+v; want %+v", err, h, want)
		}
	}
}

// TestRefused: chunks that are too large, or that are fewer or more than was said.
func TestRefused(t *testing.T) {
	p := newPair(t, rand.New(rand.NewPCG(3, 3)), 1, 50000, 500)
	for name, x := range map[string]struct {
		change func(*delta.Writer)
		want   error
	}{
		"fewer": {func(w *delta.Writer) { w.Count++ }, delta.ErrChunks},
		"more":  {func(w *delta.Writer) { w.Count-- }, delta.ErrChunks},
		"large": {func(w *delta.Writer) { w.Geometry, _ = format.NewGeometry(2 * delta.MaxChunk) }, delta.ErrChunk},
	} {
		w := p.writer()
		x.change(w)
		if err := w.Stream(io.Discard); !errors.Is(err, x.want) {
			t.Errorf("%s: %v; want %v", name, err, x.want)
		}
	}
}

// TestVisit: progress rises, and its error ends the work of writer and check.
func TestVisit(t *testing.T) {
	p := newPair(t, rand.New(rand.NewPCG(4, 4)), 8, 4<<20, 900)
	stop := errors.New("stop")
	for _, limit := range []format.Bytes{0, 1 << 20, 8 << 20} {
		last := format.Bytes(0)
		visit := func(n format.Bytes) error {
			if n <= last {
				t.Errorf("%d bytes after %d", n, last)
			}
			if last = n; n > limit {
				return stop
			}
			return nil
		}
		w := p.writer()
		w.Visit = visit
		wrong := limit < 4<<20
		if err := w.Stream(io.Discard); errors.Is(err, stop) != wrong {
			t.Errorf("up to %d: %v", limit, err)
		}
		last = 0
		if _, err := delta.Check(bytes.NewReader(p.delta(t)), visit); errors.Is(err, stop) != wrong {
			t.Errorf("check up to %d: %v", limit, err)
		}
	}
}

// TestReadTwice: a stripe whose data is read twice, and is more than is read ahead.
func TestReadTwice(t *testing.T) {
	for _, chunks := range []int{1, 48, 49, 100} {
		p := newPair(t, rand.New(rand.NewPCG(6, uint64(chunks))), 128, chunks*64<<10, 1000)
		image := bytes.Clone(p.base)
		if _, err := apply(bytes.NewReader(p.delta(t)), image); err != nil || !bytes.Equal(image, p.source) {
			t.Errorf("%d chunks: %v", chunks, err)
		}
	}
}
