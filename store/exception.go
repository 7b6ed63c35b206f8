package store

import (
	"dmcow/format"
	"dmcow/store/internal/header"
	"dmcow/store/look"
)

// Pending is an exception that was prepared: the caller copies the old chunk's
// content to the new chunk, and then commits it.
type Pending struct {
	format.Exception
	number uint64
}

// waiting is an exception on its way from prepare to commit.
type waiting struct {
	format.Exception
	finished bool // CommitException was called
	copied   bool
	done     func(error)
}

// PrepareException gives out the next free chunk for the content of an old one
// (persistent_prepare_exception). Each exception that was prepared must be
// committed, in any order: others wait for it.
//
// The error is [ErrNoRoom] or [ErrNoNextArea], an [*ExistsError], a
// [*HiddenError], [look.ErrInvalid], or what made the store fail.
func (s *Store) PrepareException(old format.OldChunk) (Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeAddable(); err != nil {
		return Pending{}, err
	}
	if n, exists := s.table[old]; exists {
		return Pending{}, &ExistsError{format.Exception{Old: old, New: n}}
	}
	if err := s.checkRoom(); err != nil {
		return Pending{}, err
	}
	x := format.Exception{Old: old, New: s.end.NextFree}
	s.end.NextFree = s.geometry.SkipMetadata(x.New + 1)
	s.waiting = append(s.waiting, waiting{Exception: x})
	if s.table != nil {
		s.table[old] = x.New
	}
	return Pending{Exception: x, number: s.head + uint64(len(s.waiting)) - 1}, nil
}

// checkRoom wants room for one more exception.
func (s *Store) checkRoom() error {
	chunks := s.geometry.Chunks(s.size())
	// Damage may have wrapped the next free chunk to the header's, 0.
	if n := s.end.NextFree; n < format.FirstData || uint64(n) >= chunks {
		return ErrNoRoom
	}
	areas := s.geometry.Areas(chunks) - uint64(s.end.Area)
	free := areas*uint64(s.slots()) - uint64(s.end.Index)
	if uint64(len(s.waiting))+1 >= free {
		return ErrNoNextArea
	}
	return nil
}

// Skip gives out n data chunks that no exception will name: to the kernel they
// are lost. The first of the exceptions behind them keeps them from being given
// out again. Where it fails, some may be given out all the same.
func (s *Store) Skip(n uint64) (chunks []format.NewChunk, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeAddable(); err != nil {
		return nil, err
	}
	for range n {
		if err := s.checkRoom(); err != nil {
			return nil, err
		}
		chunks = append(chunks, s.end.NextFree)
		s.end.NextFree = s.geometry.SkipMetadata(s.end.NextFree + 1)
	}
	return chunks, nil
}

// CommitException adds a prepared exception to the store once its data has been written
// (persistent_commit_exception). Exceptions are committed in the order in which they were prepared; they
// gather in memory, and are written when none is in flight any more or when their area is full. Then done is
// called, from this call or from another one's: with nil when the exception is durable, and its data with it;
// with the error when it is not in the store.
//
// If copied is false, the copy has failed, and the exception is left out: done
// is called with [ErrCopyFailed].
func (s *Store) CommitException(p Pending, copied bool, done func(error)) {
	s.mu.Lock()
	w := &s.waiting[p.number-s.head]
	if w.finished {
		s.mu.Unlock()
		panic("store: an exception was committed twice")
	}
	w.finished, w.copied, w.done = true, copied, done
	told := s.advance()
	s.mu.Unlock()
	for _, t := range told {
		t.done(t.err)
	}
}

// Withdraw gives up exceptions that were prepared last, in order, and not committed: none of
// their data matters, and their chunks are given out again. (The kernel, whose copies run in
// parallel, loses them.) It panics where others were prepared since.
func (s *Store) Withdraw(all []Pending) {
	if len(all) == 0 {
		return
	}
	s.mu.Lock()
	first := int(all[0].number - s.head)
	if first+len(all) != len(s.waiting) || s.waiting[first].finished {
		s.mu.Unlock()
		panic("store: exceptions were withdrawn that are not the last ones")
	}
	for _, p := range all {
		delete(s.table, p.Old)
	}
	s.waiting, s.end.NextFree = s.waiting[:first], all[0].New
	told := s.advance() // those before may have waited for these
	s.mu.Unlock()
	for _, t := range told {
		t.done(t.err)
	}
}

// told is what the caller of CommitException is to be told.
type told struct {
	done func(error)
	err  error
}

// advance gathers the exceptions whose turn has come, and writes them where it
// is time to.
func (s *Store) advance() (tell []told) {
	for len(s.waiting) > 0 && s.waiting[0].finished {
		w := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.head++
		err := s.failed
		if err == nil && !w.copied {
			err = ErrCopyFailed
		}
		if err != nil {
			delete(s.table, w.Old)
			tell = append(tell, told{w.done, err})
			continue
		}
		w.Encode(s.window.at(s.end.Index))
		s.end.Index++
		s.gathered = append(s.gathered, w)
		if s.end.Index == s.window.end() {
			tell = append(tell, s.commit()...)
		}
	}
	if len(s.waiting) == 0 && len(s.gathered) > 0 {
		tell = append(tell, s.commit()...)
	}
	return tell
}

// commit writes what was gathered, and begins the next area where this one is
// full.
//
// The next area is cleared before, since its first entry ends the list then. The flush in front of the area's
// own write makes that durable first, and the exceptions' data.
func (s *Store) commit() []told {
	full := s.end.Index == s.slots()
	if full {
		s.fail(s.clearArea(s.end.Area + 1))
	}
	if s.failed == nil {
		s.fail(s.writeWindow())
	}
	err := s.failed
	tell := make([]told, len(s.gathered))
	for i, w := range s.gathered {
		tell[i] = told{w.done, err}
		if err != nil {
			delete(s.table, w.Old)
		} else {
			s.end.Highest = max(s.end.Highest, w.New)
		}
	}
	if err == nil {
		s.end.Exceptions += uint64(len(s.gathered))
	}
	s.gathered = s.gathered[:0]
	switch {
	case full:
		s.end.Place = format.Place{Area: s.end.Area + 1}
		s.window.first = 0
		clear(s.window.slots)
	case s.end.Index == s.window.end() && err == nil:
		s.fail(s.look(s.end.Index))
	}
	return tell
}

// fail makes the first error the store's end.
func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = err
	}
}

// clearArea writes zeros to area k (zero_disk_area).
func (s *Store) clearArea(k format.AreaIndex) error {
	at := s.geometry.AreaLocation(k)
	err := header.WriteZeros(s.device, s.geometry.Offset(at), s.geometry.ChunkBytes(), nil)
	if err != nil {
		return &AreaWriteError{Area: k, Chunk: at, Clear: true, Err: err}
	}
	return nil
}

// makeAddable makes the current area fit to take exceptions, or says why none
// can be added.
func (s *Store) makeAddable() error {
	if s.failed != nil {
		return s.failed
	}
	if s.state == moved {
		if err := s.load(); err != nil {
			return err
		}
	}
	if s.state == unlooked {
		if err := s.clearHidden(); err != nil {
			return err
		}
		s.state = addable
	}
	return s.look(s.end.Index)
}

// clearHidden clears the entries behind the terminator in its area, durably, where a torn
// commit explains them and the caller knows that they change nothing: they must be gone
// before the first exception is added, since the write that adds it may be torn in its turn.
// It refuses others with a [*HiddenError].
func (s *Store) clearHidden() error {
	h, err := look.Behind(s.device, s.geometry, s.end, nil)
	switch {
	case err != nil:
		return err
	case h.Count == 0:
		return nil
	case h.Why != "" || !s.options.HiddenVoid:
		return &HiddenError{Place: h.Place, First: h.First, Why: h.Why}
	}
	s.fail(s.clearSlots(s.end.Index, h.Last+1))
	return s.failed
}
