// Package pace says how fast snapshots fill, or are merged, and how long they will last: from readings of how full they
// were. It reads nothing itself and has no clock of its own.
package pace

import (
	"cmp"
	"slices"
	"time"
)

// The windows that rates are smoothed over.
const (
	Short = time.Minute
	Long  = 15 * time.Minute
)

// Reading is how full a snapshot was at a moment.
type Reading struct {
	At      time.Duration // on a clock that never jumps, such as the time since the machine was started
	Stored  uint64        // exceptions that the store has
	Left    uint64        // exceptions that can still be stored
	Merging bool          // the store is emptied into the origin
}

// What is kept: all readings of the last while, and of what went before one in so long, up to an hour and a little.
const (
	fine    = 90 * time.Second
	most    = 128 // of those that are fine
	coarse  = 15 * time.Second
	horizon = time.Hour + time.Minute
)

// History is the readings of one snapshot, in order of time. The zero value has none.
type History struct {
	readings []Reading
}

// Add adds a reading. What was known is forgotten where the reading can be no later one of the same store: the clock
// went back, exceptions are gone though nothing is merged, or a merge has begun or ended.
func (h *History) Add(r Reading) {
	if last, ok := h.Last(); ok {
		switch {
		case r.At == last.At:
			return
		case r.At < last.At, r.Merging != last.Merging, !r.Merging && r.Stored < last.Stored, r.Merging && r.Stored > last.Stored:
			h.readings = h.readings[:0]
		}
	}
	h.readings = append(h.readings, r)
	h.thin()
}

// thin drops readings that nobody needs any more.
func (h *History) thin() {
	now := h.readings[len(h.readings)-1].At
	first, _ := slices.BinarySearchFunc(h.readings, now-fine, byTime)
	first = max(first, len(h.readings)-most)
	kept := h.readings[:0]
	for i, r := range h.readings {
		switch {
		case i >= first, i >= len(h.readings)-2: // two make a rate, however seldom they come
		case r.At < now-horizon, len(kept) > 0 && r.At-kept[len(kept)-1].At < coarse:
			continue
		}
		kept = append(kept, r)
	}
	h.readings = kept
}

func byTime(r Reading, at time.Duration) int { return cmp.Compare(r.At, at) }

// Last is the last reading.
func (h *History) Last() (Reading, bool) {
	if len(h.readings) == 0 {
		return Reading{}, false
	}
	return h.readings[len(h.readings)-1], true
}

// Readings are all that are kept. They must not be changed.
func (h *History) Readings() []Reading { return h.readings }

// Rate is how many exceptions a second were stored, or merged, in the window that ends with the last reading. It is
// known from when the readings go back a sixth of the window.
func (h *History) Rate(window time.Duration) (perSecond float64, known bool) {
	last, ok := h.Last()
	if !ok {
		return 0, false
	}
	i, _ := slices.BinarySearchFunc(h.readings, last.At-window, byTime)
	first := h.readings[i]
	span := last.At - first.At
	if span < window/6 { // readings that come seldom go back farther, also where one has just come between
		if i == 0 {
			return 0, false
		}
		first = h.readings[i-1]
		span = last.At - first.At
	}
	done := last.Stored - first.Stored
	if last.Merging {
		done = first.Stored - last.Stored
	}
	return float64(done) / span.Seconds(), true
}

// Forecast is what becomes of a snapshot if it goes on like this.
type Forecast struct {
	Known bool          // there are enough readings to say
	Ever  bool          // it comes to an end at all: nothing was stored, or merged, else
	Left  time.Duration // until it is full, or merged
}

// Longest is the longest time that is told: nobody plans for a hundred years.
const Longest = 100 * 365 * 24 * time.Hour

// Forecast supposes the faster one of the two rates of a snapshot that fills, since a warning that comes early is worth
// more than one that comes late, and of a merge the slower one. With one rate alone it supposes that.
func (h *History) Forecast() Forecast {
	last, ok := h.Last()
	if !ok {
		return Forecast{}
	}
	if !last.Merging && last.Left == 0 {
		return Forecast{Known: true, Ever: true}
	}
	short, known := h.Rate(Short)
	if long, also := h.Rate(Long); also && (!known || !last.Merging && long > short || last.Merging && long < short) {
		short, known = long, true
	}
	f := Forecast{Known: known, Ever: short > 0}
	if f.Ever {
		rest := last.Left
		if last.Merging {
			rest = last.Stored
		}
		f.Left = time.Duration(min(float64(rest)/short, Longest.Seconds()) * float64(time.Second))
	}
	return f
}

// Steps are how many exceptions were stored, or merged, in each of n parts of the time that ends with the last
// reading; negative where nothing is known of a part.
func (h *History) Steps(n int, over time.Duration) []float64 {
	steps := make([]float64, n)
	part := over / time.Duration(n)
	last, _ := h.Last()
	for i := range steps {
		end := last.At - part*time.Duration(n-1-i)
		from, known := h.stored(end - part)
		to, also := h.stored(end)
		steps[i] = -1
		if known && also {
			steps[i] = max(to-from, from-to)
		}
	}
	return steps
}

// stored is how many exceptions there were at a moment, between two readings as if they had come steadily.
func (h *History) stored(at time.Duration) (float64, bool) {
	i, _ := slices.BinarySearchFunc(h.readings, at, byTime)
	if i == len(h.readings) || i == 0 && h.readings[0].At != at {
		return 0, false
	}
	b := h.readings[i]
	if b.At == at {
		return float64(b.Stored), true
	}
	a := h.readings[i-1]
	share := float64(at-a.At) / float64(b.At-a.At)
	return float64(a.Stored) + share*(float64(b.Stored)-float64(a.Stored)), true
}
