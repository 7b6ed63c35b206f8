package check

import (
	"errors"
	"fmt"
	"slices"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// Lost and damaged exceptions leave evidence: the kernel gives chunks out in order, and what is
// written in sequence is saved in sequence. So where the exceptions on both sides of some
// slots are consecutive over just the slots' number, in old and in new chunk, the slots held
// what lies between; and an exception between two whose new chunks leave room for one data
// chunk had that one. The evidence counts only as long as no other exception has these
// chunks.

// MostSuggested is of how many slots in a row it is looked for what stood there, at most.
const MostSuggested = 1 << 16

// Suggestion is what the entries around some slots say that stood there: consecutive
// exceptions.
type Suggestion struct {
	format.Place                  // of the first slot
	Count        int              // slots
	First        format.Exception // what stood in the first
	Unsure       bool             // there is another explanation that is as good
	elsewhere    bool             // not where the finding is
	geometry     format.Geometry
}

// At is what stood in slot i, counted from 0. New chunks leave metadata areas out.
func (s *Suggestion) At(i int) format.Exception {
	return format.Exception{Old: s.First.Old + format.OldChunk(i), New: after(s.geometry, s.First.New, i)}
}

// Slot is where slot i stands.
func (s *Suggestion) Slot(i int) format.Place {
	return s.geometry.PlaceAt(s.geometry.Position(s.Place) + uint64(i))
}

// String says what is suggested, and why.
func (s *Suggestion) String() string {
	last := s.At(s.Count - 1)
	if s.Count == 1 {
		return fmt.Sprintf("by its neighbours, slot %d was %d -> %d", s.Index, last.Old, last.New)
	}
	at := "here"
	if s.elsewhere {
		at = fmt.Sprintf("from slot %d of area %d on, which these repeat", s.Index, s.Area)
	}
	return fmt.Sprintf("%d exceptions are lost %s: by their neighbours, old chunks %d to %d, new chunks %d to %d, which no exception has",
		s.Count, at, s.First.Old, last.Old, s.First.New, last.New)
}

// rank is how many data chunks come before a data chunk.
func (f *facts) rank(c format.NewChunk) uint64 { return f.geometry.DataChunks(c) }

// after is the data chunk that comes n data chunks after another.
func after(g format.Geometry, c format.NewChunk, n int) format.NewChunk {
	return g.DataChunk(g.DataChunks(c) + uint64(n))
}

// suggestGap is what stood in the gap between the list's end and what hides behind it, nil where
// nothing says so.
func (s *scan) suggestGap() *Suggestion {
	h := s.behind
	n := h.First - h.Index
	around := s.around(h.Place, n)
	if around == nil {
		return nil
	}
	found := s.suggestNew(h.Place, around)
	if x := s.between(around); x != nil {
		found = s.suggestion(h.Place, n, *x)
	}
	if found == nil {
		return nil
	}
	first, last := found.First, found.At(n-1)
	if s.hides(func(x format.Exception) bool {
		return x.Old >= first.Old && x.Old <= last.Old || x.New >= first.New && x.New <= last.New
	}) {
		return nil
	}
	return found
}

// hides reports whether an entry behind the list's end is one that is asked for, or that cannot be read.
func (s *scan) hides(one func(format.Exception) bool) bool {
	errHides := errors.New("one is")
	_, err := look.Behind(s.device, s.geometry, s.list.end, func(_ format.Place, x format.Exception) error {
		if one(x) {
			return errHides
		}
		return nil
	})
	return err != nil
}

// unnamedInGap says of the gap between the list's end and what hides behind it which data chunks the
// entries in it had, where the entries around leave just as many, and no exception names those. It
// is empty where they do not.
func (s *scan) unnamedInGap() string {
	n := s.behind.First - s.behind.Index
	around := s.around(s.behind.Place, n)
	if around == nil || !s.hasRoomBetween(around) {
		return ""
	}
	left := around[0].New
	for i := range n {
		if s.list.news.has(uint64(after(s.geometry, left, i+1))) {
			return ""
		}
	}
	first, last := after(s.geometry, left, 1), after(s.geometry, left, n)
	if s.hides(func(x format.Exception) bool { return x.New >= first && x.New <= last }) {
		return ""
	}
	if n == 1 {
		return fmt.Sprintf("; an exception is lost here: new chunk %d fits between its neighbours, and no exception has it", first)
	}
	return fmt.Sprintf("; %d exceptions are lost here: new chunks %d to %d fit between their neighbours, and no exception has them",
		n, first, last)
}

// suggestStretch is what stood in n slots from a place on, nil where nothing says so.
func (s *scan) suggestStretch(at format.Place, n int) *Suggestion {
	around := s.around(at, n)
	x := s.between(around)
	if x == nil {
		return nil
	}
	found := s.suggestion(at, n, *x)
	for i, was := range around[1 : n+1] {
		if was != found.At(i) && s.isPlausible(was) && !s.list.olds.has(uint64(was.Old)) && !s.list.news.has(uint64(was.New)) {
			return nil // it is one that others do not repeat
		}
	}
	return found
}

// suggestTwins sees to the areas that repeat others, and about which the entries around say nothing:
// they may be right, and those that they repeat are the copies.
func (s *scan) suggestTwins() error {
	of := map[format.Exception]*Finding{} // by the first of their entries
	for i := range s.kept {
		if f := &s.kept[i]; f.IsGarbage() && f.Suggests == nil {
			if all, ok := s.slots(s.geometry.Position(f.Place), 1); ok && all[0].New != 0 {
				of[all[0]] = f
			}
		}
	}
	if len(of) == 0 {
		return nil
	}
	p := s.newPass(0)
	defer p.close()
	p.visit = func(at format.Place, x format.Exception) {
		f := of[x]
		if f == nil || f.Suggests != nil || at.Index != f.Index {
			return
		}
		if !s.areEqual(f.Place, at, int(f.slots)) {
			return
		}
		if f.Suggests = s.suggestStretch(at, int(f.slots)); f.Suggests != nil {
			f.Suggests.elsewhere = true
		}
	}
	return s.again(p)
}

// suggestLast is what the entry was that ends the list and has an old chunk: the exception of
// the next free chunk. It is nil where others have one of the two.
func (s *scan) suggestLast() *Suggestion {
	h := s.behind
	next := s.geometry.SkipMetadata(max(s.list.end.Highest+1, format.FirstData))
	x := format.Exception{Old: h.Old, New: next}
	if h.Count > 0 || s.list.end.NextFree != next || !s.isPlausible(x) || s.list.olds.has(uint64(x.Old)) {
		return nil
	}
	found := s.suggestion(h.Place, 1, x)
	at := s.geometry.Position(h.Place)
	before, ok := s.slots(at-min(at, 1), 1)
	found.Unsure = !ok || before[0].Old+1 != x.Old
	return found
}

// farthest is how far from an exception the evidence about it is looked for, in slots: a sector of
// them may be damaged.
const farthest = slotsPerSector

// suggest is what an exception was before it was damaged, nil where nothing says so. The rule that
// it breaks reports whether it is its new chunk that is damaged, and the old one may be right.
func (s *scan) suggest(at format.Place, rule *Rule) *Suggestion {
	middle := s.geometry.Position(at)
	first := middle - min(middle, farthest)
	around, ok := s.slots(first, int(middle-first)+1+farthest)
	if !ok {
		return nil
	}
	here := int(middle - first)
	for n := 1; n <= farthest; n++ { // the nearest evidence
		for left := max(0, here-n); left < here && left+n+1 < len(around); left++ {
			if n > 1 && !isInRun(around, left, left+n+1) {
				continue // the neighbours of several may be damaged, too
			}
			x := s.between(around[left : left+n+2])
			if x == nil {
				continue
			}
			found := s.suggestion(s.geometry.PlaceAt(first+uint64(left)+1), n, *x)
			if found.At(here-left-1) == around[here] || s.isDenied(found, around[left+1:left+1+n], rule) {
				continue
			}
			found.Unsure = s.isRival(around[here], found.At(here-left-1), at) || !isInRun(around, left, left+n+1)
			return found
		}
	}
	if rule.Means.UnlistedCertain {
		return s.suggestNew(at, s.around(at, 1))
	}
	return nil
}

// isDenied reports whether what stands there speaks against a suggestion: an exception that nothing speaks
// against; where several are suggested, one with
// the data chunk that fits its place; and of one that is there twice, as a sector of the list and
// its copy have it, the one that fits its place is the right one.
func (s *scan) isDenied(x *Suggestion, there []format.Exception, rule *Rule) bool {
	for i, was := range there {
		right := x.At(i)
		switch at := x.Slot(i); {
		case was == right:
		case was.New == right.New && (x.Count > 1 || rule == RepeatedException),
			s.breaks(at, was) == nil && !s.doubted[at]:
			return true
		}
	}
	return false
}

// isRival reports whether an exception that is to be replaced by another one has an old chunk of its own
// that may be right: then two of its fields would have to be wrong.
func (s *scan) isRival(was, right format.Exception, at format.Place) bool {
	return was.Old != right.Old && was.New != right.New && uint64(was.Old) < s.origin && !s.doubted[at]
}

// isInRun reports whether one of two entries goes on a run that leads to it from outside.
func isInRun(all []format.Exception, left, right int) bool {
	return left > 0 && all[left].Old == all[left-1].Old+1 || right+1 < len(all) && all[right].Old+1 == all[right+1].Old
}

func (s *scan) suggestion(first format.Place, n int, x format.Exception) *Suggestion {
	return &Suggestion{Place: first, Count: n, First: x, geometry: s.geometry}
}

// hasRoomBetween reports whether the new chunks of the first and the last of some entries leave just as many
// data chunks between them as there are entries.
func (s *scan) hasRoomBetween(all []format.Exception) bool {
	n := len(all) - 1
	return s.isPlausible(all[0]) && s.isPlausible(all[n]) && s.rank(all[n].New)-s.rank(all[0].New) == uint64(n)
}

// between is the first exception that stood between the first and the last of some entries, if
// these two are consecutive over the number of those between them, and nobody else has the
// chunks; else nil.
func (s *scan) between(all []format.Exception) *format.Exception {
	if len(all) == 0 || !s.hasRoomBetween(all) {
		return nil
	}
	n := len(all) - 2
	left, right := all[0], all[n+1]
	if uint64(right.Old-left.Old) != uint64(n)+1 {
		return nil
	}
	for i, was := range all[1 : n+1] {
		x := format.Exception{Old: left.Old + format.OldChunk(i) + 1, New: after(s.geometry, left.New, i+1)}
		if s.isTaken(x, was) {
			return nil
		}
	}
	return &format.Exception{Old: left.Old + 1, New: after(s.geometry, left.New, 1)}
}

// suggestNew is the new chunk of the middle one of three entries, whose old chunk is right: the
// one data chunk that the other two leave for it.
func (s *scan) suggestNew(at format.Place, three []format.Exception) *Suggestion {
	if len(three) != 3 || !s.hasRoomBetween(three) {
		return nil
	}
	left, was, right := three[0], three[1], three[2]
	x := format.Exception{Old: was.Old, New: after(s.geometry, left.New, 1)}
	if was == (format.Exception{}) || x == was || !s.isPlausible(x) || s.isTaken(x, was) {
		return nil
	}
	found := s.suggestion(at, 1, x)
	found.Unsure = x.Old != left.Old+1 && x.Old+1 != right.Old
	return found
}

// isTaken reports whether another exception than the one that stands in a slot has the chunks
// of the one that may have stood there.
func (s *scan) isTaken(x, was format.Exception) bool {
	return x.New != was.New && s.list.news.has(uint64(x.New)) || x.Old != was.Old && s.list.olds.has(uint64(x.Old))
}

// isPlausible reports whether an exception can be one of this store.
func (s *scan) isPlausible(x format.Exception) bool {
	return look.Plausible(s.geometry, s.chunks, x) && uint64(x.Old) < s.origin
}

// around are n entries from a place on with the one before and the one behind them; nil where they
// cannot be read, or do not all exist.
func (s *scan) around(at format.Place, n int) []format.Exception {
	first := s.geometry.Position(at)
	if first == 0 {
		return nil
	}
	all, _ := s.slots(first-1, n+2)
	if len(all) < n+2 {
		return nil
	}
	return all
}

// areEqual reports whether n entries from a place on are the same as from another on.
func (s *scan) areEqual(a, b format.Place, n int) bool {
	here, ok := s.slots(s.geometry.Position(a), n)
	there, ok2 := s.slots(s.geometry.Position(b), n)
	return ok && ok2 && slices.Equal(here, there)
}

// slots are n entries from a position on, or as many as there are areas for; ok is false where
// they cannot be read, or are too many to be looked at.
func (s *scan) slots(first uint64, n int) (all []format.Exception, ok bool) {
	e := uint64(s.geometry.ExceptionsPerArea())
	end := min(first+uint64(n), s.geometry.Areas(s.chunks)*e)
	if n > MostSuggested || first >= end {
		return nil, false
	}
	for first < end {
		next := min(end, (first/e+1)*e)
		slots := make([]byte, (next-first)*format.ExceptionSize)
		if raw.ReadFull(s.device, slots, s.geometry.SlotOffset(s.geometry.PlaceAt(first))) != nil {
			return nil, false
		}
		for ; len(slots) > 0; slots = slots[format.ExceptionSize:] {
			all = append(all, format.DecodeException(slots))
		}
		first = next
	}
	return all, true
}
