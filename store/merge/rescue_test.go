package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
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
			want, list, cow, g := r.mustView(t), mustList(t, r), content(r.cow), geometry(t, uint32(c.chunk))
			lost := some(rng, list, c.bad)
			r.all.Fault = bad(g, lost)

			_, err := r.run(small(c.batch, c.window))
			var e *TransferError
			if !errors.As(err, &e) || !errors.Is(err, errBad) || e.Origin || e.Write || !slices.Contains(lost, e.Exception) ||
				e.Offset != g.Offset(e.Exception.New+1)-sector {
				t.Errorf("without rescue: %v", err)
			}

			o := small(c.batch, c.window)
			o.Rescue, o.PastCache, o.Cached = true, r.origin, c.bad%2 == 0
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
			r.wants(t, want, cleared(cow, g, 0, c.n))
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
			if err := now.sound(now.cow, "hidden-exceptions", "repeated-exception"); err != nil {
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
			if err := whole(1000, nil)(now); err != nil || !bytes.Equal(content(now.origin), want) {
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

// TestRepeated: an exception that stands in the list twice is merged once, in one
// batch, and no harm is done in two.
func TestRepeated(t *testing.T) {
	for _, batch := range []uint64{100, 3} {
		r := newRig(t, "device 200\nheader chunk=1\nfill 40\nex 3 149 30\nex 39 149 30\ndata 9", 150)
		want := r.mustView(t)
		result, err := r.run(small(batch, 4096))
		if err != nil || batch == 100 && result.Chunks != 39 {
			t.Errorf("%+v, %v", result, err)
		}
		if !bytes.Equal(content(r.origin), want) || len(mustList(t, r)) > 0 {
			t.Error("the origin holds something else")
		}
	}
}

// TestHidden: what hides behind the list's end, and no torn commit explains it, is
// dropped where the origin shows that it was merged, or the list has it too. Else
// nothing is written.
func TestHidden(t *testing.T) {
	// The first sector of area 1 is zero, and behind it the list goes on to area 2.
	const spec = "device 800\nheader chunk=2\nfill 150\ndata 9\nraw 0x10800 00*512"
	for name, c := range map[string]struct {
		differs  []format.OldChunk // in the origin
		repeated bool              // those are in the list, too
		more     string
		dropped  bool
	}{
		"all was merged":                  {nil, false, "", true},
		"one in the area was not":         {[]format.OldChunk{3 * 127}, false, "", false},
		"one in the next area was not":    {[]format.OldChunk{3 * 130}, false, "", false},
		"the last was not":                {[]format.OldChunk{3 * 149}, false, "", false},
		"some were not, and are repeated": {[]format.OldChunk{3 * 127, 3 * 130}, true, "", true},
		"garbage behind the end of all":   {nil, false, "ex 160 1000000 140\nex 200 1000000 140", true},
		"one is no exception":             {nil, false, "ex 135 1000000 140", false},
	} {
		t.Run(name, func(t *testing.T) {
			extra := c.more
			list, _, err := exceptions(newRig(t, "device 800\nheader chunk=2\nfill 150", 1000).cow)
			if err != nil {
				t.Fatal(err)
			}
			if c.repeated {
				for i, old := range c.differs {
					extra += fmt.Sprintf("\nex %d %d %d", 10+i, old, list[old/3].New)
				}
			}
			r := newRig(t, spec+"\n"+extra, 1000)
			for i := 64; i < 150; i++ { // what is hidden has been merged
				x := list[i]
				chunk := make([]byte, 1024)
				r.all.Peek(chunk, int64(r.on(x)))
				if slices.Contains(c.differs, x.Old) {
					chunk[len(chunk)-1] ^= 1
				}
				r.all.Put(r.cow.Size()+int64(x.Old)*1024, chunk)
			}
			want, before := r.mustView(t), r.all.Image()
			_, err = r.run(small(1000, 4096))
			if !c.dropped {
				var h *store.HiddenError
				if !errors.As(err, &h) || !bytes.Equal(r.all.Image(), before) {
					t.Errorf("%v: want it refused, and nothing written", err)
				}
				return
			}
			if err != nil || !bytes.Equal(content(r.origin), want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// on is where an exception's chunk of 2 sectors stands on the COW device, in bytes.
func (r *rig) on(x format.Exception) format.Bytes { return format.Bytes(x.New) * 1024 }
