package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

const sector = format.SectorSize

// rig is a COW device, its origin, and an undo log, three devices in one memory.
type rig struct {
	all              *devicetest.Memory
	cow, origin, log *devicetest.Part
	logStart         int64
}

// logSectors is how long the undo log may become.
const logSectors = 6000

// newRig compiles a COW device. The origin has the given number of sectors, all of them different.
func newRig(t testing.TB, spec string, originSectors int64) *rig {
	t.Helper()
	cow := storespec.MustCompile(t, spec)
	origin := devicetest.Numbered(originSectors * sector)
	size := int64(len(cow)) + int64(len(origin))
	all := devicetest.New(size + logSectors*sector)
	all.Put(0, cow)
	all.Put(int64(len(cow)), origin)
	return on(all, int64(len(cow)), int64(len(origin)))
}

// on finds the devices of a rig in a memory.
func on(all *devicetest.Memory, cow, origin int64) *rig {
	r := &rig{all: all, cow: all.Part(0, cow), origin: all.Part(cow, origin), logStart: cow + origin}
	r.log = all.Part(r.logStart, logSectors*sector)
	if id, err := look.Identify(r.log, look.FreshGeometry(r.log)); err != nil || id.State != look.Valid {
		r.log.Resize(0)
	}
	return r
}

// in is the same rig in another memory.
func (r *rig) in(all *devicetest.Memory) *rig { return on(all, r.cow.Size(), r.origin.Size()) }

func (r *rig) clone() *rig { return r.in(r.all.Clone()) }

// exceptions are those of a store that the engine takes for valid, in the list's order, read without
// its code.
func exceptions(d *devicetest.Part) (all []format.Exception, g format.Geometry, err error) {
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil || id.State != look.Valid {
		return nil, g, fmt.Errorf("%+v, %v: want a store", id, err)
	}
	err = d.Lend(func(image []byte) error {
		all, err = listed(naive.Of(image))
		return err
	})
	return all, id.Geometry, err
}

// listed is a store's list, if it ends on the device.
func listed(s naive.Store) (all []format.Exception, err error) {
	for _, x := range s.List() {
		all = append(all, format.Exception{Old: format.OldChunk(x.Old), New: format.NewChunk(x.New)})
	}
	if _, ok := s.Slot(len(all)); !ok {
		return nil, fmt.Errorf("the list of %d exceptions leads past the end of the device", len(all))
	}
	return all, nil
}

// view is what the snapshot of the origin with the store on d shows.
func (r *rig) view(d *devicetest.Part) (view []byte, err error) {
	if id, err := look.Identify(d, look.FreshGeometry(d)); err != nil || id.State != look.Valid {
		return nil, fmt.Errorf("%+v, %v: want a store", id, err)
	}
	err = d.Lend(func(cow []byte) error {
		s := naive.Of(cow)
		if _, err := listed(s); err != nil {
			return err
		}
		return r.origin.Lend(func(origin []byte) (err error) {
			view, err = s.View(origin)
			return err
		})
	})
	return view, err
}

func (r *rig) mustView(t testing.TB) []byte {
	t.Helper()
	v, err := r.view(r.cow)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sound wants a check to find nothing in a store that speaks against a merge.
func (r *rig) sound(d look.Device) error { return r.mergeable(d, check.AnyMerge) }

// mergeable wants a check that knows the origin to find nothing that speaks against a merge of
// some kind.
func (r *rig) mergeable(d look.Device, least check.Merging) error {
	report, err := check.Make(check.Options{Device: d, Origin: format.Bytes(r.origin.Size()), Content: r.origin})
	if err != nil {
		return err
	}
	if t := report.Against(func(m check.Meaning) bool { return m.Merging >= least }); t != nil {
		return fmt.Errorf("check: %s: %s: %s", t.Name, t.Findings[0].Where(), t.Findings[0].Message())
	}
	return nil
}

// shuffled is the spec of a store with n exceptions of the origin's first chunks,
// both old and new chunks in random order but for short runs, and all data new.
func shuffled(rng *rand.Rand, chunk, n int) (spec string, originSectors int64) {
	g, err := format.NewGeometry(uint32(chunk))
	if err != nil {
		panic(err)
	}
	origin := n + n/4 + 1
	olds, news := runs(rng, origin)[:n], runs(rng, n+n/8)
	var b strings.Builder
	last := max(g.DataChunk(uint64(n+n/8)), g.AreaLocation(format.AreaIndex(n/g.ExceptionsPerArea())))
	fmt.Fprintf(&b, "device %d\nheader chunk=%d\n", (int(last)+2)*chunk, chunk)
	for i := range n {
		fmt.Fprintf(&b, "ex %d %d %d\n", i, olds[i], g.DataChunk(uint64(news[i])))
	}
	b.WriteString("data 9\n")
	short := 0
	if chunk > 1 {
		short = 1 // the last chunk
	}
	return b.String(), int64(origin*chunk - short)
}

// runs are the numbers up to n in random order, but that some that follow each other
// stay together.
func runs(rng *rand.Rand, n int) (all []int) {
	var pieces [][]int
	for i := 0; i < n; {
		end := min(n, i+1+rng.IntN(5))
		var p []int
		for ; i < end; i++ {
			p = append(p, i)
		}
		pieces = append(pieces, p)
	}
	rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}

// small are options with small batches and windows.
func small(batch uint64, window format.Bytes) Options { return Options{batch: batch, window: window} }

// open opens a merge as the command line does: a check comes first.
func (r *rig) open(cow COW, o Options) (*Merge, error) {
	least := check.AnyMerge
	if o.Rescue {
		least = check.RescueMerge
	}
	if _, err := look.Loadable(cow); err == nil {
		if err := r.mergeable(cow, least); err != nil {
			return nil, err
		}
	}
	return Open(cow, r.origin, Opening{HiddenVoid: true})
}

// run merges all.
func (r *rig) run(o Options) (Result, error) {
	m, err := r.open(r.cow, o)
	if err != nil {
		return Result{}, err
	}
	return m.Run(o)
}

// step merges n steps.
func (r *rig) step(o Options, n uint64, told func(store.Run) error) (Result, error) {
	m, err := r.open(r.cow, o)
	if err != nil {
		return Result{}, err
	}
	return m.Steps(o, n, told)
}

// cleared is the COW device's content with the given exceptions of the list, by
// position from first on, cleared.
func cleared(cow []byte, first, end int) []byte {
	s := naive.Of(bytes.Clone(cow))
	for i := first; i < end; i++ {
		clear(s.Entry(i))
	}
	return s.Image
}
