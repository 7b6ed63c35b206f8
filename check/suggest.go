package check

import (
	"errors"
	"fmt"
	"slices"

	"dmcow/format"
	"dmcow/store/look"
)

// Lost and damaged exceptions leave evidence: the kernel gives chunks out in order, and what is
// written in sequence is saved in sequence. So where the exceptions on both sides of some
// slots are consecutive over just the slots' number, in old and in new chunk, the slots held
// what lies between; and an exception between two whose new chunks leave room for one data
// chunk had that one. The evidence counts only as long as no other exception has these
// chunks.

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
	return format.Exception{Old: s.First.Old + format.OldChunk(i), New: after(s.geometry, s.First.New, uint64(i))}
}

// Slot is where slot i stands.
func (s *Suggestion) Slot(i int) format.Place {
	return place(s.geometry, position(s.geometry, s.Place)+uint64(i))
}

// String says what is suggested, and why.
func (s *Suggestion) String() string {
	last := s.At(s.Count - 1)
	if s.Count == 1 {
		return fmt.Sprintf("by the entries around it, exception %d was old chunk %d, new chunk %d", s.Index, last.Old, last.New)
	}
	at := "here"
	if s.elsewhere {
		at = fmt.Sprintf("from exception %d of area %d on, which these repeat", s.Index, s.Area)
	}
	return fmt.Sprintf("%d entries are lost %s: by the entries around them old chunks %d to %d, new chunks %d to %d, which no exception names",
		s.Count, at, s.First.Old, last.Old, s.First.New, last.New)
}

// position is the number of slots before a place, over all areas; place is the opposite.
func position(g format.Geometry, p format.Place) uint64 {
	return uint64(p.Area)*uint64(g.ExceptionsPerArea()) + uint64(p.Index)
}

func place(g format.Geometry, position uint64) format.Place {
	e := uint64(g.ExceptionsPerArea())
	return format.Place{Area: format.AreaIndex(position / e), Index: int(position % e)}
}

// rank is how many data chunks come before a data chunk, and after the one that comes n data
// chunks after it.
func rank(g format.Geometry, c format.NewChunk) uint64 { return g.DataChunks(c) }

func after(g format.Geometry, c format.NewChunk, n uint64) format.NewChunk {
	return g.DataChunk(rank(g, c) + n)
}

// suggestGap is what stood in the gap between the list's end and what hides behind it, nil where
// nothing says so.
func (s *scan) suggestGap() *Suggestion {
	h := s.behind
	first := position(s.geometry, h.Place)
	if first == 0 {
		return nil // nothing stands before it
	}
	n := h.First - h.Index
	around, ok := s.slots(first-1, n+2)
	if !ok || len(around) < n+2 {
		return nil
	}
	found := s.suggestNew(first, around)
	if x := s.between(around); x != nil {
		found = s.suggestion(first, n, *x)
	}
	if found == nil || s.hides(found) {
		return nil
	}
	return found
}

// hides reports whether what hides behind the list's end has a chunk of what is suggested for the gap,
// or cannot be read.
func (s *scan) hides(x *Suggestion) bool {
	errHas := errors.New("has one of the chunks")
	last := x.At(x.Count - 1)
	_, err := look.LookBehind(s.device, s.geometry, s.list.end, func(_ format.Place, h format.Exception) error {
		if h.Old >= x.First.Old && h.Old <= last.Old || h.New >= x.First.New && h.New <= last.New {
			return errHas
		}
		return nil
	})
	return err != nil
}

// unnamedInGap says of the gap between the list's end and what hides behind it which data chunks the
// entries in it had, where the entries around leave just as many, and no exception names those. It
// is empty where they do not.
func (s *scan) unnamedInGap() string {
	h := s.behind
	first, n := position(s.geometry, h.Place), h.First-h.Index
	if first == 0 {
		return ""
	}
	around, ok := s.slots(first-1, n+2)
	if !ok || len(around) < n+2 {
		return ""
	}
	left, right := around[0].New, around[n+1].New
	if !s.plausible(around[0]) || !s.plausible(around[n+1]) || rank(s.geometry, right)-rank(s.geometry, left) != uint64(n)+1 {
		return ""
	}
	for i := range n {
		if s.list.news.has(uint64(after(s.geometry, left, uint64(i)+1))) {
			return ""
		}
	}
	if n == 1 {
		return fmt.Sprintf("; an entry is lost here: new chunk %d fits between those around, and no exception names it", after(s.geometry, left, 1))
	}
	return fmt.Sprintf("; %d entries are lost here: new chunks %d to %d fit between those around, and no exception names them",
		n, after(s.geometry, left, 1), after(s.geometry, left, uint64(n)))
}

// suggestStretch is what stood in n slots from a place on, nil where nothing says so.
func (s *scan) suggestStretch(at format.Place, n int) *Suggestion {
	first := position(s.geometry, at)
	if first == 0 {
		return nil
	}
	around, ok := s.slots(first-1, n+2)
	if !ok || len(around) < n+2 {
		return nil
	}
	x := s.between(around)
	if x == nil {
		return nil
	}
	found := s.suggestion(first, n, *x)
	for i, was := range around[1 : n+1] {
		if was != found.At(i) && s.plausible(was) && !s.list.olds.has(uint64(was.Old)) && !s.list.news.has(uint64(was.New)) {
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
			if all, ok := s.slots(position(s.geometry, f.Place), 1); ok && all[0].New != 0 {
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
		here, ok := s.slots(position(s.geometry, f.Place), int(f.slots))
		there, ok2 := s.slots(position(s.geometry, at), int(f.slots))
		if !ok || !ok2 || !slices.Equal(here, there) {
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
	if h.Count > 0 || s.list.end.NextFree != next || !s.plausible(x) || s.list.olds.has(uint64(x.Old)) {
		return nil
	}
	at := position(s.geometry, h.Place)
	found := s.suggestion(at, 1, x)
	before, ok := s.slots(at-min(at, 1), 1)
	found.Unsure = !ok || before[0].Old+1 != x.Old
	return found
}

// farthest is how far from an exception the evidence about it is looked for, in slots: a sector of
// them may be damaged.
const farthest = format.SectorSize / format.ExceptionSize

// suggest is what an exception was before it was damaged, nil where nothing says so. The rule that
// it breaks reports whether it is its new chunk that is damaged, and the old one may be right.
func (s *scan) suggest(at format.Place, rule *Rule) *Suggestion {
	middle := position(s.geometry, at)
	first := middle - min(middle, farthest)
	around, ok := s.slots(first, int(middle-first)+1+farthest)
	if !ok {
		return nil
	}
	here := int(middle - first)
	for n := 1; n <= farthest; n++ { // the nearest evidence
		for left := max(0, here-n); left < here && left+n+1 < len(around); left++ {
			if n > 1 && !inRun(around, left, left+n+1) {
				continue // the neighbours of several may be damaged, too
			}
			x := s.between(around[left : left+n+2])
			if x == nil {
				continue
			}
			found := s.suggestion(first+uint64(left)+1, n, *x)
			if found.At(here-left-1) == around[here] || s.denied(found, around[left+1:left+1+n], here-left-1, rule) {
				continue
			}
			found.Unsure = s.rivals(around[here], found.At(here-left-1), at) || !inRun(around, left, left+n+1)
			return found
		}
	}
	if rule.Means.UnlistedCertain && here > 0 && here+1 < len(around) {
		return s.suggestNew(middle, around[here-1:here+2])
	}
	return nil
}

// denied reports whether what stands there speaks against a suggestion, which is made for slot faulty
// of it: beside that, an exception that nothing speaks against; where several are suggested, one with
// the data chunk that fits its place; and of one that is there twice, as a sector of the list and
// its copy have it, the one that fits its place is the right one.
func (s *scan) denied(x *Suggestion, there []format.Exception, faulty int, rule *Rule) bool {
	for i, was := range there {
		right := x.At(i)
		switch at := x.Slot(i); {
		case was == right:
		case was.New == right.New && (x.Count > 1 || rule == RepeatedException),
			i != faulty && s.breaks(at, was) == nil && !s.doubted[at]:
			return true
		}
	}
	return false
}

// rivals reports whether an exception that is to be replaced by another one has an old chunk of its own
// that may be right: then two of its fields would have to be wrong.
func (s *scan) rivals(was, right format.Exception, at format.Place) bool {
	return was.Old != right.Old && was.New != right.New && uint64(was.Old) < s.origin && !s.doubted[at]
}

// inRun reports whether one of two entries goes on a run that leads to it from outside.
func inRun(all []format.Exception, left, right int) bool {
	return left > 0 && all[left].Old == all[left-1].Old+1 || right+1 < len(all) && all[right].Old+1 == all[right+1].Old
}

func (s *scan) suggestion(first uint64, n int, x format.Exception) *Suggestion {
	return &Suggestion{Place: place(s.geometry, first), Count: n, First: x, geometry: s.geometry}
}

// between is the first exception that stood between the first and the last of some entries, if
// these two are consecutive over the number of those between them, and nobody else has the
// chunks; else nil.
func (s *scan) between(all []format.Exception) *format.Exception {
	n := len(all) - 2
	left, right := all[0], all[n+1]
	if !s.plausible(left) || !s.plausible(right) ||
		uint64(right.Old-left.Old) != uint64(n)+1 || rank(s.geometry, right.New)-rank(s.geometry, left.New) != uint64(n)+1 {
		return nil
	}
	for i, was := range all[1 : n+1] {
		x := format.Exception{Old: left.Old + format.OldChunk(i) + 1, New: after(s.geometry, left.New, uint64(i)+1)}
		if s.taken(x, was) {
			return nil
		}
	}
	return &format.Exception{Old: left.Old + 1, New: after(s.geometry, left.New, 1)}
}

// suggestNew is the new chunk of the middle one of three entries, whose old chunk is right: the
// one data chunk that the other two leave for it.
func (s *scan) suggestNew(at uint64, three []format.Exception) *Suggestion {
	if len(three) != 3 {
		return nil
	}
	left, was, right := three[0], three[1], three[2]
	if !s.plausible(left) || !s.plausible(right) || rank(s.geometry, right.New)-rank(s.geometry, left.New) != 2 {
		return nil
	}
	x := format.Exception{Old: was.Old, New: after(s.geometry, left.New, 1)}
	if was == (format.Exception{}) || x == was || !s.plausible(x) || s.taken(x, was) {
		return nil
	}
	found := s.suggestion(at, 1, x)
	found.Unsure = x.Old != left.Old+1 && x.Old+1 != right.Old
	return found
}

// taken reports whether another exception than the one that stands in a slot has the chunks
// of the one that may have stood there.
func (s *scan) taken(x, was format.Exception) bool {
	return x.New != was.New && s.list.news.has(uint64(x.New)) || x.Old != was.Old && s.list.olds.has(uint64(x.Old))
}

// plausible reports whether an exception can be one of this store.
func (s *scan) plausible(x format.Exception) bool {
	return s.geometry.Plausible(s.chunks, x) && uint64(x.Old) < s.origin
}

// slots are n entries from a position on, or as many as there are areas for; ok is false where
// they cannot be read, or are too many to be looked at.
func (s *scan) slots(first uint64, n int) (all []format.Exception, ok bool) {
	const most = 1 << 16
	e := uint64(s.geometry.ExceptionsPerArea())
	end := min(first+uint64(n), s.geometry.Areas(s.chunks)*e)
	if n > most || first >= end {
		return nil, false
	}
	for first < end {
		next := min(end, (first/e+1)*e)
		raw := make([]byte, (next-first)*format.ExceptionSize)
		if got, _ := s.device.ReadAt(raw, int64(s.geometry.SlotOffset(place(s.geometry, first)))); got < len(raw) {
			return nil, false
		}
		for ; len(raw) > 0; raw = raw[format.ExceptionSize:] {
			all = append(all, format.DecodeException(raw))
		}
		first = next
	}
	return all, true
}
