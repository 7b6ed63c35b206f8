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
)

// TestRun merges stores of many shapes: the origin becomes what the snapshot showed,
// and nothing of the COW device changes but that the list is cleared. Steps come to
// the same.
func TestRun(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 1))
	for _, c := range []struct {
		chunk, n int
		batch    uint64
		window   format.Bytes
	}{
		{1, 0, 10, 4096},
		{1, 1, 10, 4096},
		{1, 31, 1000, 4096},
		{1, 32, 1000, 512},
		{1, 33, 7, 4096},
		{1, 64, 64, 1024},
		{1, 200, 40, 8192},
		{2, 64, 33, 2048},
		{2, 300, 100, 4096},
		{8, 300, 256, 64 << 10},
		{8, 700, 1000, 4096},
		{32, 40, 17, 4096}, // windows smaller than a chunk
		{256, 5, 2, 64 << 10},
		{2048, 3, 100, 128 << 10},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			spec, origin := shuffled(rng, c.chunk, c.n)
			r := newRig(t, spec, origin)
			want := r.mustView(t)
			cow := cleared(r.cow.Image(), 0, c.n)
			cached, stepped := r.clone(), r.clone()
			plan, err := Look(r.cow, r.origin, Opening{})
			if err != nil {
				t.Fatal(err)
			}
			for r, inCache := range map[*rig]bool{r: false, cached: true} {
				told := format.Bytes(0)
				o := small(c.batch, c.window)
				o.Cached = inCache
				o.Copied = func(n format.Bytes) { told += n }
				result, err := r.run(o)
				if err != nil {
					t.Fatal(err)
				}
				r.wants(t, want, cow)
				if n := uint64(c.n); result.Chunks != n || plan.Chunks != n || result.Written != plan.Bytes || told != plan.Bytes {
					t.Errorf("%+v, %d bytes told; the plan was %+v", result, told, plan.Plan)
				}
			}

			if _, err := stepped.step(small(1000, c.window), 1<<32, func(store.Run) error { return nil }); err != nil {
				t.Fatal(err)
			}
			stepped.wants(t, want, cow)
		})
	}
}

// TestInOrder: data that the cache does not hold is read in the order of the COW
// device, whose chunks are scattered over the origin, and written in that of the origin,
// window by window; what the cache holds, in the order of the origin.
func TestInOrder(t *testing.T) {
	const n, window = 500, 32 << 10
	spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 12)), 2, n)
	for _, cached := range []bool{false, true} {
		r := newRig(t, spec, origin)
		o := small(1000, window)
		o.Cached = cached
		if _, err := r.run(o); err != nil {
			t.Fatal(err)
		}
		var reads, writes []int64
		for _, op := range r.all.Ops() {
			switch {
			case op.Kind == devicetest.Write && op.Offset >= r.cow.Size():
				writes = append(writes, op.Offset)
			case op.Kind == devicetest.Read && op.Offset > 1024:
				reads = append(reads, op.Offset)
			}
		}
		const windows = (n*1024 + window - 1) / window
		back, once := backwards(writes), backwards(reads) < windows
		if !cached && (back != windows-1 || !once) || cached && (back != 0 || once) {
			t.Errorf("cached is %v: %d times back on the origin, few times on the COW device is %v", cached, back, once)
		}
	}
}

// backwards is how often an offset is less than the one before.
func backwards(offsets []int64) (n int) {
	for i := range offsets {
		if i > 0 && offsets[i] < offsets[i-1] {
			n++
		}
	}
	return n
}

// wants wants origin and COW device to hold what they should.
func (r *rig) wants(t testing.TB, origin, cow []byte) {
	t.Helper()
	if !r.origin.Holds(origin) {
		t.Error("the origin holds something else")
	}
	if !r.cow.Holds(cow) {
		t.Error("the COW device holds something else")
	}
}

func geometry(t testing.TB, sectors uint32) format.Geometry {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestSteps: a step is the last run that is consecutive in both chunks, within an
// area. After each the snapshot shows the same, and the rest can be merged.
func TestSteps(t *testing.T) {
	const spec = `device 200
header chunk=1
fill 30 0
ex 30 50 40
ex 31 51 41
ex 32 52 42  # the next area: a run ends with one
ex 33 53 43
ex 34 55 44  # not after the old chunk before
ex 35 56 46  # not after the new one
ex 36 54 45  # not forwards
data 9`
	r := newRig(t, spec, 57)
	want := r.mustView(t)
	runs := []store.Run{{Old: 54, New: 45, Count: 1}, {Old: 56, New: 46, Count: 1}, {Old: 55, New: 44, Count: 1},
		{Old: 52, New: 42, Count: 2}, {Old: 50, New: 40, Count: 2}, {Old: 0, New: 2, Count: 30}}
	var previewed, done []store.Run
	m, err := Look(r.cow, r.origin, Opening{})
	if err == nil {
		err = m.Preview(100, func(x store.Run) error { previewed = append(previewed, x); return nil })
	}
	if err != nil || fmt.Sprint(previewed) != fmt.Sprint(runs) {
		t.Errorf("previewed %v, %v", previewed, err)
	}
	for range runs {
		// Some runs are longer than what is copied at once.
		result, err := r.step(small(4, 1024), 1, func(x store.Run) error { done = append(done, x); return nil })
		if err != nil || result.Chunks != uint64(done[len(done)-1].Count) {
			t.Fatal(result, err)
		}
		if !bytes.Equal(r.mustView(t), want) {
			t.Errorf("after %v the snapshot shows something else", done)
		}
		rest := r.clone()
		if _, err := rest.run(small(10, 1024)); err != nil || !rest.origin.Holds(want) {
			t.Errorf("after %v the rest cannot be merged: %v", done, err)
		}
	}
	if fmt.Sprint(done) != fmt.Sprint(runs) {
		t.Errorf("merged %v", done)
	}
	if result, err := r.step(small(4, 1024), 1, nil); err != nil || result.Chunks != 0 {
		t.Errorf("of nothing: %+v, %v", result, err)
	}
}

// TestKeep: the origin becomes what the snapshot shows, and the COW device is not
// written.
func TestKeep(t *testing.T) {
	spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 2)), 2, 200)
	r := newRig(t, spec, origin)
	want, cow := r.mustView(t), r.cow.Image()
	o := small(50, 4096)
	o.Keep = true
	result, err := r.run(o)
	if err != nil || result.Chunks != 200 {
		t.Fatal(result, err)
	}
	r.wants(t, want, cow)
}

// TestSkipIdentical: what the origin holds already is not written, and counted.
func TestSkipIdentical(t *testing.T) {
	for _, window := range []format.Bytes{8192, 1024} { // 1024 is less than a chunk
		spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 3)), 4, 150)
		r := newRig(t, spec, origin)
		want := r.mustView(t)
		for c := 0; c < len(want)/2048; c += 2 {
			r.all.Put(r.cow.Size()+int64(c)*2048, want[c*2048:][:2048])
		}
		r.all.Put(r.cow.Size()+2048, want[2048:][:1024]) // half of chunk 1
		list := mustList(t, r)
		same := uint64(0)
		for _, x := range list {
			if x.Old%2 == 0 && int(x.Old) < len(want)/2048 {
				same++
			}
		}
		cow := cleared(r.cow.Image(), 0, 150)
		o := small(50, window)
		o.SkipIdentical = true
		result, err := r.run(o)
		if err != nil || result.Identical != same || result.Chunks != 150 {
			t.Errorf("%+v, %v: want %d identical", result, err, same)
		}
		r.wants(t, want, cow)
		for _, op := range r.all.Ops() {
			at := op.Offset - r.cow.Size()
			if op.Kind == devicetest.Write && at >= 0 && at/2048%2 == 0 && int(at) < len(want)/2048*2048 {
				t.Fatalf("chunk %d was equal, and is written", at/2048)
			}
		}
	}
}

// TestVerify: what the origin does not hold when it is read back ends the merge
// before anything is cleared.
func TestVerify(t *testing.T) {
	spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 4)), 2, 100)
	r := newRig(t, spec, origin)
	want, cow, list := r.mustView(t), r.cow.Image(), mustList(t, r)
	o := small(1000, 4096)
	for _, x := range list {
		bad := min(int64(x.Old)*1024+1023, r.origin.Size()-1) // the chunk's last byte
		o.PastCache = []Reader{&flipped{r.origin, bad}}
		_, err := r.run(o)
		var d *DifferenceError
		if !errors.As(err, &d) || d.Old != x.Old || d.Offset != format.Bytes(bad) {
			t.Errorf("old chunk %d: %v", x.Old, err)
		}
		if !r.cow.Holds(cow) {
			t.Error("something was cleared all the same")
		}
	}
	o.PastCache = []Reader{r.origin}
	if _, err := r.run(o); err != nil {
		t.Fatal(err)
	}
	r.wants(t, want, cleared(cow, 0, 100))
}

// TestOpenSyncs: what a run that was killed has left in the page cache is durable before
// anything is made of it.
func TestOpenSyncs(t *testing.T) {
	spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 6)), 1, 10)
	r := newRig(t, spec, origin)
	record := r.all.Record()
	for _, d := range []*devicetest.Part{r.cow, r.origin} {
		last := d.Image()[d.Size()-sector:]
		last[0] ^= 1
		if _, err := d.WriteAt(last, d.Size()-sector); err != nil {
			t.Fatal(err)
		}
	}
	now := r.all.Image()
	if _, err := Open(r.cow, r.origin, Opening{}); err != nil {
		t.Fatal(err)
	}
	record.Mark("opened")
	for crash := range record.Crashes(10, rand.New(rand.NewPCG(1, 1))) {
		if len(crash.Marks) > 0 && !crash.Device().Holds(now) {
			t.Errorf("%v: not durable", crash)
		}
	}
}

// TestStepsRescueNothing: steps leave no chunk out, whatever the Options say.
func TestStepsRescueNothing(t *testing.T) {
	const chunk = 8 // sectors
	spec, origin := shuffled(rand.New(rand.NewPCG(devicetest.Seed(t), 8)), chunk, 10)
	r := newRig(t, spec, origin)
	list := mustList(t, r)
	bad := int64(list[len(list)-1].New) * chunk * sector
	r.all.Fault = devicetest.BadByte(bad, errors.New("medium error"))
	m, err := Open(r.cow, r.origin, Opening{})
	if err != nil {
		t.Fatal(err)
	}
	var transfer *TransferError
	if _, err = m.Steps(Options{Rescue: true}, 1, func(store.Run) error { return nil }); !errors.As(err, &transfer) {
		t.Errorf("%v", err)
	}
	r.all.Fault = nil
	if n := len(mustList(t, r)); n != len(list) {
		t.Errorf("%d exceptions are left of %d", n, len(list))
	}
}

func mustList(t testing.TB, r *rig) []format.Exception {
	t.Helper()
	list, _, err := exceptions(r.cow)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// flipped is a device that reads one byte wrongly.
type flipped struct {
	Reader
	at int64
}

func (f *flipped) ReadMany(p [][]byte, at []int64) (int, error) {
	failed, err := f.Reader.ReadMany(p, at)
	for i := range p {
		if n := f.at - at[i]; n >= 0 && n < int64(len(p[i])) {
			p[i][n] ^= 1
		}
	}
	return failed, err
}

// TestHolesAndShares: zeros become holes where they are to, and long stretches are
// shared where that is to be had. The result is the same.
func TestHolesAndShares(t *testing.T) {
	const spec = "device 4000\nheader chunk=8\nfill 100 50\nex 100 20 130\nex 101 30 133\nex 102 160 140\ndata 9\n" +
		"raw 40960 00*20480\nraw 0x82000 00*4096\nraw 0x85800 00*2048"
	begin := func() (r *rig, want, cow []byte) {
		r = newRig(t, spec, 1300)
		return r, r.mustView(t), cleared(r.cow.Image(), 0, 103)
	}
	t.Run("holes", func(t *testing.T) {
		r, want, cow := begin()
		o := small(1000, 32<<10)
		o.Hole = func(offset, length int64) error {
			_, err := r.origin.WriteAt(make([]byte, length), offset)
			return err
		}
		result, err := r.run(o)
		if err != nil || result.Holes != 20480+4096 || result.Written != 103*4096-20480-4096 {
			t.Errorf("%+v, %v", result, err)
		}
		r.wants(t, want, cow)
	})
	for name, times := range map[string]int{"shares": 1000, "shares twice": 2, "cannot share": 0} {
		t.Run(name, func(t *testing.T) {
			r, want, cow := begin()
			o, left := small(1000, 128<<10), times
			o.Share = func(source, offset, length int64) (bool, error) {
				if left--; left < 0 {
					return false, nil
				}
				b := r.cow.Image()[source : source+length]
				_, err := r.origin.WriteAt(b, offset)
				return true, err
			}
			result, err := r.run(o)
			if err != nil || result.Written+result.Shared < 103*4096 || (result.Shared > 0) != (times > 0) || times == 0 && left < -windows-1 {
				t.Errorf("%+v, %v, %d", result, err, left)
			}
			if times == 1000 && result.Shared < 300<<10 {
				t.Errorf("%+v", result)
			}
			r.wants(t, want, cow)
		})
	}
}

// TestRefused: what a check should have found is refused all the same, before
// anything is written.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want any
	}{
		"metadata":          {"ex 3 1 34", new(*BadExceptionError)},
		"the header":        {"ex 3 1 1", new(*BadExceptionError)},
		"beyond the device": {"ex 3 1 99", new(*BadExceptionError)},
		"beyond the origin": {"ex 3 50 10", new(*BadExceptionError)},
		"far beyond it":     {"ex 3 max 10", new(*BadExceptionError)},
		"old chunk twice":   {"ex 3 6 10", nil},
		"hidden":            {"raw 584 07", new(*store.HiddenError)},
	} {
		r := newRig(t, "device 99\nheader chunk=1\nfill 3\nfill 3\n"+c.spec, 50)
		if name == "hidden" {
			r = newRig(t, "device 100\nheader chunk=1\nfill 10\nraw 544 00*16", 50)
		}
		before := r.all.Image()
		m, err := Open(r.cow, r.origin, Opening{})
		if err == nil {
			_, err = m.Run(small(100, 1024))
		}
		if err == nil || c.want != nil && !errors.As(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Look(r.cow, r.origin, Opening{}); err == nil && c.want != nil {
			t.Errorf("%s: planned", name)
		}
		if !r.all.Holds(before) {
			t.Errorf("%s: something was written", name)
		}
	}
	large := newRig(t, "device 100\nheader chunk=1\nfill 3", 56)
	large.all.Block = 4096
	var state *look.StateError
	if _, err := large.run(small(100, 4096)); !errors.As(err, &state) {
		t.Errorf("blocks larger than chunks: %v", err)
	}
}
