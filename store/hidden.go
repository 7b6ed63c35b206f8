package store

import (
	"fmt"
	"slices"

	"dmcow/format"
)

// Hidden is what stands behind the terminator in its area. The kernel has it in
// memory with the rest of the area, and writes it back with each commit: it
// comes alive when the gap before it fills.
type Hidden struct {
	format.Place                 // of the terminator
	Old          format.OldChunk // of the terminator; the kernel writes 0
	// Count is the number of entries behind it that have a new chunk, 0 where
	// there are none, and First and Last are the indices of the outer ones.
	Count, First, Last int
	// Why says why no torn commit explains the entries; it is empty where one
	// does.
	Why string
}

// LookBehind reads what stands behind the terminator of a list that ended in
// end, to the end of its area, and in the next area where that tells something.
// It holds a piece of the area in memory, not all. The error is a
// [*format.AreaError].
func LookBehind(d Device, g format.Geometry, end format.End) (Hidden, error) {
	h := Hidden{Place: end.Place}
	used := -1 // the first byte of the area, from the terminator on, that is not zero
	rest := (g.ExceptionsPerArea() - end.Index) * format.ExceptionSize
	buf := make([]byte, min(rest, pieceSize))
	for i := end.Index; i < g.ExceptionsPerArea(); i += len(buf) / format.ExceptionSize {
		buf = buf[:min(len(buf), (g.ExceptionsPerArea()-i)*format.ExceptionSize)]
		at := format.Place{Area: end.Area, Index: i}
		if err := readFull(d, buf, int64(g.SlotOffset(at))); err != nil {
			return h, &format.AreaError{
				Area:   at.Area,
				Chunk:  g.AreaLocation(at.Area),
				Offset: g.SlotOffset(at),
				Read:   end.Exceptions,
				Err:    err,
			}
		}
		if used < 0 && !zero(buf) {
			used = i*format.ExceptionSize + slices.IndexFunc(buf, func(b byte) bool { return b != 0 })
		}
		h.add(i, buf)
	}
	if h.Count > 0 {
		h.Why = h.unexplained(d, g, used)
	}
	return h, nil
}

// add adds the slots of the area from index on, the first time with the
// terminator.
func (h *Hidden) add(index int, raw []byte) {
	for ; len(raw) > 0; raw = raw[format.ExceptionSize:] {
		x := format.DecodeException(raw)
		switch {
		case index == h.Index:
			h.Old = x.Old
		case x.New != 0:
			if h.Count == 0 {
				h.First = index
			}
			h.Count, h.Last = h.Count+1, index
		}
		index++
	}
}

// unexplained is why no torn commit explains the entries; it is empty where one
// does.
//
// A commit writes an area whose list ends a little further on. Where one of its
// sectors is not durable and a later one is, that sector has zeros from where
// the list ended before. And the commit that fills the area has the next one
// cleared durably before it.
func (h *Hidden) unexplained(d Device, g format.Geometry, used int) string {
	terminator := h.Index * format.ExceptionSize
	if used/format.SectorSize == terminator/format.SectorSize {
		return fmt.Sprintf("byte %d of the area, in the sector where the list ends, is not zero", used)
	}
	if h.Last < g.ExceptionsPerArea()-1 {
		return ""
	}
	next := g.AreaLocation(h.Area + 1)
	if uint64(next) >= g.Chunks(format.Bytes(d.Size())) {
		return "the area is full, and the next is not on the device"
	}
	switch blank, err := blankChunk(d, g, next); {
	case err != nil:
		return fmt.Sprintf("the area is full, and the next cannot be read: %v", err)
	case !blank:
		return "the area is full, and the next is not blank"
	}
	return ""
}

// blankChunk tells whether a chunk is all zeros.
func blankChunk(d Device, g format.Geometry, c format.NewChunk) (bool, error) {
	buf := make([]byte, min(g.ChunkBytes(), pieceSize))
	for at := format.Bytes(0); at < g.ChunkBytes(); at += format.Bytes(len(buf)) {
		if err := readFull(d, buf, int64(g.Offset(c)+at)); err != nil {
			return false, err
		}
		if !zero(buf) {
			return false, nil
		}
	}
	return true, nil
}

// makeAddable makes the current area fit to take exceptions, or says why none
// can be added.
func (s *Store) makeAddable() error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.addable {
		return nil
	}
	if s.merged {
		if err := s.load(); err != nil {
			return err
		}
	}
	if err := s.clearHidden(); err != nil {
		return err
	}
	s.addable = true
	return nil
}

// clearHidden clears the entries behind the terminator in its area that a torn
// commit explains, durably: they must be gone before the first exception is
// added, since the write that adds it may be torn in its turn. It refuses others
// with a [*HiddenError].
func (s *Store) clearHidden() error {
	h, err := LookBehind(s.device, s.geometry, s.end)
	switch {
	case err != nil:
		return err
	case h.Count == 0:
		return nil
	case h.Why != "":
		return &HiddenError{Place: h.Place, First: h.First, Why: h.Why}
	}
	clear(s.area[s.end.Index*format.ExceptionSize:])
	s.fail(s.writeArea())
	return s.failed
}
