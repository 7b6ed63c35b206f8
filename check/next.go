package check

import (
	"errors"

	"dmcow/format"
	"dmcow/internal/words"
)

// nextArea is what stands in the area behind the one in which the list ends, up to the first
// slot without an exception. It is of an earlier life of the device, mostly: nobody clears an
// area before it is used.
type nextArea struct {
	area     format.AreaIndex
	entries  uint64
	possible uint64          // no accident makes the others of sound exceptions
	sound    uint64          // break no rule by themselves
	taken    bool            // one has an old or a new chunk that the list has, too
	leaked   uint64          // have a data chunk below the next free one that the list lacks
	own      uint64          // have a data chunk of the area's own stripe, or behind it
	early    uint64          // have one before that stripe, which the list lacks
	first    format.NewChunk // of the first of them
	void     bool            // all of them change nothing (see notVoid)
	copied   bool            // the area in which the list ends is a copy of it (see isCopied)
}

// lookAtNext looks at that area, once. What the origin holds all the same, as a merge that
// was cut off leaves it, need not be looked at any further. The error is what
// Options.Visit returned.
func (s *scan) lookAtNext() error {
	s.next.area = s.list.end.Area + 1
	if err := s.eachOfNext(s.countNext); err != nil {
		return err
	}
	s.next.copied = s.isCopied()
	if s.options.Content == nil || !s.mayGoOn() && !s.isMisplaced() {
		return nil
	}
	s.next.void = true
	var p proof
	return s.eachOfNext(func(_ format.Place, x format.Exception) {
		if s.next.void {
			s.next.void = s.notVoid(x, &p) == ""
		}
	})
}

// eachOfNext hands out the entries of that area, if the device has it, up to the first slot without an exception.
func (s *scan) eachOfNext(use func(format.Place, format.Exception)) error {
	area := s.next.area
	err := format.Slots(s.id.Walk(s.device), area, area+1, func(p format.Piece) error {
		for i := range p.Len() {
			x := p.At(i)
			if x.New == 0 {
				return errNextEnds
			}
			use(format.Place{Area: area, Index: p.Index + i}, x)
			if err := s.visit(area); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.As(err, new(*format.AreaError)):
		s.unread(err)
	case !errors.Is(err, errNextEnds):
		return err
	}
	return nil
}

var errNextEnds = errors.New("no exception")

func (s *scan) countNext(at format.Place, x format.Exception) {
	n := &s.next
	if n.entries++; n.entries == 1 {
		n.first = x.New
	}
	if s.isImpossible(at, x) {
		return
	}
	n.possible++
	if s.breaks(at, x) != nil {
		return
	}
	n.sound++
	known := s.list.news.has(uint64(x.New))
	if known || s.list.olds.has(uint64(x.Old)) {
		n.taken = true
	}
	if !known && x.New < s.list.end.NextFree {
		n.leaked++
	}
	switch early := s.rank(x.New) < uint64(n.area)*uint64(s.geometry.ExceptionsPerArea()); {
	case !early:
		n.own++
	case !known:
		n.early++
	}
}

// isStale reports whether the area behind the list holds what may have been exceptions.
func (s *scan) isStale() bool { return s.whole && 2*s.next.possible > s.next.entries }

// isCopied reports whether the area in which the list ends, or the last sector of the list there, is
// a copy of the one behind it: both hold the same, and most of it in the data chunks of the one
// behind. What the other held is lost. A copy the other way round costs nothing, for what is behind
// a list that ends was not in it. A few entries are compared.
func (s *scan) isCopied() bool {
	n := min(s.next.entries, 4096)
	if n == 0 || 2*s.next.own <= s.next.entries {
		return false
	}
	if s.isCopyOfEnd(format.Place{Area: s.next.area}) {
		return true
	}
	return s.areEqual(format.Place{Area: s.list.end.Area}, format.Place{Area: s.next.area}, int(n))
}

// isMisplaced reports whether no earlier life explains the area behind the list: it was copied, or
// its exceptions name chunks that this list has leaked, or so many chunks of the areas
// before it that a list in order cannot have come to it.
func (s *scan) isMisplaced() bool {
	n := s.next
	return n.copied || s.isStale() && !n.void && (2*n.leaked >= n.entries || n.early > parallel && 2*n.early >= n.entries)
}

// mayGoOn reports whether the list may have been cut off: it ends with a sector, and the area behind
// it goes on where it would have come to, with chunks that it does not have.
func (s *scan) mayGoOn() bool {
	n, end := s.next, s.list.end
	if !s.isStale() || n.void || s.behind.Count > 0 || end.Index%slotsPerSector != 0 || n.sound < n.entries || n.taken {
		return false
	}
	lost := uint64(s.geometry.ExceptionsPerArea() - end.Index)
	return s.rank(n.first)+parallel >= s.rank(end.NextFree)+lost
}

// parallel is how many copies run at a time, and are committed in any order.
const parallel = 16

const slotsPerSector = format.SectorSize / format.ExceptionSize

var CutOffList = &Rule{
	Name:     "cut-off-list",
	Severity: Warning,
	Means:    mentioned,
	When:     "the list ends at a sector boundary, and the next area holds exceptions that fit behind it: the last sector of the list was lost, or they are of an earlier life of the device",
	Kernel:   "ends the list there, and clears the next area before it uses it",
	Repair:   "find out whether the snapshot had more exceptions: nothing on the device shows it",
	list: func(s *scan) *Finding {
		if !s.mayGoOn() || s.isMisplaced() {
			return nil
		}
		lost := s.geometry.ExceptionsPerArea() - s.list.end.Index
		f := ofArea(s.next.area, "the list ends at a sector boundary, before slot %d of area %d, and this area holds %s that fit behind it: "+
			"%d exceptions before them may be lost, or these are of an earlier life of the device",
			s.list.end.Index, s.list.end.Area, words.Count(s.next.entries, "exception"), lost)
		if f.Suggests = s.suggestStretch(s.list.end.Place, lost); f.Suggests != nil {
			f.repair = "find out whether the snapshot had more exceptions; if so, dmcow repair --rebuild --warnings writes those that their neighbours show"
		}
		return f
	},
}

var MisplacedArea = &Rule{
	Name:     "misplaced-area",
	Severity: Error,
	When:     "the area after the end of the list holds exceptions of this list: the last area is a copy of it, or they name leaked chunks or chunks of earlier areas",
	Kernel:   "ends the list before them, and serves the origin's data for their chunks",
	Fate:     Wrong,
	Repair:   "find out what happened to the areas: two were swapped, or an old one was written back",
	list: func(s *scan) *Finding {
		if !s.isMisplaced() {
			return nil
		}
		n, entries := s.next, words.Count(s.next.entries, "exception")
		if n.copied {
			return ofArea(n.area, "the list ends before this area, which holds the same as area %d (%s): that area was overwritten by a copy of this one", s.list.end.Area, entries)
		}
		return ofArea(n.area, "the list ends before this area, which holds %s that no earlier life of the device explains: %d name leaked data chunks of the list, %d name chunks of the areas before it",
			entries, n.leaked, n.early)
	},
}

var StaleAreas = &Rule{
	Name:     "stale-areas",
	Severity: Info,
	Means:    harmless,
	When:     "the area after the end of the list holds exceptions: of an earlier life of the device (normal), or the list was cut off",
	Kernel:   "does not read them, and clears the area before it uses it",
	list: func(s *scan) *Finding {
		if !s.isStale() || s.mayGoOn() || s.isMisplaced() {
			return nil
		}
		return ofArea(s.next.area, "the list ends before this area, but it holds exceptions: of an earlier life of the device, or the list was cut off here")
	},
}
