package merge

import (
	"cmp"
	"slices"
	"sort"
	"sync/atomic"

	"dmcow/format"
	"dmcow/internal/ahead"
	"dmcow/internal/memory"
	"dmcow/store/undo"
)

// copier copies chunks from the COW device to the origin: while one window is
// written, the next is read.
//
// What costs least depends on the reads. From the page cache, small ones cost little:
// then windows are cut from the batch in the order of the origin, so that they have
// the most neighbours there. From a disk, each costs as much as a write: then they are
// cut in the order of the COW device, where chunks stand in the order in which they
// were copied, so that it is read in large stretches. Within a window, they are written
// in the order of the origin in any case.
type copier struct {
	*merger
	memory  memory.Buffers
	windows []*window
	inOrder bool        // windows are cut in the order of the COW device
	shares  atomic.Bool // it may be that devices share room
	known   int         // exceptions in result.Failed that come from other batches
	differs bool        // a piece before this one, of the same chunk, was not equal
}

// A merge has as many windows at most, of no more bytes each.
const (
	windows   = 4
	maxWindow = 2 << 20
)

// newCopier divides three quarters of the memory among the windows. A window is a power of two, so that
// pieces of larger chunks begin and end with blocks of any size.
func newCopier(m *merger) *copier {
	c := &copier{merger: m, inOrder: !m.Cached}
	// Nobody sees what is shared: where data has to be looked at, it is copied.
	c.shares.Store(m.Share != nil && !m.SkipIdentical && !m.Rescue && m.Undo == nil && m.Hole == nil)
	buffers := format.Bytes(1)
	compares := m.SkipIdentical || m.PastCache != nil
	if compares {
		buffers = 2
	}
	size := cmp.Or(m.window, maxWindow)
	for size*buffers*windows > max(m.Memory, MinMemory)/4*3 {
		size /= 2
	}
	c.inOrder = c.inOrder && m.geometry.ChunkBytes() <= size
	for range max(1, min(windows, (m.Bytes+size-1)/size)) {
		w := &window{data: c.memory.New(int(size))}
		if compares {
			w.other = c.memory.New(int(size))
		}
		c.windows = append(c.windows, w)
	}
	return c
}

func (c *copier) close() { c.memory.Free() }

// each cuts exceptions to windows, has them read, several ahead, and hands them to
// use in order. It brings the exceptions into the order in which it cuts them. The error
// is the one of the first function that failed.
func (c *copier) each(all []format.Exception, read, use func(*window) error) error {
	if c.inOrder {
		slices.SortFunc(all, func(a, b format.Exception) int { return cmp.Compare(a.New, b.New) })
	}
	cut := cutter{Prospect: &c.Prospect, all: all}
	next := func(w *window) bool {
		some := cut.fill(w)
		if some && c.inOrder {
			w.sort()
		}
		return some
	}
	line := ahead.New(1, func(w *window) { w.err = read(w) }, c.windows...)
	defer line.Close()
	for {
		line.Fill(len(c.windows), next)
		w := line.Take()
		if w == nil {
			return nil
		}
		if w.err != nil {
			return w.err
		}
		if err := use(w); err != nil {
			return err
		}
	}
}

// copy copies a batch. Exceptions whose chunks could not be read are taken out of it.
func (c *copier) copy(b *batch) error {
	c.known = len(c.result.Failed)
	if err := c.each(b.all, c.read, c.use); err != nil {
		return err
	}
	slices.SortFunc(c.result.Failed, compare)
	b.all = slices.DeleteFunc(b.all, func(x format.Exception) bool { return contains(c.result.Failed, x) })
	c.result.Chunks += uint64(len(b.all))
	return nil
}

func (c *copier) read(w *window) error {
	c.markShared(w)
	if c.readMany(w) == nil {
		return nil
	}
	return c.readSingly(w, c.Rescue)
}

// readMany reads a window's data in the order of the COW device.
func (c *copier) readMany(w *window) error {
	bufs, offsets := w.vectors(w.data, c.source)
	if c.inOrder {
		sort.Sort(byOffset{bufs, offsets})
	}
	_, err := c.cow.ReadMany(bufs, offsets)
	return err
}

// byOffset sorts buffers by their offsets on a device.
type byOffset struct {
	bufs    [][]byte
	offsets []int64
}

func (b byOffset) Len() int           { return len(b.bufs) }
func (b byOffset) Less(i, j int) bool { return b.offsets[i] < b.offsets[j] }
func (b byOffset) Swap(i, j int) {
	b.bufs[i], b.bufs[j] = b.bufs[j], b.bufs[i]
	b.offsets[i], b.offsets[j] = b.offsets[j], b.offsets[i]
}

// readSingly reads a window again, piece by piece, to know which of them cannot be
// read. With rescue they are left out of it.
func (c *copier) readSingly(w *window, rescue bool) error {
	for i := range w.all {
		p := &w.all[i]
		if p.state != wanted {
			continue
		}
		n, err := c.cow.ReadAt(p.of(w.data), int64(c.source(*p)))
		switch {
		case n == int(p.length):
		case rescue:
			p.state = failed
		default:
			return &TransferError{Exception: p.Exception, Offset: c.source(*p) + format.Bytes(n), Err: err}
		}
	}
	return nil
}

func (c *copier) use(w *window) error {
	if err := c.noteFailed(w); err != nil {
		return err
	}
	for _, step := range []func(*window) error{c.dropIdentical, c.capture, c.share, c.write} {
		if err := step(w); err != nil {
			return err
		}
	}
	if c.Copied != nil {
		last := w.all[len(w.all)-1]
		c.Copied(last.at + last.length)
	}
	return nil
}

func contains(all []format.Exception, x format.Exception) bool {
	_, found := slices.BinarySearchFunc(all, x, compare)
	return found
}

func (c *copier) noteFailed(w *window) error {
	for _, p := range w.all {
		if n := len(c.result.Failed); p.state != failed || n > c.known && c.result.Failed[n-1] == p.Exception {
			continue
		}
		if contains(c.result.Failed[:c.known], p.Exception) {
			continue // a copy of it stands behind
		}
		c.result.Failed = append(c.result.Failed, p.Exception)
		if err := c.checkFewLeft(); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) capture(w *window) error {
	if c.Undo == nil {
		return nil
	}
	var changes []undo.Change
	bufs, offsets := w.vectors(w.data, c.target)
	for i := range bufs {
		changes = append(changes, undo.Change{Offset: format.Bytes(offsets[i]), Data: bufs[i]})
	}
	if err := c.Undo.Capture(changes...); err != nil {
		return &UndoError{err}
	}
	return nil
}

// write writes a window's data to the origin; zeros become holes where they are to.
func (c *copier) write(w *window) error {
	bufs, offsets := w.vectors(w.data, c.target)
	if c.Hole != nil {
		var err error
		if bufs, offsets, err = c.makeHoles(bufs, offsets); err != nil {
			return err
		}
	}
	if failed, err := c.origin.WriteMany(bufs, offsets); err != nil {
		return c.writeError(format.Bytes(offsets[failed]), err)
	}
	for _, b := range bufs {
		c.result.Written += format.Bytes(len(b))
	}
	return nil
}

func (c *copier) writeError(offset format.Bytes, err error) error {
	old := format.OldChunk(offset / c.geometry.ChunkBytes())
	return &TransferError{Write: true, Origin: true, Exception: format.Exception{Old: old}, Offset: offset, Err: err}
}
