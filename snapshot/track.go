package snapshot

import (
	"cmp"
	"math"
	"slices"
	"time"

	"dmcow/internal/pace"
)

// Tracked is a snapshot that was looked at several times.
type Tracked struct {
	Seen
	History pace.History
	Gone    bool   // it is no longer there
	ToMerge uint64 // exceptions that a merge had when it was seen first
	Course  Course // only where it is kept
	at      time.Duration
	listed  bool
}

// Forecast is what becomes of it if it goes on like this.
func (t *Tracked) Forecast() pace.Forecast {
	switch {
	case t.Gone, t.Lost(), !t.Known:
		return pace.Forecast{}
	}
	return t.History.Forecast()
}

// Tracks are the snapshots that a lookout has seen.
type Tracks struct {
	All    []*Tracked // the most urgent one first
	Draws  bool       // how full they are is kept for the whole time
	Drawn  []*Tracked // these, in the order in which they came, also when they are gone
	byName map[string]*Tracked
}

// mournFor is how long a snapshot that is gone is kept.
const mournFor = time.Minute

// Add adds what was seen at a moment.
func (t *Tracks) Add(now time.Duration, all []Seen) {
	if t.byName == nil {
		t.byName = map[string]*Tracked{}
	}
	for _, s := range all {
		x := t.byName[s.Name]
		if x == nil {
			x = new(Tracked)
			t.byName[s.Name] = x
			if t.Draws {
				t.Drawn = append(t.Drawn, x)
			}
		}
		if !x.listed {
			t.All, x.listed = append(t.All, x), true
		}
		x.see(now, s)
		if p, known := s.Percent(); known && t.Draws {
			x.Course.add(now, p)
		}
	}
	t.All = slices.DeleteFunc(t.All, func(x *Tracked) bool {
		x.Gone = x.at != now
		if !x.Gone || now-x.at <= mournFor {
			return false
		}
		if x.listed = false; !t.Draws {
			delete(t.byName, x.Name)
		}
		return true
	})
	slices.SortStableFunc(t.All, byUrgency)
}

func (x *Tracked) see(now time.Duration, s Seen) {
	if s.Err != nil && x.at > 0 && x.Err == nil && x.Active { // it was removed, and its name stands for nothing
		return
	}
	x.Seen, x.at = s, now
	if !s.Known || s.Lost() {
		return
	}
	x.History.Add(pace.Reading{At: now, Stored: s.Usage.End.Exceptions, Left: s.Usage.Free(), Merging: s.Merging})
	if !s.Merging {
		x.ToMerge = 0
	}
	x.ToMerge = max(x.ToMerge, x.merging())
}

func (x *Tracked) merging() uint64 {
	if !x.Merging {
		return 0
	}
	return x.Usage.End.Exceptions
}

// byUrgency has what is lost first, then what will be first.
func byUrgency(a, b *Tracked) int {
	return cmp.Or(cmp.Compare(a.urgency(), b.urgency()), cmp.Compare(a.due(), b.due()), -cmp.Compare(a.full(), b.full()), cmp.Compare(a.Name, b.Name))
}

func (x *Tracked) urgency() int {
	switch f := x.Forecast(); {
	case x.Gone:
		return 5
	case x.Lost():
		return 0
	case x.Err != nil:
		return 1
	case x.Merging:
		return 4
	case f.Ever:
		return 2
	}
	return 3
}

func (x *Tracked) due() time.Duration {
	if f := x.Forecast(); f.Ever {
		return f.Left
	}
	return math.MaxInt64
}

func (x *Tracked) full() float64 {
	p, _ := x.Percent()
	return p
}

// Point is how full a store was at a moment, in per cent.
type Point struct {
	At      time.Duration
	Percent float64
}

// Course is how full a store was over time. It has at most some thousand points: of a longer time, fewer of each
// moment.
type Course struct {
	Points []Point
	every  time.Duration
}

const mostPoints = 2048

func (c *Course) add(at time.Duration, percent float64) {
	if n := len(c.Points); n > 1 && at-c.Points[n-2].At < c.every {
		c.Points = c.Points[:n-1] // the last one is always there
	}
	c.Points = append(c.Points, Point{at, percent})
	if len(c.Points) < mostPoints {
		return
	}
	kept := c.Points[:0]
	for i, p := range c.Points {
		if i%2 == 0 || i == len(c.Points)-1 {
			kept = append(kept, p)
		}
	}
	c.Points = kept
	c.every = 2 * (at - c.Points[0].At) / mostPoints
}
