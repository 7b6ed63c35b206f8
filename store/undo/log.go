// Package undo keeps what a device held before a change, as a store that takes the change back when it is
// merged into the device. The engine writes it ([Log]); labels, in chunks that no exception names, tell a log
// from other stores ([IsLog]) and from logs of other devices ([CheckBelongs]).
package undo

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/internal/header"
	"dmcow/store/label"
	"dmcow/store/look"
)

// Log is an undo log: a persistent store of what a device held before a change wrote over it. Merged into the
// device it takes the change back; to the kernel it is a snapshot of the device like any other.
//
// It also keeps what the change wrote, as checksums (see areaLabel), so that it can
// tell the device that it belongs to from others: each sector that it captured
// still holds what it held then, or else what the change wrote there.
//
// Its methods may be called by several goroutines at once.
type Log struct {
	origin   io.ReaderAt // the device that is changed
	size     format.Bytes
	device   store.WriteDevice // the log's
	log      *store.Store      // on it
	options  Options
	geometry format.Geometry
	kept     bool // labelKept

	mu       sync.Mutex
	failed   error      // why it does nothing more
	captured bitmap.Set // by old chunk
	label    *areaLabel // of the current area; nil where it has none yet
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

// Options say how to begin an undo log, or to go on with one.
type Options struct {
	// Grow, where it is not nil, makes the log larger: then it is a file.
	Grow func(format.Bytes) error
	// Kept: the change leaves the store that it merges as it is. [Log.Kept] reports whether that
	// holds for all that the log has captured.
	Kept bool
	// Force goes on with a log that does not belong to the device.
	Force bool
	// Visit, where set, is called now and then while a log is opened, which ends with the
	// error that it returns.
	Visit func(format.AreaIndex) error
}

// New begins an undo log on a device that holds nothing of worth. The first
// label is durable before the header: there is no log that lacks one. The error is
// [ErrChunk], one of [store.Initialize], or one of writing.
func New(log store.WriteDevice, origin Changeable, g format.Geometry, o Options) (*Log, error) {
	if g.ChunkSectors() > MaxChunk {
		return nil, ErrChunk
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
	err := header.Initialize(log, g, nil, func() error {
		chunks, _ := labelAt(g, first)
		l := newLabel(g, chunks, format.Bytes(origin.Size()), flags)
		return l.write(log, 0, len(l.raw))
	})
	if err != nil {
		return nil, err
	}
	u, _, err := open(log, origin, o)
	if err != nil {
		return nil, err
	}
	u.kept = o.Kept
	if u.log, err = store.Open(log, store.Options{}); err != nil {
		return nil, err
	}
	return u, u.begin()
}

// Size is how large an undo log becomes that captures so many chunks, in bytes.
func Size(g format.Geometry, chunks uint64) format.Bytes {
	areas := chunks/uint64(g.ExceptionsPerArea()) + 1
	return format.Bytes(g.ChunksFor(chunks, chunks+areas*labelChunks(g))) * g.ChunkBytes()
}

// Open opens an undo log to go on with the change that it belongs to. It refuses a store that is not an undo
// log ([ErrNoLog]) and, unless force is given, one that does not belong to the device ([*ForeignError]),
// going by a sample of what it captured, or that lost the end of its list ([*CutOffError]). What was written
// to both is durable then. Other errors are [store.Open]'s, and the device's.
func Open(log store.WriteDevice, origin Changeable, o Options) (*Log, error) {
	if err := origin.Sync(); err != nil {
		return nil, fmt.Errorf("cannot sync the device: %w", err)
	}
	// A run that was killed may have left in the page cache what it never synced.
	if err := log.Sync(); err != nil {
		return nil, fmt.Errorf("cannot sync the undo log: %w", err)
	}
	u, end, err := open(log, origin, o)
	if err != nil {
		return nil, err
	}
	first, err := firstLabel(log, u.geometry)
	if err != nil {
		return nil, err
	}
	if !o.Force {
		if err := CheckBelongs(log, origin, true, o.Visit); err != nil {
			return nil, err
		}
	}
	void, err := u.hiddenVoid(end)
	if err != nil {
		return nil, err
	}
	if u.log, err = store.Open(log, store.Options{HiddenVoid: void, Visit: o.Visit}); err != nil {
		return nil, err
	}
	return u, u.resume(first)
}

// open reads the list, and notes which chunks it has: one bit each is all
// of it that is kept in memory.
func open(log store.WriteDevice, origin Changeable, o Options) (*Log, format.End, error) {
	id, err := look.Loadable(log)
	if err != nil {
		return nil, format.End{}, err
	}
	u := &Log{origin: origin, size: format.Bytes(origin.Size()), device: log, options: o, geometry: id.Geometry}
	chunks := uint64((u.size + u.geometry.ChunkBytes() - 1) / u.geometry.ChunkBytes())
	end, err := format.Each(id.Walk(log), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			if uint64(x.Old) < chunks {
				u.captured.Add(uint64(x.Old))
			}
		}
		if o.Visit == nil {
			return nil
		}
		return o.Visit(b.Area)
	})
	return u, end, err
}

// hiddenVoid reports whether the slots behind the end of the list change nothing: a chunk is captured
// before it is written, so that behind a commit that was torn the device still holds what was
// captured.
func (u *Log) hiddenVoid(end format.End) (bool, error) {
	void := true
	_, err := look.Behind(u.device, u.geometry, end, func(_ format.Place, x format.Exception) error {
		if void && !u.captured.Has(uint64(x.Old)) {
			void = u.holds(x)
		}
		return nil
	})
	return void, err
}

// holds reports whether the device holds what an exception has captured.
func (u *Log) holds(x format.Exception) bool {
	at := format.Bytes(x.Old) * u.geometry.ChunkBytes()
	if !look.Plausible(u.geometry, u.geometry.Chunks(format.Bytes(u.device.Size())), x) || at >= u.size {
		return false
	}
	n := min(u.geometry.ChunkBytes(), u.size-at)
	captured, now := make([]byte, n), make([]byte, n)
	return raw.ReadFull(u.device, captured, u.geometry.Offset(x.New)) == nil &&
		raw.ReadFull(u.origin, now, at) == nil && bytes.Equal(captured, now)
}

// Kept reports whether all that the log has captured came from changes that left the store
// which they merged as it was.
func (u *Log) Kept() bool { return u.kept }

// IsEmpty reports whether the log has captured nothing.
func (u *Log) IsEmpty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.log.Usage().End.Exceptions == 0
}

// resume finds the label of the current area, and notes what the change means for the log, whose
// first label has the given head.
func (u *Log) resume(first label.Head) error {
	u.kept = u.options.Kept && first.Flags&labelKept != 0
	if u.log.End().Index == 0 {
		if err := u.begin(); err != nil {
			return err
		}
	} else {
		k := u.log.End().Area
		first, err := firstOf(u.device, u.geometry, k)
		if err != nil {
			return fmt.Errorf("byte %d of the undo log: %w", u.geometry.SlotOffset(format.Place{Area: k}), err)
		}
		l, err := readLabel(u.device, u.geometry, first)
		if err != nil {
			return err
		}
		u.label = l
		if n := u.log.End().Index; l.count() != n { // less while it was taken back
			l.setCount(n)
			if err := l.writeHead(u.device); err != nil {
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
	if u.log.End().Area == 0 { // the label that is written again with each capture has them
		label.SetFlags(u.label.raw, change(first.Flags))
	}
	return changeFlags(u.device, u.geometry, change)
}

// begin takes the chunks of the current area's label, and writes it: with no
// sums yet, it tells the log from other stores. In the first label it keeps the flags.
func (u *Log) begin() error {
	n := labelChunks(u.geometry)
	if err := u.reach(n); err != nil {
		return err
	}
	flags := uint32(0)
	if u.log.End().Area == 0 {
		h, err := firstLabel(u.device, u.geometry)
		if err != nil {
			return err
		}
		flags = h.Flags
	}
	chunks, err := u.log.Skip(n)
	if err != nil {
		return err
	}
	u.label = newLabel(u.geometry, chunks, u.size, flags)
	return u.label.write(u.device, 0, len(u.label.raw))
}

// Close notes in the log that all of it is there, durably. The log does nothing more.
func (u *Log) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil || u.label == nil || u.label.count() == u.log.End().Index {
		return nil
	}
	u.label.setCount(u.log.End().Index)
	if err := u.label.writeHead(u.device); err != nil {
		return err
	}
	return u.device.Sync()
}

// reach makes the log large enough for n more chunks. The label of an area makes
// its last data chunk lie behind the next area, so that it has room for that too.
func (u *Log) reach(n uint64) error {
	if u.options.Grow == nil {
		return nil // the engine says when there is no room
	}
	end := u.log.End()
	last := u.geometry.AreaLocation(end.Area)
	for next := end.NextFree; n > 0; n-- {
		last = max(last, next)
		next = u.geometry.SkipMetadata(next + 1)
	}
	if size := u.geometry.Offset(last + 1); size > format.Bytes(u.device.Size()) {
		return u.options.Grow(size)
	}
	return nil
}
