package store_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// More than rapid does by itself: a store gets interesting where areas end. The
// flags on the command line go before these.
func init() {
	for name, value := range map[string]string{"rapid.checks": "1000", "rapid.steps": "80"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// model is what a store must be, kept in the plainest way.
type model struct {
	d *devicetest.Memory
	s *store.Store

	committed []format.Exception // on disk, in order
	gathered  []format.Exception // their turn has come, and nobody was told yet
	waiting   []*attempt         // in the order of preparation
	told      []answer           // what the last commit had to tell
	heard     []answer           // what it told
	next      format.OldChunk
}

// attempt is an exception that was prepared.
type attempt struct {
	store.Pending
	finished, copied bool
}

// answer is what the caller of a commit is told.
type answer struct {
	format.Exception
	ok bool
}

// TestModel has random operations done to a store and to the model of it, with
// reloads, merges and full devices, and compares the two after each.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunk := rapid.SampledFrom([]int{1, 2}).Draw(t, "chunk")
		size := rapid.IntRange(2*chunk, 110*chunk).Draw(t, "sectors")
		spec := fmt.Sprintf("device %d\nheader chunk=%d", size, chunk)
		image, err := storespec.Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		m := &model{d: devicetest.Of(image)}
		m.reopen(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"prepare": m.prepare,
			"many":    m.many,
			"commit":  m.commit,
			"settle":  m.settle,
			"merge":   m.merge,
			"reopen":  m.reopen,
			"twice":   m.twice,
		})
	})
}

func (m *model) reopen(t *rapid.T) {
	s, err := store.Open(m.d, store.Options{Table: true, HiddenVoid: true})
	if err != nil {
		t.Fatal(err)
	}
	m.s, m.gathered, m.waiting = s, nil, nil // what was in flight is lost
}

// slots is the number of exceptions in an area.
func (m *model) slots() int { return m.s.Geometry().ExceptionsPerArea() }

// inFlight are those that a reload would lose.
func (m *model) inFlight() int { return len(m.gathered) + len(m.waiting) }

// prepare prepares an exception, or is refused for want of room.
func (m *model) prepare(t *rapid.T) {
	free := m.s.Usage().Free()
	p, err := m.s.PrepareException(m.next)
	if errors.Is(err, store.ErrNoRoom) {
		// Copies that fail leave their slots, not their chunks.
		if free > uint64(m.inFlight()) {
			t.Fatalf("%v, with %d in flight, and %d were free", err, m.inFlight(), free)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.next++
	g := m.s.Geometry()
	if uint64(p.New) >= g.Chunks(format.Bytes(m.d.Size())) || p.New < format.FirstData || g.IsMetadata(p.New) {
		t.Fatalf("%v: not a data chunk", p)
	}
	for _, w := range m.waiting {
		if w.New == p.New {
			t.Fatalf("%v: given out twice", p)
		}
	}
	for _, x := range slices.Concat(m.committed, m.gathered) {
		if x.New == p.New {
			t.Fatalf("%v: in use", p)
		}
	}
	m.waiting = append(m.waiting, &attempt{Pending: p})
}

func (m *model) many(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "exceptions") {
		m.prepare(t)
	}
}

// commit commits one of those that wait.
func (m *model) commit(t *rapid.T) {
	var open []*attempt
	for _, w := range m.waiting {
		if !w.finished {
			open = append(open, w)
		}
	}
	if len(open) == 0 {
		t.Skip("none waits")
	}
	m.finish(t, rapid.SampledFrom(open).Draw(t, "which"), rapid.IntRange(0, 9).Draw(t, "copied") > 0)
}

// settle commits all that wait, the last first.
func (m *model) settle(t *rapid.T) {
	for _, w := range slices.Backward(slices.Clone(m.waiting)) {
		if !w.finished {
			m.finish(t, w, true)
		}
	}
}

// finish commits an exception in the store and in the model, and compares what
// the two tell.
func (m *model) finish(t *rapid.T, w *attempt, copied bool) {
	g := m.s.Geometry()
	if copied {
		if _, err := m.d.WriteAt(content(g, w.Old), int64(g.Offset(w.New))); err != nil {
			t.Fatal(err)
		}
	}
	w.finished, w.copied = true, copied
	m.told, m.heard = nil, nil
	m.advance()
	m.s.CommitException(w.Pending, copied, func(err error) {
		if err != nil && !errors.Is(err, store.ErrCopyFailed) {
			t.Fatalf("%v: %v", w, err)
		}
		m.heard = append(m.heard, answer{w.Exception, err == nil})
	})
	if !slices.Equal(m.heard, m.told) {
		t.Fatalf("told %v, want %v", m.heard, m.told)
	}
}

// advance lets those go on whose turn has come: in the order of preparation,
// written when the area is full or none waits.
func (m *model) advance() {
	for len(m.waiting) > 0 && m.waiting[0].finished {
		w := m.waiting[0]
		m.waiting = m.waiting[1:]
		if !w.copied {
			m.told = append(m.told, answer{w.Exception, false})
			continue
		}
		m.gathered = append(m.gathered, w.Exception)
		if (len(m.committed)+len(m.gathered))%m.slots() == 0 {
			m.flush()
		}
	}
	if len(m.waiting) == 0 {
		m.flush()
	}
}

func (m *model) flush() {
	for _, x := range m.gathered {
		m.told = append(m.told, answer{x, true})
	}
	m.committed = append(m.committed, m.gathered...)
	m.gathered = nil
}

// merge merges away the end of the last run, gives up before that, or finds that
// it must not.
func (m *model) merge(t *rapid.T) {
	r, err := m.s.PrepareMerge()
	if m.inFlight() > 0 {
		if !errors.Is(err, store.ErrInFlight) {
			t.Fatalf("%d in flight: %v", m.inFlight(), err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := m.run(); r != want {
		t.Fatalf("%+v, want %+v", r, want)
	}
	if r.Count == 0 {
		return
	}
	n := rapid.IntRange(0, r.Count).Draw(t, "merged")
	if n == 0 {
		return
	}
	if err := m.s.CommitMerge(n); err != nil {
		t.Fatal(err)
	}
	left := len(m.committed) - n
	for _, x := range m.committed[left:] {
		if got, ok := m.s.Lookup(x.Old); ok {
			t.Fatalf("%v was merged: lookup gives %d", x, got)
		}
	}
	m.committed = m.committed[:left]
	// The area stays the current one until the next step, be it empty.
	area := format.AreaIndex((left + n - 1) / m.slots())
	want := m.s.Geometry().AreaLocation(area) + format.NewChunk(left-int(area)*m.slots()) + 1
	if got := m.s.Usage().End.NextFree; got != want {
		t.Fatalf("%d are left: next free chunk %d, and the kernel's guess is %d", left, got, want)
	}
}

// run is the last run of consecutive chunks in the last area that has any.
func (m *model) run() (r store.Run) {
	first := (len(m.committed) - 1) / m.slots() * m.slots()
	for i := len(m.committed) - 1; i >= first; i-- {
		x := m.committed[i]
		if r.Count > 0 && (x.Old+1 != r.Old || x.New+1 != r.New) {
			break
		}
		r = store.Run{Old: x.Old, New: x.New, Count: r.Count + 1}
	}
	return r
}

// twice prepares an old chunk that has an exception.
func (m *model) twice(t *rapid.T) {
	if len(m.committed) == 0 {
		t.Skip("there are none")
	}
	x := rapid.SampledFrom(m.committed).Draw(t, "exception")
	var exists *store.ExistsError
	if p, err := m.s.PrepareException(x.Old); !errors.As(err, &exists) || exists.Exception != x {
		t.Fatalf("%v again: %v, %v", x, p, err)
	}
}

// compare reads the whole store and compares it with the model.
func (m *model) compare(t *rapid.T) {
	id, err := look.Identify(m.d, look.FreshGeometry(m.d))
	if err != nil || id.State != look.Valid {
		t.Fatalf("%+v, %v", id, err)
	}
	list, err := exceptions(m.d)
	if err != nil || !slices.Equal(list, m.committed) {
		t.Fatalf("on disk %v, want %v (%v)", list, m.committed, err)
	}
	s := naive.Of(m.d.Image())
	for _, x := range list {
		if !bytes.Equal(s.Data(uint64(x.New)), content(id.Geometry, x.Old)) {
			t.Fatalf("%v: other data", x)
		}
		if n, ok := m.s.Lookup(x.Old); !ok || n != x.New {
			t.Fatalf("%v: lookup gives %d, %v", x, n, ok)
		}
	}
	if n, ok := m.s.Lookup(m.next); ok {
		t.Fatalf("old chunk %d, which was never prepared: lookup gives %d", m.next, n)
	}
	m.compareUsage(t, list)
	if faults := errorsOf(m.d, id.Geometry); len(faults) > 0 {
		t.Fatalf("%v", faults)
	}
}

// compareUsage compares what the store counts with what is on disk. After a merge
// its highest chunk stays as it was.
func (m *model) compareUsage(t *rapid.T, list []format.Exception) {
	end := m.s.Usage().End
	var highest format.NewChunk
	for _, x := range list {
		highest = max(highest, x.New)
	}
	if end.Exceptions != uint64(len(list)) || end.Highest < highest {
		t.Fatalf("usage: %d exceptions, highest new chunk %d; on disk %d, %d", end.Exceptions, end.Highest, len(list), highest)
	}
}
