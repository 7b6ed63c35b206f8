package store

import (
	"errors"
	"io"
	"sync"

	"dmcow/format"
	"dmcow/store/look"
)

// WriteDevice is a device that the engine writes to. Offsets and lengths of writes are multiples of its
// logical block, in bytes; a write is done whole or returns an error.
type WriteDevice interface {
	look.Device
	// WriteAt writes what becomes durable with the next Sync or WriteDurable.
	io.WriterAt
	// Sync makes durable what was written.
	Sync() error
	// WriteDurable writes p when all that was written before is durable, and
	// returns when p is: a write with PREFLUSH and FUA.
	WriteDurable(p []byte, offset int64) error
}

// Type is the type of a persistent store in a device-mapper table. It is not
// kept on disk.
type Type string

// The types: what becomes of the snapshot when a write to it finds no room.
const (
	Persistent         Type = "P"  // it is lost
	PersistentOverflow Type = "PO" // the write fails, and all to the snapshot that follow
)

// Options say how to open a store.
type Options struct {
	Type Type // Persistent, where it is empty
	// Table keeps the exceptions in memory for Lookup, and makes PrepareException refuse an old chunk that
	// has one. That costs 20 to 40 bytes an exception (BenchmarkTable). Without it, a store takes little
	// memory, whatever its length.
	Table bool
	// HiddenVoid: entries behind the list's end that a torn commit explains are known to
	// change nothing that the snapshot shows, as a check of the store with its origin tells.
	// They are cleared before the first exception is added; without it, none is.
	HiddenVoid bool
	// Visit, where set, is called now and then while the list is read, with the area that the walk has come
	// to. It stops with the error that Visit returns, and must not use the Store.
	Visit func(format.AreaIndex) error
}

// Store is an exception store that is open for writing (struct pstore). Its methods may be called by several
// goroutines at once, also from the functions that they call back; while one writes metadata the others wait.
// Nothing else may write to the device's metadata meanwhile.
type Store struct {
	device   WriteDevice
	geometry format.Geometry
	options  Options

	mu     sync.Mutex
	end    format.End // as after a walk; its Place is where the next exception goes
	window areaWindow // of the current area: as on disk, and what was gathered since
	// waiting are the prepared exceptions, in order: those that are not committed, and those that wait for
	// one that is not. The first has the number head.
	waiting  []waiting
	head     uint64
	gathered []waiting // in area, and not yet on disk
	table    map[format.OldChunk]format.NewChunk
	state    state

	failed      error // why it does nothing more: look.ErrInvalid, or a failed write
	mergeFailed bool
	overflowed  bool
}

// state is what can be done with the current area.
type state int

const (
	// moved: a merge has moved the list's end since it was read, or is about to. The next free chunk is no
	// more than the kernel's guess, and before an exception is added the list has to be read again.
	moved state = iota
	// unlooked: the list was read, and what stands behind its end was not looked
	// at.
	unlooked
	// addable: nothing stands behind the list's end.
	addable
)

// Open loads the store on d as the kernel does. The error is [look.ErrInvalid], a
// [*look.StateError], a [*format.AreaError] where the list cannot be read to its
// end, with Options.Table an [*ExistsError], or one of reading.
func Open(d WriteDevice, o Options) (*Store, error) {
	id, err := look.Loadable(d)
	if err != nil {
		return nil, err
	}
	s := &Store{device: d, geometry: id.Geometry, options: o}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// load reads the list and its last area (read_exceptions).
func (s *Store) load() error {
	var table map[format.OldChunk]format.NewChunk
	if s.options.Table {
		table = map[format.OldChunk]format.NewChunk{}
	}
	w := format.Walk{Device: s.device, Size: s.size(), Geometry: s.geometry}
	end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		if err := tabulate(table, b); err != nil || s.options.Visit == nil {
			return err
		}
		return s.options.Visit(b.Area)
	})
	if err != nil {
		return err
	}
	s.state = moved // until all of it is there
	s.end, s.table = end, table
	s.window.there = false
	if err := s.look(end.Index); err != nil {
		return err
	}
	s.state = unlooked
	return nil
}

// tabulate takes the exceptions of a batch into a table, if there is one.
func tabulate(table map[format.OldChunk]format.NewChunk, b format.Batch) error {
	if table == nil {
		return nil
	}
	for _, x := range b.Exceptions() {
		if n, exists := table[x.Old]; exists {
			return &ExistsError{format.Exception{Old: x.Old, New: n}}
		}
		table[x.Old] = x.New
	}
	return nil
}

func (s *Store) size() format.Bytes { return format.Bytes(s.device.Size()) }

func (s *Store) slots() int { return s.geometry.ExceptionsPerArea() }

// Geometry is where things lie in the store. Data is read and written straight
// on the device, at the Offset of a new chunk.
func (s *Store) Geometry() format.Geometry { return s.geometry }

// End is where the list ends, with what was gathered, and the next chunk that is given out.
func (s *Store) End() format.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Lookup returns the new chunk of an exception, committed or in flight. The
// store must have been opened with Options.Table.
func (s *Store) Lookup(old format.OldChunk) (n format.NewChunk, ok bool) {
	if !s.options.Table {
		panic("store: Lookup without Options.Table")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok = s.table[old]
	return n, ok
}

// Usage is how the space of the device is used, with the chunks that were given out to exceptions not
// committed yet (persistent_usage). In a merge its figures are the kernel's, which suppose that chunks were
// given out in the list's order. Once a write has failed they mean nothing.
func (s *Store) Usage() look.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return look.Usage{Geometry: s.geometry, Size: s.size(), End: s.end}
}

// Status is what the kernel's status line would have behind the target's name
// (snapshot_status in dm-snap.c).
func (s *Store) Status() string {
	u := s.Usage()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(s.failed, look.ErrInvalid):
		return "Invalid"
	case s.mergeFailed:
		return "Merge failed"
	case s.overflowed:
		return "Overflow"
	}
	return u.Status()
}
