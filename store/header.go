package store

import (
	"errors"

	"dmcow/format"
	"dmcow/store/internal/header"
	"dmcow/store/look"
)

// Drop marks the snapshot invalid, durably: its store is lost to the kernel (persistent_drop_snapshot). The
// Store does nothing more, and what was gathered is not written. The error is one of [Invalidate].
func (s *Store) Drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = look.ErrInvalid
	return Invalidate(s.device)
}

// Overflow does what the kernel does when a write finds no room for its exception: the snapshot is dropped,
// unless its type is [PersistentOverflow] and the write went to the snapshot. Then the store on the device
// stays as it is, and only the status tells: it is for the caller to have all further writes to the snapshot
// fail (snapshot_map and __origin_write in dm-snap.c).
func (s *Store) Overflow(toOrigin bool) error {
	if s.options.Type == PersistentOverflow && !toOrigin {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.overflowed = true
		return nil
	}
	return s.Drop()
}

// Invalidate sets valid in the header to 0, durably, and keeps everything else. (The kernel writes zeros over
// the rest of chunk 0.) It writes nothing when valid is 0 already. The error is a [*look.StateError] where
// there is no header to be changed, or one of reading or writing.
func Invalidate(d WriteDevice) error {
	id, err := look.Loadable(d)
	switch {
	case errors.Is(err, look.ErrInvalid):
		return nil
	case err != nil:
		return err
	}
	h := id.Header
	h.Valid = 0
	return header.Change(d, h)
}

// Initialize writes an empty store over whatever the device holds. visit, where it is not nil, is called now
// and then, and ends the work with the error that it returns.
//
// The error is a [*look.TooSmallError], one of reading or writing, or visit's.
func Initialize(d WriteDevice, g format.Geometry, visit func() error) error {
	return header.Initialize(d, g, visit, nil)
}
