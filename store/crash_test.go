package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// The marks of a record: what was promised or begun by then.
type (
	acknowledged format.Exception
	merging      format.Exception // may be gone
	merged       format.Exception // is gone
	dropping     struct{}
)

// history is a random life of a store on a device.
type history struct {
	t      *testing.T
	d      *devicetest.Memory
	record *devicetest.Record
	rng    *rand.Rand
	s      *store.Store
	next   format.OldChunk
	ever   map[format.Exception]bool // prepared
	hidden int                       // crashes that left hidden exceptions
	faults bool                      // are expected
	image  []byte                    // of the last device that was read
}

// read is the store on a device, without the engine's code, until the next is read, and its list. There are
// millions of states to look at: the memory for the image is used again.
func (h *history) read(d *devicetest.Memory) (naive.Store, []format.Exception) {
	h.t.Helper()
	id, err := look.Identify(d, geometry(h.t, 8))
	if err != nil || id.State != look.Valid {
		h.t.Fatalf("%+v, %v", id, err)
	}
	h.image = slices.Grow(h.image[:0], int(d.Size()))[:d.Size()]
	d.Peek(h.image, 0)
	s := naive.Of(h.image)
	all, err := listed(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return s, all
}

func newHistory(t *testing.T, rng *rand.Rand, spec string) *history {
	d := devicetest.Of(storespec.MustCompile(t, spec))
	h := &history{t: t, d: d, rng: rng, ever: map[format.Exception]bool{}}
	h.s = open(t, d)
	h.record = d.Record()
	return h
}

// exceptions commits n exceptions that are in flight together, in any order.
// One copy in eight fails.
func (h *history) exceptions(n int) {
	h.batch(h.rng.Perm(n), func(int) bool { return h.rng.IntN(8) > 0 })
}

// batch prepares as many exceptions as there are numbers in order, and commits
// them in this order, as long as there is room. copied tells whose copy succeeds.
func (h *history) batch(order []int, copied func(i int) bool) {
	var pending []store.Pending
	for range order {
		p, err := h.s.PrepareException(h.next)
		if err != nil {
			break // it is full, or has failed
		}
		h.next++
		h.ever[p.Exception] = true
		pending = append(pending, p)
	}
	for _, i := range order {
		if i < len(pending) {
			h.commit(pending[i], copied(i))
		}
	}
}

// commit copies the chunk of an exception, or does not, and commits it.
func (h *history) commit(p store.Pending, copied bool) {
	if copied {
		g := h.s.Geometry()
		if _, err := h.d.WriteAt(content(g, p.Old), int64(g.Offset(p.New))); err != nil {
			h.failed(err)
			copied = false
		}
	}
	h.s.CommitException(p, copied, func(err error) {
		switch {
		case err == nil && !copied:
			h.t.Errorf("%v was not copied, and is committed", p)
		case err == nil:
			h.record.Mark(acknowledged(p.Exception))
		case copied:
			h.failed(err)
		}
	})
}

// failed ends the test, unless faults are expected.
func (h *history) failed(err error) {
	if !h.faults {
		h.t.Fatal(err)
	}
}

// merge merges away a run, or the end of it.
func (h *history) merge(whole bool) {
	r, err := h.s.PrepareMerge()
	if err != nil {
		h.failed(err)
		return
	}
	if r.Count == 0 {
		return
	}
	n := r.Count
	if !whole {
		n = 1 + h.rng.IntN(n)
	}
	var cleared []format.Exception
	for i := r.Count - n; i < r.Count; i++ {
		x := format.Exception{Old: r.Old + format.OldChunk(i), New: r.New + format.NewChunk(i)}
		cleared = append(cleared, x)
		h.record.Mark(merging(x))
	}
	if err := h.s.CommitMerge(n); err != nil {
		h.failed(err)
		return
	}
	for _, x := range cleared {
		h.record.Mark(merged(x))
	}
}

// reopen goes on with the store as it is on the device.
func (h *history) reopen() {
	s, err := store.Open(h.d, store.Options{Table: true, HiddenVoid: true})
	if err != nil {
		h.failed(err)
		return
	}
	h.s = s
}

// drop drops the snapshot. What comes after it fails.
func (h *history) drop() {
	h.faults = true
	h.record.Mark(dropping{})
	if err := h.s.Drop(); err != nil {
		h.failed(err)
	}
}

// live goes on for a number of steps.
func (h *history) live(steps int) {
	for range steps {
		switch h.rng.IntN(6) {
		case 0:
			h.reopen()
		case 1:
			h.merge(false)
		default:
			h.exceptions(1 + h.rng.IntN(12))
		}
	}
}

// promise is what a crash must leave.
type promise struct {
	must map[format.Exception]bool
	gone map[format.Exception]bool
	lost bool // the snapshot was being dropped
}

func promised(marks []any) promise {
	p := promise{must: map[format.Exception]bool{}, gone: map[format.Exception]bool{}}
	for _, m := range marks {
		switch m := m.(type) {
		case acknowledged:
			p.must[format.Exception(m)] = true
		case merging:
			delete(p.must, format.Exception(m))
		case merged:
			p.gone[format.Exception(m)] = true
		case dropping:
			p.lost = true
		}
	}
	return p
}

// check checks what a crash has left, and that going on works; with twice, also
// what a second crash leaves of that.
func (h *history) check(c devicetest.Crash, twice bool) error {
	d := c.Device()
	p := promised(c.Marks)
	if p.lost {
		if id, err := look.Identify(d, geometry(h.t, 8)); err != nil || id.State != look.Valid && id.State != look.Invalid {
			return fmt.Errorf("%+v, %v", id, err)
		}
		return nil
	}
	on, before := h.read(d)
	if err := h.sound(on, before, p); err != nil {
		return err
	}
	if faults := errorsOf(d, h.s.Geometry()); len(faults) > 0 {
		return errors.New(faults[0])
	}
	if gap(on, len(before)) > 0 {
		h.hidden++
		twice = true
	}
	if !twice {
		return h.goOn(d, d)
	}
	r := d.Record()
	if err := h.goOn(d, d.Clone()); err != nil {
		return err
	}
	for again := range r.Crashes(24, h.rng) {
		if err := h.onlyAdded(again.Device(), before); err != nil {
			return fmt.Errorf("and again, %v: %w", again, err)
		}
	}
	return nil
}

// onlyAdded checks that what was there before goOn is there, in its place, and
// behind it nothing but what goOn added.
func (h *history) onlyAdded(d *devicetest.Memory, before []format.Exception) error {
	_, all := h.read(d)
	for i, x := range all {
		if i < len(before) && x != before[i] || i >= len(before) && x.Old < added {
			return fmt.Errorf("exception %d is %v, and there were %d", i, x, len(before))
		}
	}
	return nil
}

// added is the first old chunk of those that goOn adds.
const added = 1 << 20

// sound checks the list and its data against what was promised.
func (h *history) sound(s naive.Store, list []format.Exception, p promise) error {
	found := map[format.Exception]bool{}
	for _, x := range list {
		switch {
		case found[x]:
			return fmt.Errorf("%v is there twice", x)
		case !h.ever[x]:
			return fmt.Errorf("%v is there, and was never prepared", x)
		case p.gone[x]:
			return fmt.Errorf("%v is there, and was merged away", x)
		case !bytes.Equal(s.Data(uint64(x.New)), content(h.s.Geometry(), x.Old)):
			return fmt.Errorf("%v has not its data", x)
		}
		found[x] = true
	}
	for x := range p.must {
		if !found[x] {
			return fmt.Errorf("%v was acknowledged, and is not there", x)
		}
	}
	return nil
}

// gap is how many exceptions would fill the gap in front of those that are
// hidden behind the terminator of the list, 0 where none are.
func gap(s naive.Store, exceptions int) int {
	for n := exceptions + 1; n%s.PerArea() != 0; n++ {
		if x, _ := s.Slot(n); x.New != 0 {
			return n - exceptions
		}
	}
	return 0
}

// goOn adds exceptions to what a crash has left, at once, and as many as fill
// the gap in front of hidden ones: those must not come alive. The data go to a
// device of their own, so that there are fewer states where nobody looks at them.
func (h *history) goOn(d, data *devicetest.Memory) error {
	on, before := h.read(d)
	s, err := store.Open(d, store.Options{Table: true, HiddenVoid: true})
	if err != nil {
		return err
	}
	var want []format.OldChunk
	for _, x := range before {
		want = append(want, x.Old)
	}
	n := gap(on, len(before))
	if n == 0 {
		n = h.rng.IntN(40)
	}
	n = min(n, int(s.Usage().Free()))
	more := span(added, added+format.OldChunk(n))
	if err := add(s, data, more...); err != nil {
		return fmt.Errorf("%d more: %w", n, err)
	}
	want = append(want, more...)
	layout, after := h.read(d)
	if len(after) != len(want) {
		return fmt.Errorf("%d exceptions, and %d more: there are %d", len(before), n, len(after))
	}
	used := map[format.NewChunk]bool{}
	for i, x := range after {
		if x.Old != want[i] || used[x.New] || !layout.IsData(uint64(x.New)) {
			return fmt.Errorf("exception %d is %v, want old chunk %d", i, x, want[i])
		}
		used[x.New] = true
	}
	return nil
}

// lives are devices to live on. Stale ones hold entries of an earlier life in
// all areas but the first, which is normal.
var lives = map[string]string{
	"chunk 1":        "device 300\nheader chunk=1",
	"chunk 1, full":  "device 67\nheader chunk=1",
	"chunk 2":        "device 400\nheader chunk=2",
	"chunk 2, stale": "device 400\nheader chunk=2\nraw 2048 77*202752",
	"chunk 8":        "device 1600\nheader chunk=8\nraw 8192 01*811008",
}

// TestCrashes takes random sequences, exhaustively where they leave little
// unsynced at a time.
func TestCrashes(t *testing.T) {
	for name, spec := range lives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			rounds := 4
			if testing.Short() && name == "chunk 8" {
				t.Skip("takes long")
			}
			if testing.Short() || name == "chunk 8" {
				rounds = 1
			}
			states, hidden := 0, 0
			for range rounds {
				h := newHistory(t, rng, spec)
				h.live(40)
				if rng.IntN(4) == 0 {
					h.drop()
				}
				for c := range h.record.Crashes(24, rng) {
					states++
					if err := h.check(c, states%64 == 0); err != nil {
						t.Fatalf("%v: %v", c, err)
					}
				}
				hidden += h.hidden
			}
			t.Logf("%d states, %d of them with hidden exceptions", states, hidden)
		})
	}
}

// TestCrashesOfAllShortSequences takes every sequence of three operations from
// every place where something happens, and all the states that a crash may leave
// of it.
func TestCrashesOfAllShortSequences(t *testing.T) {
	always := func(int) bool { return true }
	operations := []func(h *history){
		func(h *history) { h.batch([]int{0}, always) },
		func(h *history) { h.batch([]int{1, 0}, func(i int) bool { return i != 0 }) },
		func(h *history) { h.batch([]int{2, 0, 1}, always) },
		func(h *history) { h.merge(true) },
		(*history).reopen,
		(*history).drop,
	}
	for _, start := range []struct {
		chunk, exceptions int
	}{
		{1, 0}, {1, 30}, {1, 31}, {1, 32}, // an area holds 32
		{2, 30}, {2, 31}, {2, 32}, {2, 62}, {2, 63}, {2, 64}, // a sector holds 32
	} {
		t.Run(fmt.Sprintf("chunk %d, %d exceptions", start.chunk, start.exceptions), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			n := len(operations)
			for sequence := range n * n * n {
				if testing.Short() && sequence%7 != 0 {
					continue // on a processor that is emulated
				}
				h := newHistory(t, rng, fmt.Sprintf("device 300\nheader chunk=%d", start.chunk))
				h.begin(start.exceptions)
				known := -1 // events that an earlier sequence began with, too
				for nth, i := range []int{sequence / n / n, sequence / n % n, sequence % n} {
					if nth == sameBeginning(sequence, n) {
						known = h.record.Len()
					}
					operations[i](h)
				}
				for c := range h.record.Crashes(1<<12, rng) {
					if c.Events <= known && !testing.Short() {
						continue
					}
					if err := h.check(c, false); err != nil {
						t.Fatalf("sequence %d: %v: %v", sequence, c, err)
					}
				}
			}
		})
	}
}

// sameBeginning is how many operations of a sequence, three digits to the base n, are those that the
// sequence before it began with: what a crash leaves of these is known.
func sameBeginning(sequence, n int) int {
	switch {
	case sequence%n > 0:
		return 2
	case sequence%(n*n) > 0:
		return 1
	}
	return -1
}

// begin adds n exceptions, and begins the record behind them.
func (h *history) begin(n int) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	h.batch(order, func(int) bool { return true })
	h.startRecord()
}

// startRecord begins a record of a store in which all is committed.
func (h *history) startRecord() {
	h.record = h.d.Record()
	for x := range h.ever {
		h.record.Mark(acknowledged(x))
	}
}
