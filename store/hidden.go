package store

import (
	"fmt"

	"dmcow/format"
)

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
	first, last := s.hidden()
	if first < 0 {
		return nil
	}
	if why := s.unexplained(last); why != "" {
		return &HiddenError{Place: s.end.Place, First: first, Why: why}
	}
	clear(s.area[s.end.Index*format.ExceptionSize:])
	s.fail(s.writeArea())
	return s.failed
}

// hidden is the first and the last entry behind the terminator in the current
// area, -1 where there is none.
func (s *Store) hidden() (first, last int) {
	first, last = -1, -1
	for i := s.end.Index + 1; i < s.slots(); i++ {
		if format.DecodeException(s.area[i*format.ExceptionSize:]).New == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	return first, last
}

// unexplained is why no torn commit explains the entries behind the terminator,
// the last of them at index last; it is empty where one does.
//
// A commit writes an area whose list ends a little further on. Where one of its
// sectors is not durable and a later one is, that sector has zeros from where
// the list ended before. And the commit that fills the area has the next one
// cleared durably before it.
func (s *Store) unexplained(last int) string {
	terminator := s.end.Index * format.ExceptionSize
	used := terminator
	for s.area[used] == 0 {
		used++
	}
	if used/format.SectorSize == terminator/format.SectorSize {
		return fmt.Sprintf("byte %d of the area, in the sector where the list ends, is not zero", used)
	}
	if last < s.slots()-1 {
		return ""
	}
	next := s.end.Area + 1
	if uint64(next) >= s.geometry.Areas(s.geometry.Chunks(s.size())) {
		return "the area is full, and the next is not on the device"
	}
	switch blank, err := s.blankArea(next); {
	case err != nil:
		return fmt.Sprintf("the area is full, and the next cannot be read: %v", err)
	case !blank:
		return "the area is full, and the next is not blank"
	}
	return ""
}

// blankArea tells whether area k is all zeros.
func (s *Store) blankArea(k format.AreaIndex) (bool, error) {
	buf := make([]byte, min(s.geometry.ChunkBytes(), pieceSize))
	for at := format.Bytes(0); at < s.geometry.ChunkBytes(); at += format.Bytes(len(buf)) {
		if err := readFull(s.device, buf, s.areaOffset(k)+int64(at)); err != nil {
			return false, err
		}
		if !zero(buf) {
			return false, nil
		}
	}
	return true, nil
}
