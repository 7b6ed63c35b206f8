package merge

import "dmcow/store"

// discarding is a device that discards what is written to it: what only looks at a store uses
// the engine, which would write.
type discarding struct{ Source }

func (discarding) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (discarding) WriteDurable([]byte, int64) error       { return nil }
func (discarding) Sync() error                            { return nil }

// Preview calls told with the runs of the next n steps, or of as many as are left, and changes nothing. The
// error is one of [store.Open], or of told. A merge reads each area once, before it clears anything in it: so
// it does not matter that nothing is cleared.
func (m *Prospect) Preview(n uint64, told func(store.Run) error) error {
	s, err := store.Open(discarding{m.cow}, store.Options{Visit: m.opening.Visit})
	if err != nil {
		return err
	}
	for ; n > 0; n-- {
		run, err := s.PrepareMerge()
		if err == nil && run.Count > 0 {
			err = s.CommitMerge(run.Count)
		}
		if err != nil || run.Count == 0 {
			return err
		}
		if err := told(run); err != nil {
			return err
		}
	}
	return nil
}
