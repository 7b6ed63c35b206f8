package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

// refuseUndo is the failure of a file or device in which no undo log of the merge can
// be kept. It looks only; what is not there yet can be made.
func (j *job) refuseUndo() error {
	name := string(j.Undo)
	if name == "" {
		return nil
	}
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		j.noUndo = true
		return undoFailure(name, device.Creatable(name))
	}
	c, err := j.openCOW(name, section{}, 0)
	if err != nil {
		return err
	}
	defer c.close()
	for _, d := range []*device.Device{j.device, j.origin} {
		if c.device.Overlaps(d) {
			return undoFailure(name, fmt.Errorf("is kept on the same bytes as %s", printable(d.Path())))
		}
	}
	isUndo, err := store.IsUndo(c.device)
	switch {
	case err != nil:
		return undoFailure(name, err)
	case isUndo:
		return undoFailure(name, store.Belongs(c.device, j.origin, true))
	}
	what, err := (&target{cow: c}).holds()
	if err == nil && what != "" {
		err = errors.New(what)
	}
	need := store.UndoSize(j.undoGeometry(), uint64(j.merge.Bytes/j.undoGeometry().ChunkBytes())+1)
	if c.device.IsBlock() && c.size() < need {
		return undoFailure(name, fmt.Errorf("too small for the undo log, which takes up to %d sectors: it has %d", need.Sectors(), c.size().Sectors()))
	}
	if err != nil {
		err = fmt.Errorf("refused: is no undo log, and not to be written over: %w", err)
	}
	return undoFailure(name, err)
}

// undoFailure makes a failure of an error about an undo log, if it is one.
func undoFailure(name string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{name, statusFailed, err}
}

// openUndo opens the undo log that is asked for, or makes one.
func (j *job) openUndo() error {
	name := string(j.Undo)
	if name == "" {
		return nil
	}
	d, created, err := device.CreateWritable(name)
	if err != nil {
		return undoFailure(name, err)
	}
	if j.noUndo && !created {
		d.Close()
		return undoFailure(name, errors.New("was not there before, and is now: somebody else has made it"))
	}
	if j.log, err = j.app.target(name, d, writing{}, 0); err != nil {
		return err
	}
	isUndo, err := store.IsUndo(j.log.device)
	switch {
	case err != nil:
	case isUndo:
		j.undo, err = store.OpenUndo(d, growing(d), j.into, false)
	default:
		j.undo, err = store.NewUndo(d, growing(d), j.into, j.undoGeometry())
	}
	return undoFailure(name, err)
}

// growing makes an image file as large as it has to be; it is nil for a block device.
func growing(d *device.Writable) func(format.Bytes) error {
	if d.IsBlock() {
		return nil
	}
	return func(size format.Bytes) error { return d.Grow(max(int64(size), d.Size())) }
}

// undoGeometry is that of a new undo log: with the chunks of the store as far as such
// a log may have them, so that each is captured with one write.
func (j *job) undoGeometry() format.Geometry {
	n := min(j.id.Geometry.ChunkSectors(), store.MaxUndoChunk)
	g, err := format.NewGeometry(uint32(n))
	if err != nil {
		panic(err) // both are powers of two
	}
	return g
}
