package store

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/raw"
)

// Undo is an undo log: a persistent store of what a device held before a change
// wrote over it. Merged into the device it takes the change back; to the kernel
// it is a snapshot of the device like any other.
//
// It also keeps what the change wrote, as checksums (see label), so that it can
// tell the device that it belongs to from others: each sector that it captured
// still holds what it held then, or else what the change wrote there.
//
// Its methods may be called by several goroutines at once.
type Undo struct {
	origin   io.ReaderAt // the device that is changed
	size     format.Bytes
	log      *Store
	options  UndoOptions
	geometry format.Geometry
	kept     bool // labelKept

	mu       sync.Mutex
	failed   error      // why it does nothing more
	captured bitmap.Set // by old chunk
	label    *label     // of the current area; nil where it has none yet
}

// Change is what is going to be written to a device: whole sectors.
type Change struct {
	Offset format.Bytes
	Data   []byte
}

// Reader is a device that a log is about.
type Reader interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// Changeable is such a device while it is being changed.
type Changeable interface {
	Reader
	Sync() error
}

// UndoOptions say how to begin an undo log, or to go on with one.
type UndoOptions struct {
	// Grow, where it is not nil, makes the log larger: then it is a file.
	Grow func(format.Bytes) error
	// Kept: the change leaves the store that it merges as it is. [Undo.Kept] reports whether that
	// holds for all that the log has captured.
	Kept bool
	// Force goes on with a log that does not belong to the device.
	Force bool
	// Visit, where set, is called now and then while a log is opened, which ends with the
	// error that it returns.
	Visit func(format.AreaIndex) error
}

// NewUndo begins an undo log on a device that holds nothing of worth. The first
// label is durable before the header: there is no log that lacks one. The error is
// [ErrUndoChunk], one of [Initialize], or one of writing.
func NewUndo(log WriteDevice, origin Changeable, g format.Geometry, o UndoOptions) (*Undo, error) {
	if g.ChunkSectors() > MaxUndoChunk {
		return nil, ErrUndoChunk
	}
	first := g.DataChunk(labelChunks(g))
	if o.Grow != nil {
		if err := o.Grow(g.Offset(first)); err != nil {
			return nil, err
		}
	}
	flags := uint32(0)
	if o.Kept {
		flags = labelKept
	}
	err := initialize(log, g, nil, func() error {
		chunks, _ := labelAt(g, first)
		l := newLabel(g, chunks, format.Bytes(origin.Size()), flags)
		return l.write(log, 0, len(l.raw))
	})
	if err != nil {
		return nil, err
	}
	u, _, err := openUndo(log, origin, o)
	if err != nil {
		return nil, err
	}
	u.kept = o.Kept
	return u, u.begin()
}

// UndoSize is how large an undo log becomes that captures so many chunks, in bytes.
func UndoSize(g format.Geometry, chunks uint64) format.Bytes {
	areas := chunks/uint64(g.ExceptionsPerArea()) + 1
	return format.Bytes(chunksFor(g, chunks, chunks+areas*labelChunks(g))) * g.ChunkBytes()
}

// OpenUndo opens an undo log to go on with the change that it belongs to. It
// refuses a store that is no undo log ([ErrNoUndo]) and, unless force is given,
// one that does not belong to the device ([*ForeignUndoError]), going by a sample
// of what it captured, or that lost the end of its list ([*CutOffUndoError]). What was
// written to both is durable then. Other errors are those of [Open], and of the device.
func OpenUndo(log WriteDevice, origin Changeable, o UndoOptions) (*Undo, error) {
	if err := origin.Sync(); err != nil {
		return nil, fmt.Errorf("the device to be captured cannot be synced: %w", err)
	}
	// A run that was killed may have left in the page cache what it never synced.
	if err := log.Sync(); err != nil {
		return nil, fmt.Errorf("the undo log cannot be synced: %w", err)
	}
	u, end, err := openUndo(log, origin, o)
	if err != nil {
		return nil, err
	}
	first, err := firstLabel(log, u.geometry)
	if err != nil {
		return nil, err
	}
	if !o.Force {
		if err := Belongs(log, origin, true, o.Visit); err != nil {
			return nil, err
		}
	}
	if u.log.options.HiddenVoid, err = u.hiddenVoid(end); err != nil {
		return nil, err
	}
	return u, u.resume(first)
}

// openUndo opens the store, and notes which chunks it has: one bit each is all
// of the list that is kept in memory.
func openUndo(log WriteDevice, origin Changeable, o UndoOptions) (*Undo, format.End, error) {
	s, err := Open(log, Options{Visit: o.Visit})
	if err != nil {
		return nil, format.End{}, err
	}
	u := &Undo{origin: origin, size: format.Bytes(origin.Size()), log: s, options: o, geometry: s.Geometry()}
	chunks := uint64((u.size + u.geometry.ChunkBytes() - 1) / u.geometry.ChunkBytes())
	w := format.Walk{Device: log, Size: s.size(), Geometry: u.geometry}
	end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			if uint64(x.Old) < chunks {
				u.captured.Add(uint64(x.Old))
			}
		}
		return nil
	})
	return u, end, err
}

// hiddenVoid reports whether the entries behind the list's end change nothing: a chunk is captured
// before it is written, so that behind a commit that was torn the device still holds what was
// captured.
func (u *Undo) hiddenVoid(end format.End) (bool, error) {
	void := true
	_, err := LookBehind(u.log.device, u.geometry, end, func(_ format.Place, x format.Exception) error {
		if void && !u.captured.Has(uint64(x.Old)) {
			void = u.holds(x)
		}
		return nil
	})
	return void, err
}

// holds reports whether the device holds what an exception has captured.
func (u *Undo) holds(x format.Exception) bool {
	at := format.Bytes(x.Old) * u.geometry.ChunkBytes()
	if !u.geometry.Plausible(u.geometry.Chunks(u.log.size()), x) || at >= u.size {
		return false
	}
	n := min(u.geometry.ChunkBytes(), u.size-at)
	captured, now := make([]byte, n), make([]byte, n)
	return raw.ReadFull(u.log.device, captured, int64(u.geometry.Offset(x.New))) == nil &&
		raw.ReadFull(u.origin, now, int64(at)) == nil && bytes.Equal(captured, now)
}

// Kept reports whether all that the log has captured came from changes that left the store
// which they merged as it was.
func (u *Undo) Kept() bool { return u.kept }

// IsEmpty reports whether the log has captured nothing.
func (u *Undo) IsEmpty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.log.Usage().End.Exceptions == 0
}

// resume finds the label of the current area, and notes what the change means for the log, whose
// first label has the given head.
func (u *Undo) resume(first labelHead) error {
	u.kept = u.options.Kept && first.flags&labelKept != 0
	if u.log.end.Index == 0 {
		if err := u.begin(); err != nil {
			return err
		}
	} else {
		x, err := u.log.exception(0)
		if err != nil {
			return err
		}
		l, err := readLabel(u.log.device, u.geometry, x.New)
		if err != nil {
			return err
		}
		u.label = l
		if n := u.log.end.Index; l.count() != n { // less while it was taken back
			l.setCount(n)
			if err := l.writeHead(u.log.device); err != nil {
				return err
			}
		}
	}
	change := func(flags uint32) uint32 {
		if flags &^= labelTakingBack; !u.kept {
			flags &^= labelKept
		}
		return flags
	}
	if u.log.end.Area == 0 { // the label that is written again with each capture has them
		u.label.changeFlags(change)
	}
	return changeFlags(u.log.device, u.geometry, change)
}

// begin takes the chunks of the current area's label, and writes it: with no
// sums yet, it tells the log from other stores. In the first label it keeps the flags.
func (u *Undo) begin() error {
	n := labelChunks(u.geometry)
	if err := u.reach(n); err != nil {
		return err
	}
	flags := uint32(0)
	if u.log.end.Area == 0 {
		h, err := firstLabel(u.log.device, u.geometry)
		if err != nil {
			return err
		}
		flags = h.flags
	}
	chunks, err := u.log.skip(n)
	if err != nil {
		return err
	}
	u.label = newLabel(u.geometry, chunks, u.size, flags)
	return u.label.write(u.log.device, 0, len(u.label.raw))
}

// Close notes in the log that all of it is there, durably. The log does nothing more.
func (u *Undo) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil || u.label == nil || u.label.count() == u.log.end.Index {
		return nil
	}
	u.label.setCount(u.log.end.Index)
	if err := u.label.writeHead(u.log.device); err != nil {
		return err
	}
	return u.log.device.Sync()
}

// reach makes the log large enough for n more chunks. The label of an area makes
// its last data chunk lie behind the next area, so that it has room for that too.
func (u *Undo) reach(n uint64) error {
	if u.options.Grow == nil {
		return nil // the engine says when there is no room
	}
	end := u.log.end
	last := u.geometry.AreaLocation(end.Area)
	for next := end.NextFree; n > 0; n-- {
		last = max(last, next)
		next = u.geometry.SkipMetadata(next + 1)
	}
	if size := u.geometry.Offset(last + 1); size > u.log.size() {
		return u.options.Grow(size)
	}
	return nil
}
