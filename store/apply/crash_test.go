package apply_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store/apply"
	"dmcow/store/delta"
)

var errKilled = errors.New("killed")

// TestCrash cuts the application of a delta off at every point, with any of what was not synced written. Run again, it
// ends well; or it refuses a chunk that is torn while all the others of its window are what they were, where
// nothing proves that. Then nothing more was written of that window, and with Force it ends well.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 6))
	states, refusals := 0, 0
	for range 3 {
		p := newPair(rng, 4, 60)
		source, r := narrowed(t, p.delta(t), 3), newRig(p.base)
		record := r.all.Record()
		if _, err := apply.Run(source.again(), r.target, apply.Options{}); err != nil {
			t.Fatal(err)
		}
		record.Mark("done")
		for crash := range record.Crashes(60, rng) {
			states++
			now := r.in(crash.Device())
			if len(crash.Marks) > 0 && !now.target.Holds(p.source) {
				t.Fatalf("%v: it was done, and is not", crash)
			}
			before := now.target.Image()
			_, err := apply.Run(source.again(), now.target, apply.Options{})
			var foreign *apply.ForeignError
			if errors.As(err, &foreign) {
				refusals++
				if bad := p.unproved(source, before, foreign); bad != nil {
					t.Fatalf("%v: %v, and %v", crash, err, bad)
				}
				_, err = apply.Run(source.again(), now.target, apply.Options{Force: true})
			}
			if err != nil || !now.target.Holds(p.source) {
				t.Fatalf("%v: again: %v", crash, err)
			}
		}
	}
	t.Logf("%d states, %d refused", states, refusals)
	if refusals == 0 || refusals == states {
		t.Errorf("%d of %d states were refused", refusals, states)
	}
}

// unproved wants a refusal to be of a chunk that is torn, in a window whose other chunks are all what they were.
func (p *pair) unproved(source *narrow, image []byte, refused *apply.ForeignError) error {
	for first := 0; first < len(source.pieces); first += source.n {
		window := source.pieces[first:min(first+source.n, len(source.pieces))]
		if refused.Offset < window[0].Offset || refused.Offset > window[len(window)-1].Offset {
			continue
		}
		for _, x := range window {
			now, old, new := p.of(image, int(x.Old)), p.of(p.base, int(x.Old)), p.of(p.source, int(x.Old))
			switch {
			case x.Offset == refused.Offset && (bytes.Equal(now, old) || bytes.Equal(now, new)):
				return errors.New("it is what it must be")
			case bytes.Equal(now, new):
				return fmt.Errorf("chunk %d proves it", x.Old)
			}
		}
		return nil
	}
	return errors.New("it is in no window")
}

// TestCrashWithUndo does so with an undo log: then it always ends well, and the log takes it back.
func TestCrashWithUndo(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 7))
	for _, logChunk := range []uint32{1, 2, 4, 8} {
		p := newPair(rng, 4, 40)
		source, r := narrowed(t, p.delta(t), 3), newRig(p.base)
		record := r.all.Record()
		if _, err := r.kept(source.again(), logChunk); err != nil {
			t.Fatal(err)
		}
		if err := r.takenBack(p.base); err != nil {
			t.Fatal(err)
		}
		states := 0
		for crash := range record.Crashes(12, rng) {
			states++
			now := r.in(crash.Device())
			if _, err := now.kept(source.again(), logChunk); err != nil || !now.target.Holds(p.source) {
				t.Fatalf("%v: again: %v", crash, err)
			}
			if err := now.takenBack(p.base); err != nil {
				t.Fatalf("%v: %v", crash, err)
			}
		}
		t.Logf("%d states", states)
	}
}

// takenBack wants the undo log's snapshot of the target to be what that was, by a reader that knows nothing of logs.
func (r *rig) takenBack(want []byte) error {
	if r.log.Size() == 0 {
		return errors.New("there is no undo log")
	}
	var got []byte
	err := r.log.Lend(func(log []byte) (err error) {
		got, err = naive.Of(log).View(r.target.Image())
		return err
	})
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("the undo log does not restore what was there")
	}
	return err
}

// TestUndoOfTwo: one undo log of two deltas in turn explains a chunk that the second has torn, and none that holds what
// the first has left where a third delta of another base wants something else.
func TestUndoOfTwo(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 8))
	for range 5 {
		first := newPair(rng, 2, 40)
		second := newPairOf(rng, first.source, 2)
		r := newRig(first.base)
		if _, err := r.kept(narrowed(t, first.delta(t), 3), 2); err != nil {
			t.Fatal(err)
		}
		other := newPairOf(rng, first.base, 2) // which is not what the target is by now
		_, err := r.kept(narrowed(t, other.delta(t), 1), 2)
		if shared := sharesChunks(first, other); shared != errors.As(err, new(*apply.ForeignError)) {
			t.Fatalf("a delta of another base: %v; chunks in common: %v", err, shared)
		}
		r = newRig(first.base)
		if _, err := r.kept(narrowed(t, first.delta(t), 3), 2); err != nil {
			t.Fatal(err)
		}
		record := r.all.Record()
		if _, err := r.kept(narrowed(t, second.delta(t), 1), 2); err != nil {
			t.Fatal(err)
		}
		for crash := range record.Crashes(2, rng) {
			now := r.in(crash.Device())
			if _, err := now.kept(narrowed(t, second.delta(t), 1), 2); err != nil || !now.target.Holds(second.source) {
				t.Fatalf("%v: %v", crash, err)
			}
			if err := now.takenBack(first.base); err != nil {
				t.Fatalf("%v: %v", crash, err)
			}
		}
	}
}

// newPairOf is a pair whose base is given.
func newPairOf(rng *rand.Rand, base []byte, chunk int) *pair {
	p := &pair{base: bytes.Clone(base), source: bytes.Clone(base), chunk: chunk * sector, kind: delta.Forward}
	for old := range p.chunks() {
		if rng.IntN(4) == 0 {
			change(rng, p.of(p.source, old))
		}
	}
	return p
}

func sharesChunks(a, b *pair) bool {
	in := map[uint64]bool{}
	for _, old := range a.differ() {
		in[uint64(old)] = true
	}
	for _, old := range b.differ() {
		if in[uint64(old)] {
			return true
		}
	}
	return false
}

// TestKilled ends the application after each number of writes, all of which are there whole: run again, it ends well.
func TestKilled(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 9))
	p := newPair(rng, 2, 80)
	source := narrowed(t, p.delta(t), 3)
	for n := 0; ; n++ {
		r, left := newRig(p.base), n
		r.all.Fault = func(op devicetest.Op) (int, error) {
			if op.Kind == devicetest.Read {
				return 0, nil
			}
			if left--; left < 0 {
				return 0, errKilled
			}
			return 0, nil
		}
		_, err := apply.Run(source.again(), r.target, apply.Options{})
		if r.all.Fault = nil; err == nil {
			if n < 10 {
				t.Errorf("there were %d writes", n)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if _, err := apply.Run(source.again(), r.target, apply.Options{}); err != nil || !r.target.Holds(p.source) {
			t.Fatalf("killed after %d writes, and again: %v", n, err)
		}
	}
}

// TestFaults has the Nth operation on target or log fail, once: that is told, and the same again ends well. What a write
// that failed has left may be torn: the undo log explains it.
func TestFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 10))
	p := newPair(rng, 2, 60)
	source := narrowed(t, p.delta(t), 3)
	for _, fault := range []*devicetest.NthOp{
		{Kinds: devicetest.Read}, {Kinds: devicetest.Write}, {Kinds: devicetest.Write, Part: sector}, {Kinds: devicetest.Sync},
	} {
		for n := 0; ; n++ {
			r := newRig(p.base)
			f := &devicetest.NthOp{N: n, Kinds: fault.Kinds, Part: fault.Part, Err: errKilled}
			r.all.Fault = f.Fault
			_, err := r.kept(source.again(), 2)
			r.all.Fault = nil
			if !f.Failed() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if !errors.Is(err, errKilled) {
				t.Errorf("operation %d of kind %d failed: %v", n, fault.Kinds, err)
			}
			r = r.in(r.all)
			if _, err := r.kept(source.again(), 2); err != nil || !r.target.Holds(p.source) {
				t.Fatalf("operation %d of kind %d failed, and again: %v", n, fault.Kinds, err)
			}
			if err := r.takenBack(p.base); err != nil {
				t.Fatalf("operation %d of kind %d: %v", n, fault.Kinds, err)
			}
		}
	}
}

// TestWitness: what proves a torn chunk, in a window of two.
func TestWitness(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 15))
	p := &pair{base: make([]byte, 8*sector), chunk: 4 * sector, kind: delta.Forward}
	for s := range 8 {
		scribble(rng, p.base[s*sector:][:sector])
	}
	p.source = bytes.Clone(p.base)
	for s := range 8 {
		scribble(rng, p.source[s*sector:][:sector])
	}
	same := &pair{base: bytes.Clone(p.base), source: p.source, chunk: p.chunk, kind: delta.Forward}
	copy(same.of(same.base, 0), p.of(p.source, 0)) // the first chunk is in the delta, and equal on both sides
	for name, c := range map[string]struct {
		pair           *pair
		first          []byte // what the first chunk holds
		sectors, other int    // of the second, how many are the source's, and how many nobody's
		torn           bool
	}{
		"the other is written":                 {p, p.of(p.source, 0), 1, 0, true},
		"the other is not":                     {p, p.of(p.base, 0), 1, 0, false},
		"no sector is new":                     {p, p.of(p.source, 0), 0, 1, false},
		"the other is what it has always been": {same, p.of(p.source, 0), 1, 0, false},
	} {
		target := bytes.Clone(c.pair.base)
		copy(target, c.first)
		second := p.of(target, 1)
		copy(second, p.of(p.source, 1)[:c.sectors*sector])
		for s := range c.other {
			scribble(rng, second[(3-s)*sector:])
		}
		pieces := narrowed(t, p.delta(t), 2)
		if c.pair == same {
			pieces.pieces[0].Before = pieces.pieces[0].After
		}
		result, err := apply.Run(pieces, devicetest.Of(target).Part(0, int64(len(target))), apply.Options{})
		if (err == nil) != c.torn || c.torn && result.Torn != 1 || !c.torn && !errors.As(err, new(*apply.ForeignError)) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}
