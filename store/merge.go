package store

import (
	"fmt"

	"dmcow/format"
)

// Run is a run of exceptions that follow each other on the origin and on the
// COW device.
type Run struct {
	Old   format.OldChunk // the first
	New   format.NewChunk // the first
	Count int             // chunks
}

// PrepareMerge returns the next run to merge: the last exception of the list, and with it as many before it
// in its area as are consecutive in both old and new chunk (persistent_prepare_merge). Its Count is 0 when
// none is left. The caller copies the run to the origin, makes that durable, and then clears the run, or as
// much of its end as it copied, with CommitMerge.
//
// The error is [ErrInFlight], [look.ErrInvalid], [ErrMergeFailed], what made the store
// fail, or a [*format.AreaError] where an area cannot be read back; what is on
// the device stays as it is then.
func (s *Store) PrepareMerge() (Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkMergeable(); err != nil {
		return Run{}, err
	}
	if s.end.Index == 0 {
		if s.end.Area == 0 {
			return Run{}, nil
		}
		if err := s.stepBack(); err != nil {
			s.mergeFailed = true
			s.fail(err)
			return Run{}, err
		}
	}
	run, err := s.lastRun()
	if err != nil {
		s.mergeFailed = true
		s.fail(err)
	}
	return run, err
}

func (s *Store) lastRun() (Run, error) {
	n := s.end.Index
	last, err := s.exception(n - 1)
	if err != nil {
		return Run{}, err
	}
	count := 1
	for count < n {
		x, err := s.exception(n - 1 - count)
		if err != nil {
			return Run{}, err
		}
		if x.Old != last.Old-format.OldChunk(count) || x.New != last.New-format.NewChunk(count) {
			break
		}
		count++
	}
	back := uint64(count - 1)
	return Run{Old: last.Old - format.OldChunk(back), New: last.New - format.NewChunk(back), Count: count}, nil
}

// checkMergeable is the error of a store of which nothing can be merged.
func (s *Store) checkMergeable() error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.mergeFailed:
		return ErrMergeFailed
	case len(s.waiting) > 0:
		return ErrInFlight
	}
	return nil
}

// stepBack makes the area before the current one the current one. It is full:
// the list went on behind it.
func (s *Store) stepBack() error {
	was, before := s.end.Place, s.end.Area-1
	s.end.Place = format.Place{Area: before, Index: s.slots()}
	s.window.there = false
	for i := range s.slots() {
		x, err := s.exception(i)
		if err == nil && x.New == 0 {
			err = fmt.Errorf("area %d at chunk %d: exception %d became a terminator after the list was read",
				before, s.geometry.AreaLocation(before), i)
		}
		if err != nil {
			s.end.Place = was
			s.window.there = false
			return err
		}
	}
	s.state = moved
	return nil
}

// CommitMerge clears the last n exceptions of the current area, durably (persistent_commit_merge). The error
// is a [*MergeCountError] when the area has not as many, an [*AreaWriteError] when it cannot be written, or
// one of PrepareMerge's.
//
// The write is durable when CommitMerge returns; if a power cut tears it, some
// of the n are still there, and are merged again.
func (s *Store) CommitMerge(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkMergeable(); err != nil {
		return err
	}
	if n < 1 || n > s.end.Index {
		return &MergeCountError{Merged: n, Committed: s.end.Index}
	}
	if err := s.merged(n); err != nil {
		s.mergeFailed = true
		s.fail(err)
		return err
	}
	s.end.Index -= n
	s.end.Exceptions -= uint64(n)
	s.end.NextFree = s.geometry.AreaLocation(s.end.Area) + format.NewChunk(s.end.Index) + 1
	s.state = moved
	return nil
}

func (s *Store) merged(n int) error {
	for i := s.end.Index - n; s.table != nil && i < s.end.Index; i++ {
		x, err := s.exception(i)
		if err != nil {
			return err
		}
		delete(s.table, x.Old)
	}
	return s.clearSlots(s.end.Index-n, s.end.Index)
}

// FailMerge is for the caller whose copy has failed: the Store merges no more
// then ([ErrMergeFailed]), and its status says so, as the kernel does it
// (merge_failed in dm-snap.c). The store on the device is as good as before.
func (s *Store) FailMerge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mergeFailed = true
}
