package check

import (
	"encoding/binary"
	"fmt"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/memory"
)

// duplicateRules are those that two exceptions break together. The finding is of
// the later one; where it breaks several, the first that fits.
var (
	DuplicateOldChunk = &Rule{
		Name:     "duplicate-old-chunk",
		Severity: Error,
		When:     "a chunk of the origin has two exceptions",
		Kernel:   "shows one of them, by its version and their neighbours; a merge leaves the first on the origin",
		Fate:     Wrong,
		Repair:   "compare the two chunks and keep one exception",
		Command:  "repair",
		say: func(f Finding) string {
			return fmt.Sprintf("old chunk %d already has an exception, %s", f.Old, other(f))
		},
	}
	RepeatedException = &Rule{
		Name:     "repeated-exception",
		Severity: Error,
		Means:    Meaning{NamedCertain: true, Merging: RescueMerge},
		When:     "the same exception is in the list twice, with the same old and new chunk",
		Kernel:   "serves the right data; a merge may fail (\"middle of a chunk range\")",
		Fate:     Loses,
		Repair:   "drop the later one",
		Command:  "repair",
		say: func(f Finding) string {
			return fmt.Sprintf("the exception %d -> %d is already in the list, as %s", f.Old, f.New, other(f))
		},
	}
	DuplicateNewChunk = &Rule{
		Name:     "duplicate-new-chunk",
		Severity: Error,
		Means:    onlyNamed,
		When:     "two exceptions of different chunks share a data chunk",
		Kernel:   "serves the same data for both; a write to one changes the other",
		Fate:     Wrong,
		Repair:   "give the later one its own copy in a free chunk; one of them has lost its data",
		Command:  "repair --unshare",
		say: func(f Finding) string {
			return fmt.Sprintf("another exception already has new chunk %d, %s", f.New, other(f))
		},
	}
	duplicateRules = []*Rule{DuplicateOldChunk, RepeatedException, DuplicateNewChunk, NewChunkOutOfPlace}
)

// other names the exception that has the same chunk. Of very many that is not
// found out.
func other(f Finding) string {
	if f.Other == nil {
		return "somewhere before it"
	}
	return where(*f.Other)
}

const (
	// lowChunks is the number of chunks, from the first on, of which a bitmap
	// knows each.
	lowChunks = 1 << 32
	// highChunks is how many of the others are remembered.
	highChunks = 1 << 17
)

type chunkSet struct {
	low  bitmap.Set
	few  *bitmap.Sparse // in place of low, where that is sure to take more memory
	high map[uint64]struct{}
	// overflowed is true when there were more high numbers than are remembered.
	overflowed bool
	unmap      func()
}

// reserve reserves memory for the numbers below n, of which there may be so many. Where there is none, it is taken
// little by little, and up to twice as much. Bits are several times faster than a set of few, and take memory only up
// to the highest number: where n is not known, they may well be the smaller.
func (s *chunkSet) reserve(n, exceptions uint64) {
	words := min(n, lowChunks)/64 + 1
	if few := bitmap.SparseWords(min(exceptions, lowChunks)); n < lowChunks && few < words/2 {
		var on []uint64
		if on, s.unmap = memory.Words(few); on != nil {
			s.few = new(bitmap.SparseOn(on))
			return
		}
	}
	var on []uint64
	on, s.unmap = memory.Words(words)
	s.low = bitmap.On(on)
}

// free gives that memory back. Nothing is known to be there any more.
func (s *chunkSet) free() {
	s.low, s.few = bitmap.Set{}, nil
	s.unmap()
}

// add adds n, and returns 1 where it is known to have been there, else 0.
func (s *chunkSet) add(n uint64) (had uint64) {
	switch {
	case n < lowChunks && s.few == nil:
		return s.low.Add(n)
	case n < lowChunks && !s.few.IsFull():
		return s.few.Add(n)
	case s.has(n):
		return 1
	case len(s.high) == highChunks:
		s.overflowed = true
	case s.high == nil:
		s.high = map[uint64]struct{}{n: {}}
	default:
		s.high[n] = struct{}{}
	}
	return 0
}

// addNew adds the count numbers from first on, if none of them is there yet and
// all are low, and reports whether it did.
func (s *chunkSet) addNew(first, count uint64) bool {
	return s.few == nil && first < lowChunks && first+count <= lowChunks && s.low.AddNew(first, count)
}

// addAll adds numbers as [bitmap.Set.AddEach] does; most is no less than any.
func (s *chunkSet) addAll(raw []byte, most uint64, flags []uint8, bit uint8) (any bool) {
	if most < lowChunks && s.few == nil {
		return s.low.AddEach(raw, most, flags, bit)
	}
	for i := range flags {
		if s.add(binary.LittleEndian.Uint64(raw[i*format.ExceptionSize:])) != 0 {
			flags[i] |= bit
			any = true
		}
	}
	return any
}

func (s *chunkSet) has(n uint64) bool {
	switch {
	case n < lowChunks && s.few == nil:
		return s.low.Has(n)
	case n < lowChunks && s.few.Has(n):
		return true
	}
	_, had := s.high[n]
	return had
}

func (s *chunkSet) remove(n uint64) {
	switch {
	case n < lowChunks && s.few == nil:
		s.low.Remove(n)
	case n < lowChunks && s.few.Has(n):
		s.few.Remove(n)
	default:
		delete(s.high, n)
	}
}

// hit is an exception with a chunk that an earlier one has: the old one, the new
// one or both, as its flags say.
type hit struct {
	named
	flags uint8
}

// maxHits is how many hits of a kind are kept to be named at a time.
const maxHits = 1 << 15

// hits are those of a list. Of the first of each kind it is found out what they
// share their chunks with; of the others it is not, but by which rule they are told
// is plain, unless they are hits by both chunks.
type hits struct {
	kept   []hit
	counts [4]uint64 // by flags
	skip   uint64    // how many hits by both chunks come before those that are kept
}

// add adds a hit. spilled is true where it is not kept, and f what is to be told of
// it.
func (h *hits) add(x hit) (f Finding, spilled bool) {
	n := h.counts[x.flags]
	h.counts[x.flags]++
	first, end := uint64(0), uint64(maxHits)
	if x.flags == oldHit|newHit {
		first, end = h.skip, h.skip+maxHits
	}
	if n >= first && n < end {
		h.kept = append(h.kept, x)
		return f, false
	}
	f = Finding{Rule: DuplicateOldChunk, Scope: OfException, Place: x.Place, Exception: x.Exception}
	if x.flags == newHit {
		f.Rule = DuplicateNewChunk
	}
	return f, n >= end
}

func (h *hits) total() (n uint64) {
	for _, count := range h.counts {
		n += count
	}
	return n
}

// hasSpilled reports whether there were hits that nobody names.
func (h *hits) hasSpilled() bool {
	return h.counts[oldHit] > maxHits || h.counts[newHit] > maxHits || h.counts[oldHit|newHit] > mostNamed
}

// namer finds the exceptions that hits share their chunks with: the first of
// the list with the same old chunk, the same new chunk, or both.
type namer struct {
	olds  map[format.OldChunk]*format.Place
	news  map[format.NewChunk]*format.Place
	pairs map[format.Exception]*format.Place
}

func newNamer(hits []hit) *namer {
	n := &namer{map[format.OldChunk]*format.Place{}, map[format.NewChunk]*format.Place{}, map[format.Exception]*format.Place{}}
	for _, h := range hits {
		n.olds[h.Old], n.news[h.New], n.pairs[h.Exception] = nil, nil, nil
	}
	return n
}

func (n *namer) visit(at format.Place, x format.Exception) {
	note(n.olds, x.Old, at)
	note(n.news, x.New, at)
	note(n.pairs, x, at)
}

// note keeps the place of the first exception with a chunk that is asked for.
func note[K comparable](first map[K]*format.Place, chunk K, at format.Place) {
	if seen, asked := first[chunk]; asked && seen == nil {
		first[chunk] = &at
	}
}

func (n *namer) name(h hit) Finding {
	f := Finding{Scope: OfException, Place: h.Place, Exception: h.Exception}
	pair, old := before(n.pairs[h.Exception], h.Place), before(n.olds[h.Old], h.Place)
	switch {
	case pair != nil:
		f.Rule, f.Other = RepeatedException, pair
	case h.flags&oldHit != 0:
		f.Rule, f.Other = DuplicateOldChunk, old
	default:
		f.Rule, f.Other = DuplicateNewChunk, before(n.news[h.New], h.Place)
	}
	return f
}

// before is the place at, where it comes before the place of a hit, else nil.
func before(at *format.Place, hit format.Place) *format.Place {
	if at == nil || at.Area > hit.Area || at.Area == hit.Area && at.Index >= hit.Index {
		return nil
	}
	return at
}
