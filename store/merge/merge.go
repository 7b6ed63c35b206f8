package merge

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"dmcow/format"
	"dmcow/store"
)

// MinMemory is the least memory that a merge takes for exceptions and data, in
// bytes.
const MinMemory format.Bytes = 1 << 20

// Reader is a device that many pieces can be read from at once.
type Reader interface {
	io.ReaderAt
	// ReadMany reads p[i] from offset at[i], in bytes, for each i. Where some
	// cannot be read whole, it returns the index of the first of them, and why.
	ReadMany(p [][]byte, at []int64) (failed int, err error)
}

// COW is the COW device.
type COW interface {
	store.WriteDevice
	Reader
}

// Origin is the device that is merged into.
type Origin interface {
	Reader
	Size() int64             // in bytes
	LogicalBlockSize() int64 // in bytes
	// WriteMany writes p[i] to offset at[i], as ReadMany reads.
	WriteMany(p [][]byte, at []int64) (failed int, err error)
	// Sync makes durable what was written.
	Sync() error
}

// Options say what to merge, and how.
type Options struct {
	COW    COW
	Origin Origin
	// Memory is how much is taken for exceptions and data, in bytes: at least
	// MinMemory.
	Memory format.Bytes
	// Buffer gives out memory that is aligned for direct I/O; make does where it is
	// nil.
	Buffer func(bytes int) []byte

	Keep          bool        // copy, and leave the list as it is
	SkipIdentical bool        // do not write what the origin holds already
	Rescue        bool        // leave chunks that cannot be read in the store, and merge the others
	Undo          *store.Undo // is given what is overwritten, before; may be nil
	// PastCache reads the origin back, past the page cache. Where it is set, what was
	// written is compared before exceptions are cleared.
	PastCache Reader
	// Hole makes a stretch of the origin read as zeros without taking room, offset
	// and length in bytes. Where it is set, zeros become holes.
	Hole func(offset, length int64) error
	// Share makes a stretch of the origin share its room with one of the COW device,
	// all in bytes; done is false where they cannot. It may be nil.
	Share func(source, offset, length int64) (done bool, err error)

	// Copied, where set, is told now and then how much of the exceptions' data has
	// been dealt with, in bytes.
	Copied func(format.Bytes)
	// Pause, where set, is called between two batches. The merge stops with the error
	// that it returns.
	Pause func() error

	// What tests make small, in place of what follows from Memory: exceptions in a
	// batch, and bytes in a window.
	batch  uint64
	window format.Bytes
}

// Result is what a merge has done.
type Result struct {
	Chunks    uint64             // merged: copied, or equal already
	Written   format.Bytes       // to the origin
	Identical uint64             // chunks that were equal already
	Holes     format.Bytes       // made in place of writing zeros
	Shared    format.Bytes       // in place of copying
	Failed    []format.Exception // could not be read, and are left in the store
}

// merger is a merge on its way.
type merger struct {
	Options
	*list
	size       format.Bytes // of the origin, in whole sectors
	chunks     uint64       // on the COW device
	exceptions []format.Exception
	limit      uint64 // exceptions in the next batch
	copier     *copier
	result     Result
}

// Run merges all of a store. The store is one that a check finds no error in, but
// for exceptions that stand in it twice and for what a merge that was cut off has
// left; that new chunks lie on the COW device and old ones on the origin, and that no
// two exceptions of a batch name one old chunk, is made sure of once more.
//
// The error is one of [store.Loadable], a [*store.HiddenError], [*BadExceptionError],
// [*TransferError], [*SyncError], [*UndoError], [*DifferenceError] or [*TooManyError], a
// [*format.AreaError] or [*store.AreaWriteError] of the metadata, or that of Pause. After
// any error the snapshot shows what it showed before, and the merge can be run again.
func Run(o Options) (Result, error) {
	m, end, err := newMerger(o)
	if err != nil {
		return Result{}, err
	}
	// The exceptions whose chunks could not be read stand behind end, up to last.
	for last := end; end > 0; {
		start := time.Now()
		b, err := m.take(end)
		if err == nil {
			err = m.merge(&b)
		}
		if err == nil && !m.Keep {
			err = m.shrink(b.first, last, m.result.Failed)
		}
		if err != nil {
			return m.result, err
		}
		end, last = b.first, b.first+uint64(len(m.result.Failed))
		m.adapt(time.Since(start))
		if m.Pause != nil && end > 0 {
			if err := m.Pause(); err != nil {
				return m.result, err
			}
		}
	}
	return m.result, nil
}

// newMerger opens the store, and returns the position at which its list ends.
func newMerger(o Options) (m *merger, end uint64, err error) {
	if o.Buffer == nil {
		o.Buffer = func(n int) []byte { return make([]byte, n) }
	}
	id, err := store.Loadable(o.COW)
	if err != nil {
		return nil, 0, err
	}
	g, block := id.Geometry, format.Bytes(o.Origin.LogicalBlockSize())
	if err := format.CheckChunkSectors(uint32(g.ChunkSectors()), block); err != nil {
		return nil, 0, fmt.Errorf("chunks of %d sectors on an origin with blocks of %d bytes: %w", g.ChunkSectors(), block, err)
	}
	last, err := format.Scan(id.Walk(o.COW), func(format.AreaIndex) error { return nil })
	if err != nil {
		return nil, 0, err
	}
	m = &merger{
		Options: o,
		list:    newList(o.COW, g, o.Buffer),
		size:    format.Bytes(o.Origin.Size()) / format.SectorSize * format.SectorSize,
		chunks:  g.Chunks(format.Bytes(o.COW.Size())),
	}
	end = m.position(last.Place)
	most := cmp.Or(o.batch, uint64(max(o.Memory, MinMemory)/4/format.ExceptionSize))
	m.exceptions = make([]format.Exception, min(most, end))
	m.limit = min(firstBatch, uint64(len(m.exceptions)))
	m.copier = newCopier(m)
	return m, end, m.provenHidden(last)
}

// merge copies a batch, makes that durable, and reads it back where that is asked
// for.
func (m *merger) merge(b *batch) error {
	if err := m.copier.copy(b); err != nil {
		return err
	}
	if err := m.Origin.Sync(); err != nil {
		return &SyncError{err}
	}
	if m.PastCache != nil {
		return m.copier.verify(b)
	}
	return nil
}

// A batch takes as long as its reads take, and they may be one seek of a disk each.
// It is to be a matter of seconds: a merge that is killed begins its last batch
// again, and one that is interrupted ends it first.
const (
	firstBatch = 1 << 17 // exceptions
	longBatch  = 20 * time.Second
	shortBatch = 5 * time.Second
	leastBatch = 1 << 10
)

// adapt fits the size of batches to what the last one took.
func (m *merger) adapt(took time.Duration) {
	switch {
	case took > longBatch && m.limit > leastBatch:
		m.limit /= 2
	case took < shortBatch:
		m.limit = min(2*m.limit, uint64(len(m.exceptions)))
	}
}
