package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
	"dmcow/store/look"
)

// errBad is that of a bad sector.
var errBad = errors.New("bad sector")

// bad is a fault of some chunks of the COW device: their last sectors cannot be read.
func bad(g format.Geometry, chunks []format.Exception) func(devicetest.Op) (int, error) {
	return func(op devicetest.Op) (int, error) {
		first := -1
		for _, x := range chunks {
			at := int(g.Offset(x.New+1)) - sector - int(op.Offset)
			if op.Kind == devicetest.Read && at > -sector && at < op.Length && (first < 0 || at < first) {
				first = max(at, 0)
			}
		}
		if first >= 0 {
			return first, errBad
		}
		return 0, nil
	}
}

// some are n of the exceptions, in the order of the origin. Their chunks do not lie
// where a device is looked at to know what it holds.
func some(rng *rand.Rand, list []format.Exception, n int) []format.Exception {
	var chosen []format.Exception
	last := slices.MaxFunc(list, compare).Old // its end may not be read
	for _, i := range rng.Perm(len(list)) {
		if list[i].New >= 8 && list[i].Old != last && len(chosen) < n {
			chosen = append(chosen, list[i])
		}
	}
	slices.SortFunc(chosen, compare)
	return chosen
}

func rescuing(_ *rig, o *Options) { o.Rescue = true }

// TestRescue: chunks that cannot be read stay in the store, which has no exceptions
// beside theirs, and all others are merged. Without rescue the first of them is named,
// and the store stays as it is.
func TestRescue(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 10))
	for _, c := range []struct {
		chunk, n, bad int
		batch         uint64
		window        format.Bytes
	}{
		{1, 100, 1, 1000, 4096}, {1, 100, 40, 1000, 4096}, {1, 100, 90, 1000, 4096},
		{1, 100, 1, 20, 4096}, {1, 100, 15, 20, 4096}, {2, 300, 9, 70, 4096},
		{16, 20, 3, 7, 4096}, // windows smaller than a chunk
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			spec, origin := shuffled(rng, c.chunk, c.n)
			r := newRig(t, spec, origin)
			want, list, cow, g := r.mustView(t), mustList(t, r), r.cow.Image(), geometry(t, uint32(c.chunk))
			lost := some(rng, list, c.bad)
			r.all.Fault = bad(g, lost)

			_, err := r.run(small(c.batch, c.window))
			var e *TransferError
			if !errors.As(err, &e) || !errors.Is(err, errBad) || e.Origin || e.Write || !slices.Contains(lost, e.Exception) ||
				e.Offset != g.Offset(e.Exception.New+1)-sector {
				t.Errorf("without rescue: %v", err)
			}

			o := small(c.batch, c.window)
			o.Rescue, o.PastCache, o.Cached = true, []Reader{r.origin}, c.bad%2 == 0
			result, err := r.run(o)
			if err != nil || !slices.Equal(result.Failed, lost) {
				t.Fatalf("%v: %v could not be read, want %v", err, result.Failed, lost)
			}
			r.all.Fault = nil
			if v := r.mustView(t); !bytes.Equal(v, want) {
				t.Error("the snapshot shows something else")
			}
			left := mustList(t, r)
			slices.SortFunc(left, compare)
			if !slices.Equal(left, lost) {
				t.Errorf("the store has %v, want %v", left, lost)
			}
			if err := r.sound(r.cow); err != nil {
				t.Error(err)
			}
			if _, err := r.run(small(c.batch, c.window)); err != nil {
				t.Error(err)
			}
			r.wants(t, want, cleared(cow, 0, c.n))
		})
	}
}

// TestRescueCutOff cuts off a merge that leaves chunks behind, at every point: the
// snapshot shows the same, also what cannot be read for the time being, and the merge
// can be run again, with the bad sectors and when they can be read.
func TestRescueCutOff(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 11))
	for _, c := range []struct {
		chunk, n, bad int
		batch         uint64
		limit         int
	}{{1, 70, 6, 1000, 16}, {1, 70, 20, 25, 8}, {2, 140, 3, 1000, 8}} {
		spec, origin := shuffled(rng, c.chunk, c.n)
		r := newRig(t, spec, origin)
		want, g := r.mustView(t), geometry(t, uint32(c.chunk))
		if c.chunk == 2 { // write little: there would be too many states
			for i := 8; i < len(want)/1024; i++ {
				r.all.Put(r.cow.Size()+int64(i)*1024, want[i*1024:][:1024])
			}
		}
		lost := some(rng, mustList(t, r), c.bad)
		run := whole(c.batch, func(_ *rig, o *Options) { o.Rescue, o.SkipIdentical = true, c.chunk == 2 })
		r.all.Fault = bad(g, lost)
		record := r.all.Record()
		if err := run(r); err != nil {
			t.Fatal(err)
		}
		states := 0
		for crash := range record.Crashes(c.limit, rng) {
			states++
			now := r.in(crash.Device())
			if v, err := now.view(now.cow); err != nil || !bytes.Equal(v, want) {
				t.Fatalf("%v: the snapshot shows something else (%v)", crash, err)
			}
			if err := now.mergeable(now.cow, check.RescueMerge); err != nil {
				t.Fatalf("%v: %v", crash, err)
			}
			now.all.Fault = bad(g, lost)
			if err := run(now); err != nil {
				t.Fatalf("%v: again: %v", crash, err)
			}
			now.all.Fault = nil
			left := mustList(t, now)
			if slices.SortFunc(left, compare); !slices.Equal(left, lost) {
				t.Fatalf("%v: again: the store has %v, want %v", crash, left, lost)
			}
			if err := whole(1000, nil)(now); err != nil || !now.origin.Holds(want) {
				t.Fatalf("%v: at last: the origin holds something else (%v)", crash, err)
			}
		}
		t.Logf("%d states", states)
	}
}

// TestRescueTooMany: more than can be kept in mind ends the merge.
func TestRescueTooMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 12))
	spec, origin := shuffled(rng, 1, 60)
	r := newRig(t, spec, origin)
	want := r.mustView(t)
	r.all.Fault = bad(geometry(t, 1), some(rng, mustList(t, r), 12))
	err := whole(10, rescuing)(r)
	r.all.Fault = nil
	var e *TooManyError
	if !errors.As(err, &e) || e.Most != 10 {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(r.mustView(t), want) {
		t.Error("the snapshot shows something else")
	}
}

// TestRepeated: an exception that stands in the list twice is merged once, in one batch, and
// no harm is done in two; but only a rescue, which leaves such lists, begins.
func TestRepeated(t *testing.T) {
	for _, batch := range []uint64{100, 3} {
		r := newRig(t, "device 200\nheader chunk=1\nfill 40\nex 3 149 60\nex 39 149 60\ndata 9", 150)
		want, before := r.mustView(t), r.all.Image()
		if _, err := r.run(small(batch, 4096)); err == nil || !r.all.Holds(before) {
			t.Errorf("without rescue: %v", err)
		}
		m, err := Open(r.cow, r.origin, Opening{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(small(100, 4096)); err == nil || !r.all.Holds(before) {
			t.Errorf("without a check, and without rescue: %v", err)
		}
		o := small(batch, 4096)
		o.Rescue = true
		result, err := r.run(o)
		if err != nil || batch == 100 && result.Chunks != 39 {
			t.Errorf("%+v, %v", result, err)
		}
		if !r.origin.Holds(want) || len(mustList(t, r)) > 0 {
			t.Error("the origin holds something else")
		}
	}
}

// TestHidden: what hides behind the list's end is cleared with the list where it is known to
// change nothing; else the store is refused, and nothing is written.
func TestHidden(t *testing.T) {
	// The last sector but one of area 0 is zero, as if a clear was torn.
	const spec = "device 800\nheader chunk=2\nfill 64\ndata 9\nraw 0x400 00*512"
	for name, c := range map[string]struct {
		spec    string
		differs bool // one of those behind, from the origin
		void    bool
	}{
		"all is merged":       {spec, false, true},
		"one is not":          {spec, true, true},
		"nobody knows":        {spec, false, false},
		"a gap in the sector": {"device 800\nheader chunk=2\nfill 64\ndata 9\nraw 0x410 00*16", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			list, _, err := exceptions(newRig(t, "device 800\nheader chunk=2\nfill 64", 1000).cow)
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, c.spec, 1000)
			for i, x := range list { // the cleared ones were merged, too
				chunk := make([]byte, 1024)
				r.all.Peek(chunk, int64(r.on(x)))
				if c.differs && i == 37 {
					chunk[len(chunk)-1] ^= 1
				}
				r.all.Put(r.cow.Size()+int64(x.Old)*1024, chunk)
			}
			want, before := r.mustView(t), r.all.Image()
			refused := c.differs || !c.void || name == "a gap in the sector"
			checked := r.sound(r.cow)
			if (checked != nil) != (refused && c.void) {
				t.Errorf("checked: %v", checked)
			}
			m, err := Open(r.cow, r.origin, Opening{HiddenVoid: c.void && checked == nil})
			if refused {
				var h *store.HiddenError
				if !errors.As(err, &h) || !r.all.Holds(before) {
					t.Errorf("%v: want it refused, and nothing written", err)
				}
				return
			}
			if err != nil || m.Hidden != 32 || m.Chunks != 0 {
				t.Fatalf("%+v, %v", m, err)
			}
			if _, err = m.Run(small(1000, 4096)); err != nil || !r.origin.Holds(want) {
				t.Errorf("%v", err)
			}
			if h, err := look.Behind(r.cow, m.geometry, format.End{}, nil); err != nil || !h.Blank {
				t.Errorf("%+v is left, %v", h, err)
			}
		})
	}
}

// TestBeyond: exceptions past the snapshot's end stop a merge, or stay in the store where the user
// wants the others merged.
func TestBeyond(t *testing.T) {
	for _, batch := range []uint64{1000, 7} {
		r := newRig(t, "device 200\nheader chunk=1\nfill 70\ndata 9", 150) // the last 20 are past 150
		list := mustList(t, r)
		if _, err := Open(r.cow, r.origin, Opening{}); !errors.As(err, new(*BadExceptionError)) {
			t.Errorf("%v", err)
		}
		m, err := Open(r.cow, r.origin, Opening{Beyond: true})
		if err != nil || m.Chunks != 50 || m.Plan.Beyond != 20 {
			t.Fatalf("%+v, %v", m, err)
		}
		o := small(batch, 4096)
		if batch < 20 {
			if _, err := m.Run(o); !errors.As(err, new(*TooManyError)) {
				t.Errorf("%v", err)
			}
			continue
		}
		want := r.origin.Image()
		for _, x := range list[:50] {
			r.all.Peek(want[int(x.Old)*sector:][:sector], int64(x.New)*sector)
		}
		result, err := m.Run(o)
		if err != nil || result.Chunks != 50 || result.Beyond != 20 || !r.origin.Holds(want) {
			t.Errorf("%+v, %v", result, err)
		}
		if left := mustList(t, r); !slices.Equal(left, list[50:]) {
			t.Errorf("the store has %v, want %v", left, list[50:])
		}
	}
}

// on is where an exception's chunk of 2 sectors stands on the COW device, in bytes.
func (r *rig) on(x format.Exception) format.Bytes { return format.Bytes(x.New) * 1024 }
