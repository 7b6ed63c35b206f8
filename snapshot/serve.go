package snapshot

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/store"
	"dmcow/view"
)

// Served is a snapshot that is shown as a device while it lasts. It may be used by several goroutines at once.
type Served struct {
	source   Source
	snapshot *Snapshot  // nil where the source is not one: then nothing can be written
	live     bool       // somebody may be writing to what is read
	note     func(Note) // is told of errors
	unsynced error      // why what was written could not be made durable

	mu   sync.Mutex
	told map[string]bool // errors that were told

	moving atomic.Bool // somebody came to write to what is read
}

// Serve shows a snapshot, or another source, until it is closed. What goes wrong is noted once, by one goroutine at a
// time. live is for what somebody else may be using.
func Serve(from Source, live bool, note func(Note)) *Served {
	n, _ := from.(*Snapshot)
	return &Served{source: from, snapshot: n, live: live, note: note, told: map[string]bool{}}
}

// Size is the size of the snapshot, in bytes.
func (v *Served) Size() int64 { return v.source.Size() }

// ChunkBytes is the size of its chunks.
func (v *Served) ChunkBytes() int64 {
	if v.snapshot == nil {
		return format.SectorSize
	}
	return int64(v.snapshot.View.Geometry().ChunkBytes())
}

// Free is how many chunks can be written for the first time.
func (v *Served) Free() uint64 {
	if v.snapshot == nil {
		return 0
	}
	return v.snapshot.View.Usage().Free()
}

// ReadAt reads what the snapshot shows, where that is certain.
func (v *Served) ReadAt(p []byte, offset int64) (int, error) {
	if v.moving.Load() {
		return 0, syscall.EIO
	}
	n, err := v.source.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		v.tell(err)
	}
	return n, err
}

// WriteAt writes to the store.
func (v *Served) WriteAt(p []byte, offset int64) (int, error) {
	if v.moving.Load() { // it would take the rest of a chunk from the origin
		return 0, syscall.EIO
	}
	if v.snapshot == nil {
		return 0, syscall.EROFS
	}
	n, err := v.snapshot.View.WriteAt(p, offset)
	switch {
	case err == nil, n > 0: // the rest of a short write is tried again
		return n, nil
	case errors.Is(err, view.ErrReadOnly):
		return 0, syscall.EROFS
	}
	v.tell(err)
	if errors.Is(err, store.ErrNoRoom) {
		err = syscall.ENOSPC
	}
	return 0, err
}

// Sync makes durable what was written.
func (v *Served) Sync() error {
	if v.snapshot == nil {
		return nil
	}
	err := v.snapshot.View.Sync()
	if err != nil {
		v.tell(err)
	}
	return err
}

// Commit makes durable what was written, and notes if that fails: once, for it fails for ever then.
func (v *Served) Commit() {
	if v.snapshot == nil {
		return
	}
	if err := v.snapshot.View.Sync(); err != nil && v.unsynced == nil {
		v.unsynced = err
		v.tell(fmt.Errorf("no longer writable: %w", err))
	}
}

// Watch looks whether somebody has come to use what is read, who may write to it. From then on
// nothing can be read: it may be of several moments.
func (v *Served) Watch() {
	var by *Refusal
	if !v.live && !v.moving.Load() && errors.As(v.source.CheckQuiet(), &by) {
		v.moving.Store(true)
		v.tell(fmt.Errorf("%s: %w; reads and writes fail from now on", words.Printable(by.Device), by.Err))
	}
}

const mostTold = 100

// tell tells of an error, once: the kernel asks again and again. Of chunks that are not certain for
// one reason it names the first.
func (v *Served) tell(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := Note{Device: v.source.About(), Text: err.Error(), Code: Unable}
	key := n.Text
	if u := (*view.UncertainError)(nil); errors.As(err, &u) {
		key, n.Code = u.Why, Damaged
	}
	switch {
	case v.told[key] || len(v.told) > mostTold:
		return
	case len(v.told) == mostTold:
		n.Text = "more errors not shown"
	}
	v.told[key] = true
	v.note(n)
}
