package devicetest

import (
	"fmt"
	"slices"
	"sync"
)

// Record is what was done to a device since Memory.Record, in one order: what
// several goroutines do at once is recorded as if one had waited for another.
type Record struct {
	base *Memory // what was durable at its start

	mu     sync.Mutex
	events []event
}

// event is a write, a Sync or, if it is of no kind, a mark.
type event struct {
	kind    Kind
	durable bool   // that a write is, as soon as it has returned
	offset  int64  // of a write, or of the part that a Sync is of
	length  int64  // of that part
	data    []byte // of a write, what was written
	mark    any
}

// Record starts a record, in place of an earlier one: all content is durable
// now, and what is written from now on as far as it is synced.
func (m *Memory) Record() *Record {
	r := &Record{base: m.Clone()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = r
	return r
}

// Mark notes v at this point of the order: Crash.Marks has it where the crash
// came later.
func (r *Record) Mark(v any) { r.add(event{mark: v}) }

// Len is the number of events so far: a write, a Sync or a mark is one, a
// durable write two. A failed Sync is none, a failed write is what it left.
func (r *Record) Len() int { return len(r.all()) }

// all are the events so far. Nobody writes to them any more.
func (r *Record) all() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.events)
}

// add copies the event's data. A record that was not started takes nothing.
func (r *Record) add(e event) {
	if r == nil {
		return
	}
	e.data = slices.Clone(e.data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (e event) String() string {
	switch {
	case e.kind == Sync:
		return fmt.Sprintf("a sync of %d bytes at %d", e.length, e.offset)
	case e.kind != Write:
		return fmt.Sprintf("the mark %v", e.mark)
	case e.durable:
		return fmt.Sprintf("a durable write of %d bytes at %d", len(e.data), e.offset)
	}
	return fmt.Sprintf("a write of %d bytes at %d", len(e.data), e.offset)
}
