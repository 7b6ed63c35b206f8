package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store/save"
)

// besideAnother merges when the other snapshot of the origin, which is where the undo log
// of other tests is, has what it needs.
func besideAnother(run way) way {
	return func(r *rig) error {
		list, g, err := exceptions(r.cow)
		if err != nil {
			return err
		}
		if err := r.sound(r.log); err != nil {
			return err
		}
		s, err := save.New(r.log, g, format.Bytes(r.origin.Size()), true)
		if err != nil {
			return err
		}
		for _, x := range list {
			s.Overwritten(format.Bytes(x.Old)*g.ChunkBytes(), format.Bytes(x.Old+1)*g.ChunkBytes())
		}
		if need, err := s.Need(nil); err != nil || need.Enough > 0 {
			return fmt.Errorf("%+v: %w", need, err)
		}
		if err := s.Save(r.log, r.origin, func(uint64) error { return nil }); err != nil {
			return err
		}
		return run(r)
	}
}

// twoSnapshots is a rig whose other snapshot has chunks of another size, and some exceptions
// already.
func twoSnapshots(t *testing.T, rng *rand.Rand, n int, other string) *rig {
	t.Helper()
	spec, sectors := shuffled(rng, 2, n)
	r := newRig(t, spec, sectors)
	r.fall(t)
	r.all.Put(r.logStart, storespec.MustCompile(t, fmt.Sprintf("device %d\n%s", logSectors, other)))
	return r.in(r.all)
}

// fall has every second exception stand behind one with a higher new chunk. Else it may be that what a power cut
// leaves of a list looks as one in the kernel's order, though the whole was not; and then a check takes chunks that
// nobody names for those of exceptions that were lost.
func (r *rig) fall(t *testing.T) {
	t.Helper()
	list, g, err := exceptions(r.cow)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range list {
		if before := i ^ 1; before < len(list) && (x.New < list[before].New) == (i%2 == 0) {
			x = list[before]
		}
		b := make([]byte, format.ExceptionSize)
		x.Encode(b)
		r.all.Put(int64(g.SlotOffset(g.PlaceAt(uint64(i)))), b)
	}
}

// views are what both snapshots show.
func (r *rig) views() (merged, other []byte, err error) {
	merged, err = r.view(r.cow)
	if err != nil {
		return nil, nil, err
	}
	other, err = r.view(r.log)
	return merged, other, err
}

// TestCrashBesideAnother cuts a merge off at every point, with any of what was not synced
// written, on the COW device, the origin, and another snapshot of it. Both snapshots show
// the same then, and when the merge was run again.
func TestCrashBesideAnother(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 6))
	for other, run := range map[string]way{
		"header chunk=1\nfill 20\ndata 5":   whole(1000, nil),
		"header chunk=4\nfill 5 2\ndata 5":  whole(13, nil),
		"header chunk=2\nfill 30 7\ndata 5": steps,
		"header chunk=32\ndata 5":           whole(32, cached),
	} {
		t.Run(other, func(t *testing.T) {
			r := twoSnapshots(t, rng, 60, other)
			merged, kept, err := r.views()
			if err != nil {
				t.Fatal(err)
			}
			same := func(r *rig, done bool) error {
				a, b, err := r.views()
				switch {
				case err != nil:
					return err
				case !bytes.Equal(a, merged):
					return errors.New("the snapshot that is merged shows something else")
				case !bytes.Equal(b, kept):
					return errors.New("the other snapshot shows something else")
				case done && !r.origin.Holds(merged):
					return errors.New("the origin is not what the snapshot was")
				}
				return r.sound(r.log)
			}
			record := r.all.Record()
			if err := besideAnother(run)(r); err != nil {
				t.Fatal(err)
			}
			record.Mark("done")
			states := 0
			for crash := range record.Crashes(6, rng) {
				states++
				now := r.in(crash.Device())
				if err := same(now, len(crash.Marks) > 0); err != nil {
					t.Fatalf("%v: %v", crash, err)
				}
				if err := besideAnother(run)(now); err != nil {
					t.Fatalf("%v, again: %v", crash, err)
				}
				if err := same(now, true); err != nil {
					t.Fatalf("%v, again: %v", crash, err)
				}
			}
			t.Logf("%d states", states)
		})
	}
}
