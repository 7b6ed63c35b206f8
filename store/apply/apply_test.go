package apply_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
	"dmcow/store/delta"
)

// TestRun: a delta makes the source of the base, and run again writes nothing. What a look says is what is done.
func TestRun(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		chunk := 1 << rng.IntN(11)
		p := newPair(rng, chunk, 1+rng.IntN(min(9000, 40*chunk)))
		d, target := p.delta(t), devicetest.Of(p.base).Part(0, int64(len(p.base)))
		s, err := stream(bytes.NewReader(d))
		if err != nil {
			t.Fatal(err)
		}
		foreseen, err := apply.Look(s, target, apply.Options{})
		if err != nil || !target.Holds(p.base) {
			t.Fatalf("seed %d: a look: %v", seed, err)
		}
		done, err := run(d, target, apply.Options{})
		if err != nil || !target.Holds(p.source) {
			t.Fatalf("seed %d: the target is not what it should be (%v)", seed, err)
		}
		n := uint64(len(p.differ()))
		if done != foreseen || done.Pieces != n || done.Written != n || done.Upto != format.Bytes(len(p.base)) {
			t.Errorf("seed %d: %+v, foreseen %+v; %d chunks differ", seed, done, foreseen, n)
		}
		again, err := run(d, target, apply.Options{})
		if err != nil || !target.Holds(p.source) || again.Changed() || again.Held != n {
			t.Errorf("seed %d: again: %+v, %v", seed, again, err)
		}
	}
}

// TestForeign: a chunk that holds neither content is refused with its place, and nothing of its window is written; what
// comes before is. With Force all is written.
func TestForeign(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 2))
	for range 60 {
		p := newPair(rng, 2, 100)
		differ := p.differ()
		source := narrowed(t, p.delta(t), 1+rng.IntN(6))
		bad := rng.IntN(len(differ))
		base := bytes.Clone(p.base)
		c := p.of(base, int(differ[bad]))
		for bytes.Equal(c, p.of(p.base, int(differ[bad]))) || bytes.Equal(c, p.of(p.source, int(differ[bad]))) {
			scribble(rng, c[rng.IntN(2)*sector:])
		}
		target := devicetest.Of(base).Part(0, int64(len(base)))
		_, err := apply.Look(source.again(), target, apply.Options{})
		var foreign *apply.ForeignError
		if !errors.As(err, &foreign) || foreign.Offset != format.Bytes(int(differ[bad])*p.chunk) || foreign.Gap {
			t.Fatalf("chunk %d: %v", differ[bad], err)
		}
		if _, err = apply.Run(source.again(), target, apply.Options{}); !errors.As(err, &foreign) {
			t.Fatalf("chunk %d: %v", differ[bad], err)
		}
		want := bytes.Clone(base)
		for _, old := range differ[:bad/source.n*source.n] {
			copy(p.of(want, int(old)), p.of(p.source, int(old)))
		}
		if !target.Holds(want) {
			t.Fatal("the target holds something else than what the windows before have")
		}
		result, err := apply.Run(source.again(), target, apply.Options{Force: true})
		if err != nil || !target.Holds(p.source) || result.Foreign+result.Torn != 1 {
			t.Fatalf("forced: %+v, %v", result, err)
		}
	}
}

// TestChain: deltas of which one makes what the other replaces are applied in order. In the wrong order, the target is
// refused, or what is written is right all the same.
func TestChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 3))
	refused := 0
	for range 60 {
		first := newPair(rng, 1+rng.IntN(2), 60)
		second := &pair{base: first.source, source: bytes.Clone(first.source), chunk: first.chunk, kind: delta.Forward}
		for old := range second.chunks() {
			if rng.IntN(8) == 0 {
				change(rng, second.of(second.source, old))
			}
		}
		d1, d2 := first.delta(t), second.delta(t)
		target := devicetest.Of(first.base).Part(0, int64(len(first.base)))
		if _, err := run(d2, target, apply.Options{}); err != nil {
			refused++
			if !errors.As(err, new(*apply.ForeignError)) || !target.Holds(first.base) { // it is one window
				t.Fatal(err)
			}
		}
		for _, d := range [][]byte{d1, d2} {
			if _, err := run(d, target, apply.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if !target.Holds(second.source) {
			t.Error("the target is not what it should be")
		}
	}
	if refused == 0 {
		t.Error("no wrong order was refused")
	}
}

// TestEveryPrefix applies every beginning of a delta from a stream: nothing but whole chunks is written, the error says
// so, and the whole delta then ends well.
func TestEveryPrefix(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 4))
	p := newPair(rng, 1, 16)
	d := p.delta(t)
	for n := range len(d) {
		target := devicetest.Of(p.base).Part(0, int64(len(p.base)))
		_, err := run(d[:n], target, apply.Options{})
		if !errors.As(err, new(*delta.CutError)) {
			t.Fatalf("%d bytes of %d: %v", n, len(d), err)
		}
		if err := p.between(target.Image()); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if n%64 > 0 {
			continue
		}
		if _, err := run(d, target, apply.Options{}); err != nil || !target.Holds(p.source) {
			t.Fatalf("%d bytes, then all: %v", n, err)
		}
	}
}

// between wants every chunk of an image to be the base's or the source's.
func (p *pair) between(image []byte) error {
	for old := range p.chunks() {
		c := p.of(image, old)
		if !bytes.Equal(c, p.of(p.base, old)) && !bytes.Equal(c, p.of(p.source, old)) {
			return errors.New("a chunk of the target is neither content")
		}
	}
	return nil
}

// TestEveryByte damages every byte of a delta in turn: that is found, or changes nothing of what is written.
func TestEveryByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 5))
	p := newPair(rng, 1, 16)
	d := p.delta(t)
	found := 0
	for n := range d {
		damaged := bytes.Clone(d)
		damaged[n] ^= 1 << rng.IntN(8)
		target := devicetest.Of(p.base).Part(0, int64(len(p.base)))
		_, err := run(damaged, target, apply.Options{Force: true}) // which must not help
		if err != nil {
			found++
		}
		if bad := p.between(target.Image()); bad != nil {
			t.Fatalf("byte %d: %v (%v)", n, bad, err)
		}
		if err == nil && !target.Holds(p.source) {
			t.Fatalf("byte %d: no error, and the target is not what it should be", n)
		}
	}
	if found < len(d) {
		t.Errorf("%d of %d damaged bytes were found", found, len(d))
	}
}
