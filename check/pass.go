package check

import (
	"encoding/binary"
	"slices"

	"dmcow/format"
)

type pass struct {
	*facts
	walking  format.Walk
	metadata divisor
	all      bool // garbage is looked at exception by exception, too
	progress func(format.AreaIndex) error
	tell     func(Finding) error                  // of exceptions and areas
	spill    func(Finding) error                  // of hits that are not kept
	visit    func(format.Place, format.Exception) // each exception that is not garbage; may be nil

	olds, news chunkSet
	flags      []uint8 // of the exceptions of a piece
	hits       hits

	last    format.NewChunk // of the exception before
	falls   uint64          // exceptions whose new chunk is no higher than the one before
	fall    format.Place    // the first of them
	named   uint64          // data chunks on the device that exceptions name
	broken  bool            // an exception breaks a rule by itself
	garbage garbage
	end     format.End

	wrecked *format.Place // of the last sector with an impossible exception: area, and number in it
}

// The flags of an exception.
const (
	oldHit   uint8 = 1 << iota // its old chunk has an exception already
	newHit                     // its new chunk has
	isBroken                   // it breaks a rule by itself, and its chunks do not count
)

// newPass is a pass that keeps hits by both chunks from the given one on.
func (s *scan) newPass(skip uint64) *pass {
	w := s.id.Walk(s.device)
	w.Live = s.options.Live
	p := &pass{facts: &s.facts, walking: w, metadata: newDivisor(s.geometry.Stride()), all: s.options.Single, progress: s.visit, tell: ignore, spill: ignore}
	p.hits.skip = skip
	p.olds.reserve(s.origin, s.chunks)
	p.news.reserve(s.chunks, s.chunks)
	return p
}

func ignore(Finding) error { return nil }

// close gives the bitmaps' memory back: nothing is known any more of which chunks have an
// exception.
func (p *pass) close() {
	p.olds.free()
	p.news.free()
}

// walk walks, once. The error is a [*format.AreaError] where the list cannot be read
// to its end, or tell or progress's.
func (p *pass) walk() (err error) {
	p.end, err = format.Each(p.walking, p.judge, p.deliver)
	if e := p.flushGarbage(); e != nil {
		return e
	}
	return err
}

type judgement struct {
	odd            bool   // an exception may break a rule by itself
	falls          int    // new chunks that are no higher than the one before
	fall           int    // the first of them, an index in the piece
	oldRun, newRun bool   // each chunk follows the chunk of the exception before
	olds, news     uint64 // the bits of all old, of all new chunks together: no less than any
}

// judge looks at the pieces of a batch. Several batches are looked at at once,
// and in any order.
func (p *pass) judge(j *[]judgement, b format.Batch) {
	*j = (*j)[:0]
	for piece := range b.Pieces() {
		*j = append(*j, p.look(piece))
	}
}

// look looks at a piece. Almost all exceptions of almost all stores name a data
// chunk on the device and an old one on the origin, and those that do break no
// rule by themselves, but for the first of an area: only the others are held to
// the rules.
func (p *pass) look(piece format.Piece) judgement {
	raw, first := piece.Raw, piece.At(0)
	j := judgement{odd: p.breaks(piece.Place, first) != nil}
	room, origin, d := p.chunks-format.FirstData, p.origin, p.metadata
	lastOld, last := uint64(first.Old), uint64(first.New)
	j.olds, j.news = lastOld, last
	var oldSteps, newSteps uint64 // not 0 where one is not 1
	for at := format.ExceptionSize; at+format.ExceptionSize <= len(raw); at += format.ExceptionSize {
		x := raw[at : at+format.ExceptionSize : at+format.ExceptionSize]
		o, n := binary.LittleEndian.Uint64(x), binary.LittleEndian.Uint64(x[8:])
		if n-format.FirstData >= room || o >= origin || d.isMetadata(n) {
			j.odd = true
		}
		if n <= last {
			if j.falls == 0 {
				j.fall = at / format.ExceptionSize
			}
			j.falls++
		}
		oldSteps |= o - lastOld - 1
		newSteps |= n - last - 1
		j.olds |= o
		j.news |= n
		lastOld, last = o, n
	}
	j.oldRun, j.newRun = oldSteps == 0, newSteps == 0
	return j
}

func (p *pass) deliver(j *[]judgement, b format.Batch) error {
	n := 0
	for piece := range b.Pieces() {
		if err := p.take((*j)[n], piece); err != nil {
			return err
		}
		n++
	}
	return p.progress(b.Area)
}

// take takes a piece. Garbage in the place of exceptions is told as such, once
// an area, and counts for nothing else.
func (p *pass) take(j judgement, piece format.Piece) error {
	p.countFalls(j, piece)
	impossible := 0
	if j.odd && !p.all {
		impossible = p.impossibles(piece)
		if isMost(impossible, piece.Len(), leastGarbage) && !isOrderly(piece) {
			return p.addGarbage(piece, impossible)
		}
	}
	hits := p.mark(j, piece)
	if hits > 0 && !p.all && isMost(impossible+hits, piece.Len(), leastRepeats) {
		p.unmark(piece)
		return p.addGarbage(piece, impossible+hits)
	}
	if hits > 0 || j.odd || p.visit != nil {
		return p.single(piece)
	}
	p.named += uint64(piece.Len())
	return nil
}

func (p *pass) countFalls(j judgement, piece format.Piece) {
	first := piece.At(0).New
	if first <= p.last {
		j.falls, j.fall = j.falls+1, 0
	}
	if j.falls > 0 && p.falls == 0 {
		p.fall = format.Place{Area: piece.Area, Index: piece.Index + j.fall}
	}
	p.falls += uint64(j.falls)
	p.last = piece.At(piece.Len() - 1).New
}

// mark adds the chunks of a piece to those that have an exception, and sets the
// exceptions' flags. It returns the number of those that have a chunk which one
// before them has. Where the piece is odd, what breaks a rule by itself is left
// out.
func (p *pass) mark(j judgement, piece format.Piece) (hits int) {
	p.flags = slices.Grow(p.flags[:0], piece.Len())[:piece.Len()]
	clear(p.flags)
	first, n := piece.At(0), uint64(piece.Len())
	var some bool
	if j.odd {
		some = p.markSome(piece)
	} else {
		if !j.oldRun || !p.olds.addNew(uint64(first.Old), n) {
			some = p.olds.addAll(piece.Raw, min(j.olds, p.origin-1), p.flags, oldHit)
		}
		if !j.newRun || !p.news.addNew(uint64(first.New), n) {
			some = p.news.addAll(piece.Raw[8:], min(j.news, p.chunks-1), p.flags, newHit) || some
		}
	}
	if !some {
		return 0
	}
	for _, f := range p.flags {
		if f&(oldHit|newHit) != 0 {
			hits++
		}
	}
	return hits
}

// markSome is mark for a piece in which exceptions break rules by themselves. It
// reports whether others have a chunk that one before them has.
func (p *pass) markSome(piece format.Piece) (some bool) {
	for i := range p.flags {
		x := piece.At(i)
		if p.breaks(p.at(piece, i), x) != nil {
			p.flags[i] = isBroken
			continue
		}
		p.flags[i] = uint8(p.olds.add(uint64(x.Old)))*oldHit | uint8(p.news.add(uint64(x.New)))*newHit
		some = some || p.flags[i] != 0
	}
	return some
}

func (p *pass) unmark(piece format.Piece) {
	for i, flags := range p.flags {
		x := piece.At(i)
		if flags&(oldHit|isBroken) == 0 {
			p.olds.remove(uint64(x.Old))
		}
		if flags&(newHit|isBroken) == 0 {
			p.news.remove(uint64(x.New))
		}
	}
}

func (p *pass) single(piece format.Piece) error {
	for i, flags := range p.flags {
		at, x := p.at(piece, i), piece.At(i)
		if flags&isBroken != 0 {
			p.broken = true
			if err := p.tell(p.finding(at, x)); err != nil {
				return err
			}
			continue
		}
		if flags != 0 {
			if f, spilled := p.hits.add(hit{named{at, x}, flags}); spilled {
				if err := p.spill(f); err != nil {
					return err
				}
			}
		}
		if flags&newHit == 0 {
			p.named++
		}
		if p.visit != nil {
			p.visit(at, x)
		}
	}
	return nil
}

// finding is the finding of an exception that breaks a rule by itself. Where its old chunk
// cannot be right either, or another one of its sector is impossible, too, all of it was
// overwritten, and nobody knows which old chunk it had.
func (p *pass) finding(at format.Place, x format.Exception) Finding {
	f := Finding{Rule: p.breaks(at, x), Scope: OfException, Place: at, Exception: x}
	lost := uint64(x.Old) >= p.origin && f.Rule != OldChunkBeyondOrigin
	if p.isImpossible(at, x) {
		sector := format.Place{Area: at.Area, Index: at.Index / slotsPerSector}
		lost = lost || p.wrecked != nil && *p.wrecked == sector
		p.wrecked = &sector
	}
	if lost {
		f.meaning = &Meaning{}
	}
	return f
}

func (p *pass) at(piece format.Piece, i int) format.Place {
	return format.Place{Area: piece.Area, Index: piece.Index + i}
}

// divisor tells metadata chunks by a multiplication, which is many times faster
// than a division: the stride is odd, and so has an inverse among the 64-bit
// numbers. Times that, its multiples, and they alone, are small.
type divisor struct{ inverse, most uint64 }

func newDivisor(stride uint64) divisor {
	inverse := stride // right in the lowest 3 bits; each step doubles them
	for range 5 {
		inverse *= 2 - stride*inverse
	}
	return divisor{inverse, ^uint64(0) / stride}
}

// isMetadata is [format.Geometry.IsMetadata] for a chunk other than 0.
func (d divisor) isMetadata(chunk uint64) bool { return (chunk-1)*d.inverse <= d.most }
