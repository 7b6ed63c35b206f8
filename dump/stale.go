package dump

import (
	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/store/look"
)

// stale finds what earlier lives of a device have left in the areas behind the list.
// The kernel clears one area at a time, before it uses it, and LVM the first 4096 bytes of
// a new COW device: what came after is there until it is written over.
type stale struct {
	geometry format.Geometry
	chunks   uint64          // whole ones on the device
	live     bitmap.Set      // data chunks that live exceptions name: a bit each
	next     format.NewChunk // the next free chunk of the list
}

func newStale(w format.Walk) *stale {
	return &stale{geometry: w.Geometry, chunks: w.Geometry.Chunks(w.Size)}
}

func (s *stale) note(b format.Batch) {
	for _, x := range b.Exceptions() {
		if uint64(x.New) < s.chunks {
			s.live.Add(uint64(x.New))
		}
	}
}

// each hands out what stands in areas from first up to end that can be an exception, with
// its grade. Where most of a piece cannot, it is other data, and is left out.
func (s *stale) each(w format.Walk, first, end format.AreaIndex, use func(format.Place, format.Exception, kind), visit func(format.AreaIndex) error) error {
	return format.Slots(w, first, end, func(p format.Piece) error {
		if s.mostlyPlausible(p) {
			for i := range p.Len() {
				if x := p.At(i); x.New != 0 {
					use(format.Place{Area: p.Area, Index: p.Index + i}, x, s.grade(p, i))
				}
			}
		}
		return visit(p.Area)
	})
}

func (s *stale) mostlyPlausible(p format.Piece) bool {
	n, plausible := 0, 0
	for i := range p.Len() {
		if x := p.At(i); x.New != 0 {
			if n++; look.Plausible(s.geometry, s.chunks, x) {
				plausible++
			}
		}
	}
	return 2*plausible > n
}

// grade is how good a stale exception is: whether a store can have it, whether its data
// chunk is still its own, and whether its chunk's number fits its area and its neighbours.
func (s *stale) grade(p format.Piece, i int) kind {
	x := p.At(i)
	switch {
	case !look.Plausible(s.geometry, s.chunks, x):
		return impossible
	case s.live.Has(uint64(x.New)):
		return reused
	case x.New < s.next, !s.fits(p.Area, x), !s.hasNeighbour(p, i):
		return doubtful
	}
	return good
}

// fits reports whether an exception's data chunk lies about where chunks were given out when
// its area was filled: behind the area or behind one next to it.
func (s *stale) fits(k format.AreaIndex, x format.Exception) bool {
	stripe := uint64(x.New-1) / s.geometry.Stride()
	return stripe+1 >= uint64(k) && stripe <= uint64(k)+1
}

// hasNeighbour reports whether the exception before or behind in the area has a data chunk
// close by, as chunks are given out; one that stands alone needs none.
func (s *stale) hasNeighbour(p format.Piece, i int) bool {
	alone := true
	for _, at := range []int{i - 1, i + 1} {
		if at < 0 || at >= p.Len() || p.At(at).New == 0 {
			continue
		}
		alone = false
		if look.Near(p.At(at), p.At(i)) {
			return true
		}
	}
	return alone
}
