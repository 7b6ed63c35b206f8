package merge

import (
	"dmcow/format"
	"dmcow/store"
)

// Steps does n steps of a merge as the kernel does them, or as many as are left
// (snapshot_merge_next_chunks and merge_callback in dm-snap.c): it copies the last run
// of exceptions that are consecutive in both chunks, within their area, flushes the
// origin, and clears them with one durable write. It calls told with each run that
// was merged. What stands behind the list's end is cleared first; the kernel would keep it. Of the Options, only Memory and Undo have a meaning.
//
// The error is one of [Merge.Run] or [store.Open], or of told.
func (m *Merge) Steps(o Options, n uint64, told func(store.Run) error) (Result, error) {
	if err := m.clearHidden(); err != nil {
		return Result{}, err
	}
	s, err := store.Open(m.cow, store.Options{Visit: m.opening.Visit})
	if err != nil {
		return Result{}, err
	}
	r := m.merger(Options{Memory: o.Memory, Undo: o.Undo, batch: o.batch, window: o.window})
	defer r.copier.close()
	for ; n > 0; n-- {
		run, err := r.step(s)
		if err != nil || run.Count == 0 {
			return r.result, err
		}
		if err := told(run); err != nil {
			return r.result, err
		}
	}
	return r.result, nil
}

// step does one step. The run's Count is 0 where nothing is left to merge.
func (m *merger) step(s *store.Store) (store.Run, error) {
	run, err := s.PrepareMerge()
	if err != nil || run.Count == 0 {
		return run, err
	}
	position := m.geometry.Position(s.Usage().End.Place) - uint64(run.Count)
	for done := 0; done < run.Count; {
		all := m.exceptions[:min(run.Count-done, len(m.exceptions))]
		for i := range all {
			all[i] = format.Exception{Old: run.Old + format.OldChunk(done+i), New: run.New + format.NewChunk(done+i)}
			if err := m.checkException(m.geometry.PlaceAt(position+uint64(done+i)), all[i]); err != nil {
				return run, err
			}
		}
		if err := m.copier.copy(&batch{all: all}); err != nil {
			return run, err
		}
		done += len(all)
	}
	if err := m.origin.Sync(); err != nil {
		return run, &SyncError{err}
	}
	return run, s.CommitMerge(run.Count)
}
