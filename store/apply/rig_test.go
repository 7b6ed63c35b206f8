package apply_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
	"dmcow/store/look"
	"dmcow/store/undo"
)

const sector = int(format.SectorSize)

// pair is a target as it is and as it is to be, and the delta that makes one of the other.
type pair struct {
	base, source []byte
	chunk        int // bytes
	kind         delta.Kind
}

// newPair is a base of so many sectors, of which about half the chunks differ in the source: in some sectors, or in all.
func newPair(rng *rand.Rand, chunk, sectors int) *pair {
	p := &pair{base: make([]byte, sectors*sector), chunk: chunk * sector, kind: delta.Forward}
	for s := range sectors {
		if rng.IntN(4) > 0 { // others are zero
			scribble(rng, p.base[s*sector:][:sector])
		}
	}
	p.source = bytes.Clone(p.base)
	for old := range p.chunks() {
		if c := p.of(p.source, old); rng.IntN(2) == 0 {
			change(rng, c)
		}
	}
	return p
}

func scribble(rng *rand.Rand, sectorData []byte) {
	for i := range sectorData[:16] {
		sectorData[i] = byte(rng.Uint32())
	}
}

// change changes some sectors of a chunk, one at least.
func change(rng *rand.Rand, c []byte) {
	must := rng.IntN(len(c) / sector)
	for s := range len(c) / sector {
		if data := c[s*sector:][:sector]; s == must || rng.IntN(2) == 0 {
			scribble(rng, data)
		}
	}
}

func (p *pair) chunks() int { return (len(p.base) + p.chunk - 1) / p.chunk }

// of is a chunk of an image.
func (p *pair) of(image []byte, old int) []byte {
	return image[old*p.chunk : min((old+1)*p.chunk, len(image))]
}

// differ are the chunks that differ.
func (p *pair) differ() []format.OldChunk {
	return deltatest.Differ(uint32(p.chunk/sector), p.base, p.source)
}

// delta is the delta that makes the source of the base.
func (p *pair) delta(t testing.TB) []byte {
	t.Helper()
	return deltatest.Make(t, p.kind, uint32(p.chunk/sector), p.base, p.source)
}

// stream is a delta as it is read.
func stream(from io.Reader) (apply.Source, error) {
	r, err := delta.NewReader(from)
	if err != nil {
		return nil, err
	}
	return apply.Of(r), nil
}

// run applies a delta.
func run(d []byte, target apply.Target, o apply.Options) (apply.Result, error) {
	s, err := stream(bytes.NewReader(d))
	if err != nil {
		return apply.Result{}, err
	}
	return apply.Run(s, target, o)
}

// narrow is a stream in windows of few pieces, so that small targets have many. All of it was verified.
type narrow struct {
	pieces []apply.Piece
	n      int
}

// narrowed is a delta in windows of n chunks.
func narrowed(t testing.TB, d []byte, n int) *narrow {
	t.Helper()
	s, err := stream(bytes.NewReader(d))
	if err != nil {
		t.Fatal(err)
	}
	out := &narrow{n: n}
	for {
		var w apply.Window
		err := s.Next(&w)
		if err == io.EOF {
			return out
		}
		if err == nil {
			err = s.Check(&w)
		}
		if err != nil {
			t.Fatal(err)
		}
		out.pieces = append(out.pieces, w.Pieces...)
	}
}

func (s *narrow) again() *narrow { return &narrow{s.pieces, s.n} }

func (s *narrow) Next(w *apply.Window) error {
	if len(s.pieces) == 0 {
		return io.EOF
	}
	n := min(s.n, len(s.pieces))
	w.Pieces, s.pieces = append(w.Pieces[:0], s.pieces[:n]...), s.pieces[n:]
	return nil
}

func (s *narrow) Check(*apply.Window) error { return nil }
func (s *narrow) Add(*apply.Window)         {}
func (s *narrow) End() error                { return nil }

// rig is a target and an undo log, two devices in one memory.
type rig struct {
	all         *devicetest.Memory
	target, log *devicetest.Part
}

// logBytes is how long the undo log may become.
const logBytes = 1 << 20

func newRig(base []byte) *rig {
	all := devicetest.New(int64(len(base)) + logBytes)
	all.Put(0, base)
	return on(all, int64(len(base)))
}

// on finds the devices of a rig in a memory.
func on(all *devicetest.Memory, target int64) *rig {
	r := &rig{all: all, target: all.Part(0, target), log: all.Part(target, logBytes)}
	if id, err := look.Identify(r.log, look.FreshGeometry(r.log)); err != nil || id.State != look.Valid {
		r.log.Resize(0)
	}
	return r
}

func (r *rig) in(all *devicetest.Memory) *rig { return on(all, r.target.Size()) }

// undo opens the undo log, or begins one.
func (r *rig) undo(chunk uint32) (*undo.Log, error) {
	grow := func(size format.Bytes) error {
		r.log.Resize(max(r.log.Size(), int64(size)))
		return nil
	}
	if r.log.Size() > 0 {
		return undo.Open(r.log, r.target, undo.Options{Grow: grow})
	}
	g, err := format.NewGeometry(chunk)
	if err != nil {
		return nil, err
	}
	return undo.New(r.log, r.target, g, undo.Options{Grow: grow})
}

// kept applies a stream with an undo log.
func (r *rig) kept(s apply.Source, chunk uint32) (apply.Result, error) {
	u, err := r.undo(chunk)
	if err != nil {
		return apply.Result{}, err
	}
	explain := func(all []undo.Stretch) ([]bool, error) { return undo.Explain(r.log, all) }
	result, err := apply.Run(s, r.target, apply.Options{Undo: u, Explain: explain})
	return result, errors.Join(err, u.Close())
}
