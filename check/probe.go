package check

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/raw"
	"dmcow/internal/words"
	"dmcow/store/look"
)

// Evidence is what speaks for a store of some chunk size where no header says
// so: its list.
type Evidence struct {
	Geometry   format.Geometry
	Exceptions uint64
	Areas      uint64
}

// evidence puts what speaks for a store in words, to be added to a message.
func (s *scan) evidence() string {
	e := s.probe()
	if e == nil {
		return ""
	}
	return fmt.Sprintf("; a store with %d-sector chunks has left %s in %s",
		e.Geometry.ChunkSectors(), words.Count(e.Exceptions, "plausible exception"), words.Count(e.Areas, "area"))
}

// Probe finds what speaks for a store on a device, whatever its header says: the
// chunk size whose list has the most exceptions. It is nil where nothing does. The error
// is one of reading, or visit's.
func Probe(d look.Device, visit func(format.AreaIndex) error) (*Evidence, error) {
	s := &scan{options: Options{Visit: visit}, device: d, size: format.Bytes(d.Size())}
	e := s.probe()
	if s.stopped != nil || len(s.result.Unread) == 0 {
		return e, s.stopped
	}
	return e, s.result.Unread[0]
}

// probe finds the chunk size of a store by its list: for each that is legal it
// looks where area 0 would be. It returns what has the most exceptions, nil where
// there is nothing plausible.
func (s *scan) probe() *Evidence {
	if s.asked {
		return s.best
	}
	s.asked = true
	for n := uint32(1); n <= format.MaxChunkSectors; n *= 2 {
		g, err := format.NewGeometry(n)
		if err != nil || g.Areas(g.Chunks(s.size)) == 0 {
			break
		}
		switch e, err := s.examine(g); {
		case err != nil:
			s.unread(fmt.Errorf("the list of a store with %d-sector chunks: %w", n, err))
		case e != nil && (s.best == nil || e.Exceptions > s.best.Exceptions):
			s.best = e
		}
	}
	return s.best
}

var errImplausible = errors.New("not plausible")

// examine is the evidence for a store of one geometry, nil if there is none. The
// error is one of reading, or Options.Visit's.
//
// A list is plausible when its exceptions are possible, name each chunk once, and
// lie as close together as a kernel gives chunks out; some may be damaged. A few
// exceptions are evidence only if they are all well, and nothing but zeros stands
// around them: in their area, and before it, where the header is.
func (s *scan) examine(g format.Geometry) (*Evidence, error) {
	p := plausibility{facts: newFacts(g, s.size, 0)}
	w := format.Walk{Device: s.device, Size: s.size, Geometry: g}
	end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			p.take(at, x)
		}
		if 2*p.bad > p.count { // no more of it will make that good
			return errImplausible
		}
		return s.visit(b.Area)
	})
	cut := errors.Is(err, format.ErrBeyondDevice)
	switch {
	case errors.Is(err, errImplausible):
		return nil, nil
	case err != nil && !cut:
		return nil, err
	case end.Exceptions == 0, p.isTooBad(), !p.isDense():
		return nil, nil
	}
	e := &Evidence{Geometry: g, Exceptions: end.Exceptions - p.bad, Areas: uint64(end.Area) + 1}
	if cut {
		e.Areas = uint64(end.Area)
		return e, nil
	}
	if blank, err := s.behindList(&p, end.Place); err != nil || p.isTooBad() || !blank && p.count < fewExceptions {
		return nil, err
	}
	if e.Exceptions < fewExceptions {
		if stray, err := look.NonZero(s.device, format.HeaderSize, g.ChunkBytes()); err != nil || stray >= 0 {
			return nil, err
		}
	}
	return e, nil
}

// behindList looks at what stands from the terminator on in its area, or in the
// beginning of that: zeros, and what a torn commit or a damaged entry has hidden. It
// reports whether it is nothing but zeros.
func (s *scan) behindList(p *plausibility, end format.Place) (blank bool, err error) {
	const most = 64 << 10
	slots := make([]byte, min(most, (p.geometry.ExceptionsPerArea()-end.Index)*format.ExceptionSize))
	if err := raw.ReadWhere(s.device, slots, p.geometry.SlotOffset(end)); err != nil {
		return false, err
	}
	blank = true
	for ; len(slots) > 0; slots = slots[format.ExceptionSize:] {
		if x := format.DecodeException(slots); x != (format.Exception{}) {
			blank = false
			p.take(end, x)
		}
	}
	return blank, nil
}

// fewExceptions is how many exceptions are too few to be evidence by themselves.
const fewExceptions = 8

type plausibility struct {
	facts
	news       bitmap.Set
	lastOld    format.OldChunk
	highest    format.NewChunk // of those that are possible
	count, bad uint64
}

func (p *plausibility) take(at format.Place, x format.Exception) {
	repeats := p.count > 0 && x.Old == p.lastOld
	p.count++
	p.lastOld = x.Old
	if repeats || x.New == 0 || p.breaks(at, x) != nil || x.New >= lowChunks || p.news.Add(uint64(x.New)) == 1 {
		p.bad++
		return
	}
	p.highest = max(p.highest, x.New)
}

// isTooBad reports whether more of the exceptions are bad than damage explains: one in
// ten, and of few none.
func (p *plausibility) isTooBad() bool {
	return p.bad > 0 && (p.count < fewExceptions || 10*p.bad > p.count)
}

// isDense reports whether the data chunks up to the highest are not many more than
// the exceptions: some are leaked by failed copies and by merges, and an undo log
// uses some for itself.
func (p *plausibility) isDense() bool {
	return p.geometry.DataChunks(p.highest+1) <= 4*p.count+256
}
