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

// Merge is a merge that can be begun.
type Merge struct {
	Plan
	*list
	origin Origin
	buffer func(bytes int) []byte
	size   format.Bytes // of the origin, in whole sectors
	chunks uint64       // on the COW device
}

// Plan is what a merge will do.
type Plan struct {
	Chunks uint64       // exceptions in the list
	Bytes  format.Bytes // of the origin that they replace
	// Beginning is the new chunk of the origin's first one, zero where the list does not
	// have that.
	Beginning format.NewChunk
}

// Open looks at a store and its origin, and makes sure that all of it can be merged.
// buffer gives out memory that is aligned for direct I/O; make does where it is nil.
// Nothing is written, but what was written before is made durable; nobody else may write
// to the devices from now on.
//
// The store is one that a check finds no error in, but for exceptions that stand in it
// twice and for what a merge that was cut off has left. That new chunks lie on the COW
// device and old ones on the origin is made sure of once more.
//
// The error is a [*SyncError], one of [store.Loadable], a [*BadExceptionError], a
// [*store.HiddenError], or a [*format.AreaError].
func Open(cow COW, origin Origin, buffer func(bytes int) []byte) (*Merge, error) {
	// A run that was killed may have left in the page cache what it never synced.
	for _, d := range []interface{ Sync() error }{origin, cow} {
		if err := d.Sync(); err != nil {
			return nil, &SyncError{err}
		}
	}
	id, err := store.Loadable(cow)
	if err != nil {
		return nil, err
	}
	g, block := id.Geometry, format.Bytes(origin.LogicalBlockSize())
	if err := format.CheckChunkSectors(uint32(g.ChunkSectors()), block); err != nil {
		return nil, fmt.Errorf("chunks of %d sectors on an origin with blocks of %d bytes: %w", g.ChunkSectors(), block, err)
	}
	if buffer == nil {
		buffer = func(n int) []byte { return make([]byte, n) }
	}
	m := &Merge{
		list:   newList(cow, g, buffer),
		origin: origin,
		buffer: buffer,
		size:   format.Bytes(origin.Size()) / format.SectorSize * format.SectorSize,
		chunks: g.Chunks(format.Bytes(cow.Size())),
	}
	end, err := format.Each(id.Walk(cow), nil, m.count)
	if err != nil {
		return nil, err
	}
	m.Chunks = end.Exceptions
	return m, m.provenHidden(end)
}

// count adds a batch of exceptions to the plan.
func (m *Merge) count(_ *struct{}, b format.Batch) error {
	for at, x := range b.Exceptions() {
		if err := m.judge(at, x); err != nil {
			return err
		}
		m.Bytes += m.lengthOf(x)
		if x.Old == 0 {
			m.Beginning = x.New
		}
	}
	return nil
}

// Options say how to merge.
type Options struct {
	// Memory is how much is taken for exceptions and data, in bytes: at least
	// MinMemory.
	Memory format.Bytes

	Keep          bool        // copy, and leave the list as it is
	SkipIdentical bool        // do not write what the origin holds already
	Rescue        bool        // leave chunks that cannot be read in the store, and merge the others
	Cached        bool        // small reads from the COW device cost little: they come from the page cache
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
	*Merge
	Options
	exceptions []format.Exception
	limit      uint64 // exceptions in the next batch
	copier     *copier
	result     Result
}

func (m *Merge) merger(o Options) *merger {
	most := cmp.Or(o.batch, uint64(max(o.Memory, MinMemory)/4/format.ExceptionSize))
	r := &merger{Merge: m, Options: o, exceptions: make([]format.Exception, min(most, m.Chunks))}
	r.limit = min(firstBatch, uint64(len(r.exceptions)))
	r.copier = newCopier(r)
	return r
}

// Run merges all of the store. It is done once.
//
// The error is a [*TransferError], [*SyncError], [*UndoError], [*DifferenceError] or
// [*TooManyError], a [*format.AreaError] or [*store.AreaWriteError] of the metadata, or
// that of Pause. After any error the snapshot shows what it showed before, and the
// store can be opened and merged again.
func (m *Merge) Run(o Options) (Result, error) {
	r := m.merger(o)
	// The exceptions whose chunks could not be read stand behind end, up to last.
	for end, last := m.Chunks, m.Chunks; end > 0; {
		start := time.Now()
		b, err := r.take(end)
		if err == nil {
			err = r.merge(&b)
		}
		if err == nil && !r.Keep {
			err = r.shrink(b.first, last, r.result.Failed)
		}
		if err != nil {
			return r.result, err
		}
		end, last = b.first, b.first+uint64(len(r.result.Failed))
		r.adapt(time.Since(start))
		if r.Pause != nil && end > 0 {
			if err := r.Pause(); err != nil {
				return r.result, err
			}
		}
	}
	return r.result, nil
}

// merge copies a batch, makes that durable, and reads it back where that is asked
// for.
func (m *merger) merge(b *batch) error {
	if err := m.copier.copy(b); err != nil {
		return err
	}
	if err := m.origin.Sync(); err != nil {
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
