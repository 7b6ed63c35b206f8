package merge

import "dmcow/store"

// Source is a device that is only read.
type Source interface {
	store.Device
	Reader
}

// Look is Open for devices that are open for reading: the merge can be looked at, and
// not run.
func Look(cow, origin Source) (*Merge, error) { return Open(unwritten{cow}, unwritten{origin}, nil) }

// unwritten is a device that forgets what is written to it.
type unwritten struct{ Source }

func (unwritten) WriteAt(p []byte, _ int64) (int, error)       { return len(p), nil }
func (unwritten) WriteMany(_ [][]byte, _ []int64) (int, error) { return 0, nil }
func (unwritten) WriteDurable([]byte, int64) error             { return nil }
func (unwritten) Sync() error                                  { return nil }
