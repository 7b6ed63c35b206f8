package check

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/store"
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
	exceptions, areas := fmt.Sprintf("%d plausible exceptions", e.Exceptions), fmt.Sprintf("%d areas", e.Areas)
	if e.Exceptions == 1 {
		exceptions = "1 plausible exception"
	}
	if e.Areas == 1 {
		areas = "1 area"
	}
	return fmt.Sprintf("; a store with chunks of %d sectors has left %s in %s", e.Geometry.ChunkSectors(), exceptions, areas)
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
		switch e, err := examine(s.device, s.size, g); {
		case err != nil:
			s.result.Untested = append(s.result.Untested, fmt.Sprintf("whether a store with chunks of %d sectors has left exceptions: %v", n, err))
		case e != nil && (s.best == nil || e.Exceptions > s.best.Exceptions):
			s.best = e
		}
	}
	return s.best
}

// errImplausible ends a walk through what is no list.
var errImplausible = errors.New("not plausible")

// examine is the evidence for a store of one geometry, nil where there is none.
// A list is plausible when all its exceptions can be, name each chunk once, and
// lie as close together as a kernel gives chunks out; and when nothing that a
// torn commit does not explain stands behind it.
func examine(d store.Device, size format.Bytes, g format.Geometry) (*Evidence, error) {
	p := plausibility{facts: newFacts(g, size, 0)}
	w := format.Walk{Device: d, Size: size, Geometry: g}
	end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		for piece := range b.Pieces() {
			if !p.take(piece) {
				return errImplausible
			}
		}
		return nil
	})
	cut := errors.Is(err, format.ErrBeyondDevice)
	switch {
	case errors.Is(err, errImplausible), end.Exceptions == 0, !p.dense(end):
		return nil, nil
	case err != nil && !cut:
		return nil, err
	}
	areas := uint64(end.Area) + 1
	if cut {
		areas = uint64(end.Area)
	} else {
		h, err := store.LookBehind(d, g, end)
		if err != nil {
			return nil, err
		}
		if h.Old != 0 || h.Why != "" || !h.Blank && end.Exceptions < fewExceptions {
			return nil, nil
		}
	}
	return &Evidence{Geometry: g, Exceptions: end.Exceptions, Areas: areas}, nil
}

// fewExceptions is how many speak for a store only if nothing but zeros follows
// them in their area.
const fewExceptions = 8

// plausibility is what was seen of a list.
type plausibility struct {
	facts
	news bitmap.Set
}

// take tells whether the exceptions of a piece are plausible after those before.
func (p *plausibility) take(piece format.Piece) bool {
	for i := range piece.Len() {
		x := piece.At(i)
		at := format.Place{Area: piece.Area, Index: piece.Index + i}
		if p.breaks(at, x) != nil || x.New >= lowChunks || p.news.Add(uint64(x.New)) == 1 {
			return false
		}
		if i > 0 && x.Old == piece.At(i-1).Old {
			return false
		}
	}
	return true
}

// dense tells whether the data chunks up to the highest are not many more than
// the exceptions: some are lost to failed copies and to merges, and an undo log
// uses some for itself.
func (p *plausibility) dense(end format.End) bool {
	return p.geometry.DataChunks(end.Highest+1) <= 4*end.Exceptions+256
}

// plausibleArea tells whether the beginning of an area behind the list looks like
// one: with some exceptions, most of them possible. One that cannot be read does
// not.
func (s *scan) plausibleArea(k format.AreaIndex) bool {
	if uint64(k) >= s.geometry.Areas(s.chunks) {
		return false
	}
	raw := make([]byte, min(s.geometry.ChunkBytes(), 4096))
	if n, _ := s.device.ReadAt(raw, int64(s.geometry.Offset(s.geometry.AreaLocation(k)))); n < len(raw) {
		return false
	}
	n, possible := 0, 0
	for ; len(raw) > 0; raw = raw[format.ExceptionSize:] {
		x := format.DecodeException(raw)
		if x.New == 0 {
			break
		}
		if n++; !s.impossible(format.Place{Area: k}, x) {
			possible++
		}
	}
	return 2*possible > n
}
