package merge

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"dmcow/format"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// MinMemory is the least memory that a merge takes for exceptions and data, in
// bytes.
const MinMemory format.Bytes = 1 << 20

// Reader is a device that many stretches can be read from at once.
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

// Plan is what a merge will do.
type Plan struct {
	Chunks uint64       // exceptions in the list, but for those past the snapshot's end
	Bytes  format.Bytes // of the origin that they replace
	Beyond uint64       // exceptions past the snapshot's end, which stay in the store
	// Hidden is how many entries stand behind the list's end in its area, and are cleared with it.
	Hidden int
	// Beginning is the new chunk of the origin's first one, zero where the list does not
	// have that.
	Beginning format.NewChunk
}

// Opening is what is known of a store before it is merged.
type Opening struct {
	// HiddenVoid is as in [store.Options]: without it, a store with entries behind the
	// list's end is refused.
	HiddenVoid bool
	// Shown is the snapshot's own size, in bytes, where that is less than the origin's; else 0.
	Shown format.Bytes
	// Beyond has exceptions past the snapshot's end stay in the store; without it, a store
	// that has some is refused.
	Beyond bool
	// Visit, where set, is called now and then with the area that the walk through the
	// list has come to. The opening ends with the error that it returns.
	Visit func(format.AreaIndex) error
}

// Prospect is a merge as it would be: it can be looked at, and not begun.
type Prospect struct {
	Plan
	*list
	opening Opening
	size    format.Bytes // of the origin, in whole sectors
	shown   uint64       // chunks of the snapshot, the last of which may lie on it in part
	chunks  uint64       // on the COW device
	total   uint64       // exceptions in the list
	behind  uint64       // position behind the last entry that hides behind its end; 0 where none does
}

// Merge is a merge that can be begun.
type Merge struct {
	Prospect
	origin Origin
}

// Open looks at a store and its origin, and makes sure that all of it can be merged.
// Nothing is written, but what was written before is made durable; nobody else may write
// to the devices from now on.
//
// The store is one of which a check finds that it may be merged. That new chunks lie on the
// COW device and old ones on the origin is made sure of once more.
//
// The error is a [*SyncError], one of [look.Loadable], a [*BadExceptionError], a
// [*store.HiddenError], a [*format.AreaError], or Visit's.
func Open(cow COW, origin Origin, o Opening) (*Merge, error) {
	// A run that was killed may have left in the page cache what it never synced.
	for _, d := range []interface{ Sync() error }{origin, cow} {
		if err := d.Sync(); err != nil {
			return nil, &SyncError{err}
		}
	}
	p, err := foresee(cow, origin, o)
	if err != nil {
		return nil, err
	}
	return &Merge{Prospect: *p, origin: origin}, nil
}

// Source is a device that is only read.
type Source interface {
	look.Device
	Reader
}

// Look is [Open] for devices that are open for reading.
func Look(cow, origin Source, o Opening) (*Prospect, error) {
	return foresee(discarding{cow}, origin, o)
}

func foresee(cow COW, origin look.Device, o Opening) (*Prospect, error) {
	id, err := look.Loadable(cow)
	if err != nil {
		return nil, err
	}
	g, block := id.Geometry, format.Bytes(origin.LogicalBlockSize())
	if err := format.CheckChunkSectors(uint32(g.ChunkSectors()), block); err != nil {
		return nil, fmt.Errorf("%d-sector chunks on an origin with blocks of %d bytes: %w", g.ChunkSectors(), block, err)
	}
	p := &Prospect{
		list:    newList(cow, g),
		opening: o,
		size:    format.Bytes(origin.Size()) / format.SectorSize * format.SectorSize,
		chunks:  g.Chunks(format.Bytes(cow.Size())),
	}
	shown := p.size
	if o.Shown > 0 {
		shown = min(shown, o.Shown)
	}
	p.shown = uint64((shown + g.ChunkBytes() - 1) / g.ChunkBytes())
	end, err := format.Each(id.Walk(cow), nil, p.count)
	if err != nil {
		return nil, err
	}
	p.total = end.Exceptions
	return p, p.lookBehind(end)
}

func (m *Prospect) count(_ *struct{}, b format.Batch) error {
	for at, x := range b.Exceptions() {
		if err := m.checkException(at, x); err != nil {
			return err
		}
		if m.isBeyond(x) {
			m.Beyond++
			continue
		}
		m.Chunks++
		m.Bytes += m.lengthOf(x)
		if x.Old == 0 {
			m.Beginning = x.New
		}
	}
	if m.opening.Visit == nil {
		return nil
	}
	return m.opening.Visit(b.Area)
}

// lookBehind counts what stands behind the list's end, and refuses it where it may be missed.
func (m *Prospect) lookBehind(end format.End) error {
	h, err := look.Behind(m.cow, m.geometry, end, nil)
	if err != nil || h.Count == 0 {
		return err
	}
	if h.Why != "" || !m.opening.HiddenVoid {
		return &store.HiddenError{Place: h.Place, First: h.First, Why: h.Why}
	}
	m.Hidden, m.behind = h.Count, m.geometry.Position(format.Place{Area: h.Area, Index: h.Last})+1
	return nil
}

// clearHidden clears what stands behind the list's end, durably, before anything is merged: some of
// it changes nothing only as long as an exception of the list has its chunk.
func (m *Merge) clearHidden() error {
	if m.behind == 0 {
		return nil
	}
	return m.clear(m.total, m.behind)
}

// Options say how to merge.
type Options struct {
	// Memory is how much is taken for exceptions and data, in bytes: at least
	// MinMemory.
	Memory format.Bytes

	Keep          bool      // copy, and leave the list as it is
	SkipIdentical bool      // do not write what the origin holds already
	Rescue        bool      // leave chunks that cannot be read in the store, and merge the others
	Cached        bool      // small reads from the COW device cost little: they come from the page cache
	Undo          *undo.Log // is given what is overwritten, before; may be nil
	// PastCache reads the origin back, past the page cache: each of its copies, where it is kept more than once.
	// Where some are set, what was written is compared before exceptions are cleared.
	PastCache []Reader
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
	Beyond    uint64             // exceptions past the snapshot's end, which are left, too
}

type merger struct {
	*Merge
	Options
	exceptions []format.Exception
	limit      uint64 // exceptions in the next batch
	copier     *copier
	result     Result
	beyond     []format.Exception // past the snapshot's end, in the order of the origin
}

func (m *Merge) merger(o Options) *merger {
	most := cmp.Or(o.batch, uint64(max(o.Memory, MinMemory)/4/format.ExceptionSize))
	r := &merger{Merge: m, Options: o, exceptions: make([]format.Exception, min(most, m.total))}
	r.limit = min(firstBatch, uint64(len(r.exceptions)))
	r.copier = newCopier(r)
	return r
}

// Run merges all of the store. It is done once.
//
// The error is a [*TransferError], [*SyncError], [*UndoError], [*DifferenceError] or
// [*TooManyError], a [*format.AreaError] or [*store.AreaWriteError] of the metadata, or
// one of Pause. After any error the snapshot shows what it showed before, and the
// store can be opened and merged again.
func (m *Merge) Run(o Options) (Result, error) {
	r := m.merger(o)
	defer r.copier.close()
	if !r.Keep {
		if err := m.clearHidden(); err != nil {
			return r.result, err
		}
	}
	// The exceptions that are left in the store stand behind end, up to last.
	last := m.total
	for end := m.total; end > 0; {
		start := time.Now()
		b, err := r.take(end)
		if err == nil {
			err = r.merge(&b)
		}
		if err == nil && !r.Keep {
			err = r.shrink(b.first, last, r.left())
		}
		if err != nil {
			return r.result, err
		}
		end, last = b.first, b.first+uint64(len(r.left()))
		r.adapt(time.Since(start))
		if r.Pause != nil && end > 0 {
			if err := r.Pause(); err != nil {
				return r.result, err
			}
		}
	}
	return r.result, nil
}

// left are the exceptions that stay in the store, in the order of the origin: those past its end
// come last.
func (m *merger) left() []format.Exception { return slices.Concat(m.result.Failed, m.beyond) }

// merge copies a batch, makes that durable, and reads it back where that is asked
// for.
func (m *merger) merge(b *batch) error {
	if err := m.copier.copy(b); err != nil {
		return err
	}
	if err := m.origin.Sync(); err != nil {
		return &SyncError{err}
	}
	for _, past := range m.PastCache {
		if err := m.copier.verify(b, past); err != nil {
			return err
		}
	}
	return nil
}

// A batch takes as long as its reads take, and they may be one seek of a disk each. It is to be a matter of
// seconds: a merge that is killed begins its last batch again, and one that is interrupted ends it first.
const (
	firstBatch = 1 << 17 // exceptions
	longBatch  = 20 * time.Second
	shortBatch = 5 * time.Second
	leastBatch = 1 << 10
)

func (m *merger) adapt(took time.Duration) {
	switch {
	case took > longBatch && m.limit > leastBatch:
		m.limit /= 2
	case took < shortBatch:
		m.limit = min(2*m.limit, uint64(len(m.exceptions)))
	}
}
