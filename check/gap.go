package check

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"

	"dmcow/format"
)

// Entries behind the list's end that equal the origin may be sound exceptions all the same: of
// chunks that were written with what they held, behind a sector of the list that was lost. What
// tells is the gap before them. Where a commit was torn, the exceptions of the gap were not
// durable, and the kernel had let no write to the origin go that waited for them; so the data
// chunks that were given out for them hold what some chunk of the origin has, or what was saved
// of that since. Where a sector was lost, they hold what the origin had before it was written.

// gap is what is known of the slots without an exception among the slots behind the end of the list.
type gap struct {
	slots  uint64
	chunks []format.NewChunk // that no exception names, between those around
	before []format.NewChunk // likewise a little before them, where copies ran in parallel
	left   format.Exception  // before the gap; zero at the beginning of the list
	right  format.Exception  // the first behind it
	low    uint64            // rank of the first data chunk that may be of the gap
}

// mostInGap is of how many data chunks it is looked for what they hold.
const mostInGap = 1 << 16

// whyLost is why the gap speaks for a lost sector; it is empty where it speaks for a torn
// commit, and where the list is in no order, so that nobody knows which data chunks the gap's
// entries had. The error is what Options.Visit returned.
func (s *scan) whyLost() (string, error) {
	if !s.isInOrder() {
		return "", nil
	}
	g, ok := s.gap()
	switch {
	case !ok:
		return "the entries around the gap before them can no longer be read", nil
	case s.proof.highest > g.low+mostInGap: // no commit is as long, but a merge may have freed that many before it
		return fmt.Sprintf("%d exceptions are missing before them, and of more than %d data chunks without one, none is looked at", g.slots, mostInGap), nil
	}
	g.before = s.unnamed(g.low-min(g.low, parallel), g.low)
	g.chunks = s.unnamed(g.low, s.proof.highest)
	missing := min(g.slots, uint64(len(g.chunks))) // chunks that are still to be found
	var rest []format.NewChunk
	for i, c := range g.chunks {
		switch {
		case s.stopped != nil:
			return "", s.stopped
		case missing == 0:
			return "", nil
		case s.isCopyOf(c, g.left.Old+format.OldChunk(i)+1), s.isCopyOf(c, g.right.Old-format.OldChunk(len(g.chunks)-i)):
			missing--
		default:
			rest = append(rest, c)
		}
	}
	copies, err := s.findCopies(slices.Concat(rest, g.before), missing)
	found := uint64(len(copies))
	if err != nil || found >= missing {
		return "", err
	}
	rest = slices.DeleteFunc(rest, func(c format.NewChunk) bool { return copies[c] })
	return fmt.Sprintf("%d exceptions are missing before them, and %d data chunks without an exception, such as chunk %d, hold data that is not on the origin; a sector of the list was lost before them", g.slots, missing-found, rest[0]), nil
}

// isInOrder reports whether new chunks rise in the list and behind its end, but for some.
func (s *scan) isInOrder() bool {
	const orderly = 8 // exceptions, at least, to one that is not in order
	return s.list.end.Exceptions+uint64(s.behind.Count) >= orderly*(s.list.falls+s.proof.falls+1)
}

// gap finds the slots of the gap and what is around it; ok is false where that cannot be read.
func (s *scan) gap() (g gap, ok bool) {
	h := s.behind
	if first := s.geometry.Position(h.Place); first > 0 {
		before, ok := s.slots(first-1, 1)
		if !ok {
			return g, false
		}
		g.left, g.low = before[0], s.rank(before[0].New)+1
	}
	right, ok := s.slots(s.geometry.Position(format.Place{Area: h.Area, Index: h.First}), 1)
	if !ok {
		return g, false
	}
	g.right, g.slots = right[0], uint64(h.Last+1-h.Index-h.Count)
	return g, true
}

// unnamed are the data chunks of the given ranks, up to end, that no exception names, nor an entry
// behind the list's end.
func (s *scan) unnamed(first, end uint64) (all []format.NewChunk) {
	for r := first; r < end; r++ {
		if c := s.geometry.DataChunk(r); !s.list.news.has(uint64(c)) && !s.proof.news.has(uint64(c)) {
			all = append(all, c)
		}
	}
	return all
}

// isCopyOf reports whether a data chunk holds what a chunk of the origin does, where there is
// such a one.
func (s *scan) isCopyOf(c format.NewChunk, old format.OldChunk) bool {
	x := format.Exception{Old: old, New: c}
	if !s.isPlausible(x) {
		return false
	}
	equal, err := s.equalsOrigin(x)
	return err == nil && equal
}

// findCopies are those of some data chunks that hold what any chunk of the origin does, or any that
// an exception has saved. It looks for no more than are missing. The error is what
// Options.Visit returned; what cannot be read is not found.
func (s *scan) findCopies(chunks []format.NewChunk, missing uint64) (found map[format.NewChunk]bool, err error) {
	chunk := s.geometry.ChunkBytes()
	last := s.options.Origin % chunk // the origin's last chunk may be short
	f := finder{scan: s, seed: maphash.MakeSeed(), buf: make([]byte, min(chunk, 64<<10)), found: map[format.NewChunk]bool{}}
	whole, short := map[uint64][]format.NewChunk{}, map[uint64][]format.NewChunk{}
	for _, c := range chunks {
		if s.stopped != nil {
			return nil, s.stopped
		}
		if sum, ok := f.saved(c, chunk); ok {
			whole[sum] = append(whole[sum], c)
		}
		if sum, ok := f.saved(c, last); ok && last > 0 {
			short[sum] = append(short[sum], c)
		}
	}
	origin := bufio.NewReaderSize(io.NewSectionReader(s.options.Content, 0, int64(s.options.Origin)), 1<<20)
	for at := format.Bytes(0); at < s.options.Origin && f.count() < missing; at += chunk {
		if s.options.Origin-at >= chunk {
			if sum, ok := f.digest(origin, chunk); ok {
				f.find(whole[sum])
				continue
			}
		} else if sum, ok := f.digest(origin, last); ok && len(short[sum]) > 0 {
			f.find(short[sum][:1]) // one chunk was saved of it
		}
		break
	}
	if s.stopped != nil || f.count() >= missing {
		return f.found, s.stopped
	}
	_, err = format.Each(s.id.Walk(s.device), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			if sum, ok := f.saved(x.New, chunk); ok && f.count() < missing {
				f.find(whole[sum])
			}
			if s.stopped != nil {
				return s.stopped
			}
		}
		return nil
	})
	return f.found, errors.Join(err, s.stopped)
}

type finder struct {
	*scan
	seed  maphash.Seed
	buf   []byte
	found map[format.NewChunk]bool
}

func (f *finder) find(chunks []format.NewChunk) {
	for _, c := range chunks {
		f.found[c] = true
	}
}

func (f *finder) count() uint64 { return uint64(len(f.found)) }

// saved is the digest of the first n bytes of a data chunk; ok is false where they cannot be read.
func (f *finder) saved(c format.NewChunk, n format.Bytes) (sum uint64, ok bool) {
	return f.digest(io.NewSectionReader(f.device, int64(f.geometry.Offset(c)), int64(n)), n)
}

func (f *finder) digest(r io.Reader, n format.Bytes) (sum uint64, ok bool) {
	var h maphash.Hash
	h.SetSeed(f.seed)
	for n > 0 {
		b := f.buf[:min(n, format.Bytes(len(f.buf)))]
		if _, err := io.ReadFull(r, b); err != nil || f.visit(f.list.end.Area) != nil {
			return 0, false
		}
		h.Write(b)
		n -= format.Bytes(len(b))
	}
	return h.Sum64(), true
}
