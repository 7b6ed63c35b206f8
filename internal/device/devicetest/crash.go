package devicetest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Crash is a state that a crash may leave of a recorded device.
type Crash struct {
	Events int   // of the record, how many came before; the last one may have been under way
	Marks  []any // those among these events, in order

	events   []event // as many as Events
	durable  *Memory // never written to
	unsynced int     // how many sectors were not durable
	written  []sector
}

// sector is what an event wrote to one sector.
type sector struct {
	number int64 // in sectors of 512 bytes
	event  int   // which one of the record, counted from 0
	data   []byte
}

// Device returns a device in this state, a new one with each call. It shares
// what it has in common with the others.
func (c Crash) Device() *Memory {
	m := c.durable.Clone()
	for _, s := range c.written {
		m.Put(s.number*sectorSize, s.data)
	}
	return m
}

// AmidDurable reports whether the last event before the crash was a durable write, which may have been torn.
func (c Crash) AmidDurable() bool { return c.Events > 0 && c.events[c.Events-1].durable }

// String tells which state it is: what came before, and which of the unsynced
// sectors were written, by which event.
func (c Crash) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "crash after %d events", c.Events)
	if c.Events > 0 {
		fmt.Fprintf(&b, ", the last %v", c.events[c.Events-1])
	}
	fmt.Fprintf(&b, "; %d of %d unsynced sectors written", len(c.written), c.unsynced)
	for i, s := range c.written {
		fmt.Fprintf(&b, "%s%d (event %d)", [2]string{": ", ", "}[min(i, 1)], s.number, s.event)
	}
	return b.String()
}

// Crashes are the states that a crash may leave, after each number of events
// from 0 up to all so far.
//
// Each sector of 512 bytes holds what was durable there or any of what was
// written since, whatever the others hold. The last event may have been under
// way: of a durable write, too, any subset of sectors may be there, together
// with all that was synced before; a later event, be it a mark, tells that it
// has returned. What leaves a sector's content as it was does not count.
//
// Where that makes no more than limit states of one number of events, all of
// them are visited. Otherwise these are:
//   - the first k sectors written, for each k from none to all;
//   - each sector alone with each of its versions, the others as before;
//   - each sector alone with each of its versions, the others as last written;
//   - limit more by rng, from few sectors written to most.
//
// A state is visited once, with the fewest events, unless the marks differ.
// Both time and the number of states grow fast with what is unsynced at once:
// hundreds of sectors are well, thousands are not. A short run (go test -short)
// visits one in so many of them.
func (r *Record) Crashes(limit int, rng *rand.Rand) iter.Seq[Crash] {
	return func(yield func(Crash) bool) {
		events := r.all()
		d := &disk{durable: r.base.Clone()}
		for n := 0; ; n++ {
			durable, visited := d.durable.Clone(), 0
			for c := range d.choices(limit, rng) {
				if !d.first(c) {
					continue
				}
				if visited++; testing.Short() && visited%inShort != 1 {
					continue
				}
				crash := Crash{n, d.marks, events[:n], durable, len(d.unsynced), d.written(c)}
				if !yield(crash) {
					return
				}
			}
			if n == len(events) {
				return
			}
			d.next(events[:n+1])
		}
	}
}

// inShort is how many states there are for each that a short run visits.
const inShort = 9

// choice is a state of the unsynced sectors: for each, which of its versions.
type choice []int

// choices are those that Crashes promises. The slice is the caller's until it
// asks for the next one.
func (d *disk) choices(limit int, rng *rand.Rand) iter.Seq[choice] {
	states := 1
	for _, u := range d.unsynced {
		if states *= len(u.versions); states > limit {
			return func(yield func(choice) bool) {
				_ = d.corners(yield) && d.random(limit, rng, yield)
			}
		}
	}
	return d.every
}

// every yields all choices, as an odometer does.
func (d *disk) every(yield func(choice) bool) {
	c := make(choice, len(d.unsynced))
	for yield(c) {
		i := 0
		for ; i < len(c) && c[i] == len(d.unsynced[i].versions)-1; i++ {
			c[i] = 0
		}
		if i == len(c) {
			return
		}
		c[i]++
	}
}

// corners yields those that differ from nothing or from everything by a
// beginning or by one sector.
func (d *disk) corners(yield func(choice) bool) bool {
	none := make(choice, len(d.unsynced))
	last := make(choice, len(d.unsynced))
	for i, u := range d.unsynced {
		last[i] = u.last
	}
	for k := range len(last) + 1 {
		if !yield(slices.Concat(last[:k], none[k:])) {
			return false
		}
	}
	for _, others := range []choice{none, last} {
		for i, u := range d.unsynced {
			c := slices.Clone(others)
			for c[i] = range u.versions {
				if !yield(c) {
					return false
				}
			}
		}
	}
	return true
}

// random yields n choices, each with a density of its own.
func (d *disk) random(n int, rng *rand.Rand, yield func(choice) bool) bool {
	c := make(choice, len(d.unsynced))
	for range n {
		density := rng.Float64()
		for i, u := range d.unsynced {
			if c[i] = 0; rng.Float64() < density {
				c[i] = 1 + rng.IntN(len(u.versions)-1)
			}
		}
		if !yield(c) {
			return false
		}
	}
	return true
}
