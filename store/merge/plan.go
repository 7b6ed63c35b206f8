package merge

import (
	"dmcow/format"
	"dmcow/store"
)

// Plan is what a merge will do.
type Plan struct {
	Chunks uint64       // exceptions in the list
	Bytes  format.Bytes // of the origin that they replace
}

// Examine plans a merge without writing anything. The error is one of [Run] that
// comes before anything is written.
func Examine(cow Source, origin Source) (Plan, error) {
	m, end, err := newMerger(Options{COW: unwritten{cow}, Origin: unwritten{origin}})
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Chunks: end}
	err = m.read(0, end, func(at uint64, x format.Exception) error {
		if err := m.judge(at, x); err != nil {
			return err
		}
		p.Bytes += m.lengthOf(x)
		return nil
	})
	return p, err
}

// Source is a device that is only read.
type Source interface {
	store.Device
	Reader
}

// unwritten is a device that forgets what is written to it.
type unwritten struct{ Source }

func (unwritten) WriteAt(p []byte, _ int64) (int, error)       { return len(p), nil }
func (unwritten) WriteMany(_ [][]byte, _ []int64) (int, error) { return 0, nil }
func (unwritten) WriteDurable([]byte, int64) error             { return nil }
func (unwritten) Sync() error                                  { return nil }
