package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// way is how a store is merged, from whatever state.
type way func(*rig) error

func whole(batch uint64, change func(*rig, *Options)) way {
	return func(r *rig) error {
		o := small(batch, 4096)
		if change != nil {
			change(r, &o)
		}
		_, err := r.run(o)
		return err
	}
}

func steps(r *rig) error {
	_, err := r.step(small(100, 4096), 1<<32, func(store.Run) error { return nil })
	return err
}

func skipping(_ *rig, o *Options) { o.SkipIdentical = true }
func cached(_ *rig, o *Options)   { o.Cached = true }

// withUndo merges with an undo log, which is begun with chunks of so many sectors
// if there is none.
func withUndo(batch uint64, chunk uint32) way {
	return func(r *rig) error {
		u, err := r.undo(chunk)
		if err != nil {
			return err
		}
		return whole(batch, func(_ *rig, o *Options) { o.Undo = u })(r)
	}
}

func (r *rig) undo(chunk uint32) (*undo.Log, error) {
	grow := func(size format.Bytes) error {
		r.log.Resize(max(r.log.Size(), int64(size)))
		return nil
	}
	if r.log.Size() > 0 {
		return undo.Open(r.log, r.origin, undo.Options{Grow: grow})
	}
	g, err := format.NewGeometry(chunk)
	if err != nil {
		return nil, err
	}
	return undo.New(r.log, r.origin, g, undo.Options{Grow: grow})
}

// takeBack merges the undo log.
func (r *rig) takeBack(o Options) error {
	if err := undo.BeginTakingBack(r.log); err != nil {
		return err
	}
	m, err := r.open(r.log, o)
	if err != nil {
		return err
	}
	_, err = m.Run(o)
	return err
}

// story is a merge that is cut off.
type story struct {
	rig   *rig
	run   way
	undo  bool
	limit int // of random states, with each number of events
}

// stories are merges of small stores: there are many states that a cut may leave.
func stories(t *testing.T, rng *rand.Rand) map[string]story {
	small, origin := shuffled(rng, 1, 70)
	large, largeOrigin := shuffled(rng, 2, 150) // areas of two sectors
	equal := newRig(t, large, largeOrigin)
	want := equal.mustView(t)
	for c := 8; c < len(want)/1024; c++ {
		equal.all.Put(equal.cow.Size()+int64(c)*1024, want[c*1024:][:1024])
	}
	// What hides there changes nothing as long as exceptions 3 and 4 are in the list.
	const hidden = "device 400\nheader chunk=2\nfill 20 0\ndata 9\nex 32 3 60\nex 33 4 61\n"
	return map[string]story{
		"hidden":               {newRig(t, hidden, 80), whole(7, nil), false, 16},
		"hidden, steps":        {newRig(t, hidden, 80), steps, false, 16},
		"one batch":            {newRig(t, small, origin), whole(1000, nil), false, 16},
		"batches of areas":     {newRig(t, small, origin), whole(32, nil), false, 16},
		"batches in areas":     {newRig(t, small, origin), whole(13, nil), false, 16},
		"cached":               {newRig(t, small, origin), whole(32, cached), false, 16},
		"areas of two":         {equal, whole(1000, skipping), false, 200},
		"areas of two, again":  {equal.clone(), whole(80, skipping), false, 200},
		"steps":                {newRig(t, small, origin), steps, false, 16},
		"undo":                 {newRig(t, small, origin), withUndo(40, 1), true, 4},
		"undo in large chunks": {newRig(t, small, origin), withUndo(40, 4), true, 4},
	}
}

// TestCrash cuts a merge off at every point, with any of what was not synced written,
// on all devices. The snapshot shows the same then, the merge can be run again, the
// kernel's way too, and an undo log takes it back.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 5))
	for name, s := range stories(t, rng) {
		t.Run(name, func(t *testing.T) {
			want, before := s.rig.mustView(t), s.rig.origin.Image()
			record := s.rig.all.Record()
			if err := s.run(s.rig); err != nil {
				t.Fatal(err)
			}
			record.Mark("done")
			states := 0
			for crash := range record.Crashes(s.limit, rng) {
				states++
				now := s.rig.in(crash.Device())
				if list, _, _ := exceptions(now.cow); len(crash.Marks) > 0 && len(list) > 0 {
					t.Fatalf("%v: the merge has ended, and the list is not empty", crash)
				}
				if err := s.check(now, states, want, before); err != nil {
					t.Fatalf("%v: %v", crash, err)
				}
			}
			t.Logf("%d states", states)
		})
	}
}

// check checks what a cut has left: n tells which way it is gone on with.
func (s story) check(now *rig, n int, want, before []byte) error {
	if v, err := now.view(now.cow); err != nil || !bytes.Equal(v, want) {
		return fmt.Errorf("the snapshot shows something else (%v)", err)
	}
	if err := now.sound(now.cow); err != nil {
		return err
	}
	again := s.run
	if n%2 == 0 && !s.undo {
		again = steps
	}
	if err := again(now); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	list, g, err := exceptions(now.cow)
	if err != nil || len(list) > 0 || !now.origin.Holds(want) {
		return fmt.Errorf("merged again, %d exceptions are left and the origin holds something else (%v)", len(list), err)
	}
	// Nothing is left behind the empty list, but for what steps leave, as the kernel's do.
	h, err := look.Behind(now.cow, g, format.End{}, nil)
	if err != nil || h.Count > 0 && n%2 != 0 {
		return fmt.Errorf("merged again, %d entries are left behind the list's end (%v)", h.Count, err)
	}
	if err := now.sound(now.cow); err != nil {
		return fmt.Errorf("merged again: %w", err)
	}
	if !s.undo {
		return nil
	}
	err = now.takeBack(Options{})
	if err == nil && !now.origin.Holds(before) {
		err = errors.New("the origin is not what it was")
	}
	return err
}

// TestUndoCutOff cuts off the taking back of a merge that was itself cut off. To run
// it again ends it, and the log knows its device all the while.
func TestUndoCutOff(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 6))
	spec, origin := shuffled(rng, 1, 50)
	for _, cut := range []int{10, 40, 80, 1 << 30} {
		r := newRig(t, spec, origin)
		before := r.origin.Image()
		r.all.Fault = killed(cut)
		_ = withUndo(20, 1)(r)
		r.all.Fault = nil
		r = r.in(r.all)
		if r.log.Size() == 0 {
			continue // it was killed before there was a log
		}
		record := r.all.Record()
		back := func(r *rig) error { return r.takeBack(small(20, 4096)) }
		if err := back(r); err != nil {
			t.Fatal(err)
		}
		states := 0
		for crash := range record.Crashes(8, rng) {
			states++
			now := r.in(crash.Device())
			if err := undo.CheckBelongs(now.log, now.origin, false, nil); err != nil {
				t.Fatalf("%v: %v", crash, err)
			}
			if err := back(now); err != nil || !now.origin.Holds(before) {
				t.Fatalf("%v: the origin is not what it was (%v)", crash, err)
			}
		}
		t.Logf("%d states", states)
	}
}

// killed fails every operation that writes but the first n of them, as if the process
// were there no more.
func killed(n int) func(devicetest.Op) (int, error) {
	return func(op devicetest.Op) (int, error) {
		if op.Kind == devicetest.Read {
			return 0, nil
		}
		if n--; n < 0 {
			return 0, errKilled
		}
		return 0, nil
	}
}

var errKilled = errors.New("killed")

// TestKilled ends a merge after each number of writes, all of which are there. What is
// left is a beginning of the list with nothing behind it in its area: what the kernel's merge
// could have left, but for areas behind that nobody reads.
func TestKilled(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 7))
	for _, c := range []struct {
		chunk, n int
		batch    uint64
		every    int // writes from one kill to the next
	}{{1, 100, 1000, 1}, {1, 100, 45, 1}, {2, 200, 90, 1}, {16, 1100, 1000, 37}} { // areas of 512 slots, 2 pages
		spec, origin := shuffled(rng, c.chunk, c.n)
		r := newRig(t, spec, origin)
		want, cow, g := r.mustView(t), r.cow.Image(), geometry(t, uint32(c.chunk))
		lengths := map[int]bool{}
		if testing.Short() {
			c.every *= 3 // which meets one of the three states between four areas' clearing
		}
		for n, over := 0, false; !over; n += c.every {
			now := r.clone()
			now.all.Fault = killed(n)
			err := whole(c.batch, nil)(now)
			over = err == nil
			now.all.Fault = nil
			list, _, lerr := exceptions(now.cow)
			if v, verr := now.view(now.cow); lerr != nil || verr != nil || !bytes.Equal(v, want) {
				t.Fatalf("%+v: after %d writes the snapshot shows something else (%v, %v)", c, n, lerr, verr)
			}
			e := g.ExceptionsPerArea()
			read := int(g.Offset(g.AreaLocation(format.AreaIndex(len(list)/e)))) + int(g.ChunkBytes())
			if !bytes.Equal(now.cow.Image()[:read], cleared(cow, len(list), c.n)[:read]) {
				t.Fatalf("%+v: after %d writes there is more than a beginning of %d exceptions", c, n, len(list))
			}
			lengths[len(list)] = true
			if !over && !errors.Is(err, errKilled) {
				t.Errorf("%+v: after %d writes: %v", c, n, err)
			}
			if err := whole(c.batch, nil)(now); err != nil {
				t.Fatal(err)
			}
			first := int(2 * g.ChunkBytes())
			if !now.origin.Holds(want) || !bytes.Equal(now.cow.Image()[:first], cleared(cow, 0, c.n)[:first]) {
				t.Fatalf("%+v: after %d writes, and again: the origin holds something else, or area 0 does", c, n)
			}
		}
		if len(lengths) < 3 && c.every <= 37 {
			t.Errorf("%+v: it was killed with %v exceptions left", c, lengths)
		}
	}
}

// TestFaults has the Nth operation on any device fail, once. The merge says so, unless
// it was a read that went well when it was tried again, and the snapshot shows the
// same; then it is run again.
func TestFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 8))
	spec, origin := shuffled(rng, 1, 70)
	for name, run := range map[string]way{
		"batches": whole(25, nil), "cached": whole(25, cached), "steps": steps, "undo": withUndo(40, 1), "skip": whole(30, skipping),
		"verify": whole(30, func(r *rig, o *Options) { o.PastCache = []Reader{r.origin} }),
	} {
		for _, fault := range []*devicetest.NthOp{
			{Kinds: devicetest.Read}, {Kinds: devicetest.Write}, {Kinds: devicetest.Write, Part: 1 << 20}, {Kinds: devicetest.Sync},
		} {
			r := newRig(t, spec, origin)
			want := r.mustView(t)
			for n := 0; ; n++ {
				now := r.clone()
				f := &devicetest.NthOp{N: n, Kinds: fault.Kinds, Part: fault.Part, Err: errKilled}
				now.all.Fault = f.Fault
				err := run(now)
				now.all.Fault = nil
				if !f.Failed() {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if err != nil && !errors.Is(err, errKilled) || err == nil && fault.Kinds != devicetest.Read {
					t.Errorf("%s: operation %d of kind %d failed: %v", name, n, fault.Kinds, err)
				}
				if v, err := now.view(now.cow); err != nil || !bytes.Equal(v, want) {
					t.Fatalf("%s: operation %d of kind %d failed, and the snapshot shows something else (%v)", name, n, fault.Kinds, err)
				}
				now = now.in(now.all)
				if err := run(now); err != nil || !now.origin.Holds(want) {
					t.Fatalf("%s: operation %d of kind %d failed, and again: %v", name, n, fault.Kinds, err)
				}
			}
		}
	}
}
