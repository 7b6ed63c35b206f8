package store

import (
	"dmcow/format"
	"dmcow/internal/raw"
)

// areaWindow is the part of the current area that is in memory: all of it, unless chunks are very
// large, of which nobody wants an area in memory.
type areaWindow struct {
	slots []byte
	first int  // which slot of the area it begins with
	there bool // false: it has to be read again
}

// windowSlots is how many slots a window has at most.
const windowSlots = 1 << 20 / format.ExceptionSize

func (w *areaWindow) end() int { return w.first + len(w.slots)/format.ExceptionSize }

// at are the slots from one of the window's on.
func (w *areaWindow) at(slot int) []byte { return w.slots[(slot-w.first)*format.ExceptionSize:] }

// look makes sure that a slot of the current area is in memory, or the last one, if it is the
// one behind that. What was gathered must have been written.
func (s *Store) look(slot int) error {
	n := min(s.slots(), windowSlots)
	if s.window.slots == nil {
		s.window.slots = make([]byte, n*format.ExceptionSize)
	}
	first := min(slot, s.slots()-1) / n * n
	if s.window.there && s.window.first == first {
		return nil
	}
	s.window.first, s.window.there = first, false
	at := format.Place{Area: s.end.Area, Index: first}
	if err := raw.ReadFull(s.device, s.window.slots, s.geometry.SlotOffset(at)); err != nil {
		return s.geometry.Unreadable(at, s.end.Exceptions, err)
	}
	s.window.there = true
	return nil
}

func (s *Store) exception(i int) (format.Exception, error) {
	if err := s.look(i); err != nil {
		return format.Exception{}, err
	}
	return format.DecodeException(s.window.at(i)), nil
}

// writeWindow writes the window, durably: an area as the kernel writes it (area_io), where
// that is no larger.
func (s *Store) writeWindow() error {
	at := format.Place{Area: s.end.Area, Index: s.window.first}
	if err := s.device.WriteDurable(s.window.slots, int64(s.geometry.SlotOffset(at))); err != nil {
		return &AreaWriteError{Area: s.end.Area, Chunk: s.geometry.AreaLocation(s.end.Area), Err: err}
	}
	return nil
}

// clearSlots clears slots of the current area from the last one back, durably. Cut off in
// between, the list ends earlier, or hides less.
func (s *Store) clearSlots(first, end int) error {
	for end > first {
		if err := s.look(end - 1); err != nil {
			return err
		}
		start := max(first, s.window.first)
		clear(s.window.at(start)[:(end-start)*format.ExceptionSize])
		if err := s.writeWindow(); err != nil {
			s.window.there = false
			return err
		}
		end = start
	}
	return nil
}
