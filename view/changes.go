package view

import (
	"io"
	"iter"

	"dmcow/format"
	"dmcow/internal/bitmap"
)

// Range is a stretch of the origin, in bytes.
type Range struct{ Offset, Length format.Bytes }

// Changes are the stretches of an origin where it differs from a snapshot, or two snapshots
// from each other: or may differ, where only lists of exceptions were looked at.
type Changes struct {
	Grain format.Bytes // what is told apart: the size of a chunk, the smaller one of two snapshots
	Size  format.Bytes // of the origin

	grains bitmap.Paged
}

// Changes are the chunks that have an exception: what was written to the origin since the
// snapshot was made, or to the snapshot.
func (v *View) Changes() *Changes {
	c := &Changes{Grain: v.geometry.ChunkBytes(), Size: v.size}
	c.mark(v)
	return c
}

// ChangesBetween are the chunks of two snapshots of one origin that have an exception in
// either. The others read as the origin in both.
func ChangesBetween(a, b *View) *Changes {
	c := &Changes{Grain: min(a.geometry.ChunkBytes(), b.geometry.ChunkBytes()), Size: min(a.size, b.size)}
	c.mark(a)
	c.mark(b)
	return c
}

// UncertainIn are the chunks, told apart as these changes are, that are not certain in one of the snapshots.
func (c *Changes) UncertainIn(all ...*View) *Changes {
	u := &Changes{Grain: c.Grain, Size: c.Size}
	for _, v := range all {
		for r := range v.Uncertain() {
			first, end := uint64(r.Offset/c.Grain), uint64((min(c.Size, r.Offset+r.Length)+c.Grain-1)/c.Grain)
			if first < end {
				u.grains.Add(first, end-first)
			}
		}
	}
	return u
}

// ChangesIn are chunks of so many bytes that have an exception in one of the snapshots, of one origin of the given size.
func ChangesIn(grain, size format.Bytes, all ...*View) *Changes {
	c := &Changes{Grain: grain, Size: size}
	for _, v := range all {
		c.mark(v)
	}
	c.grains.Compact()
	return c
}

func (c *Changes) mark(v *View) {
	chunk := v.geometry.ChunkBytes()
	for old, chunks := range v.listedRuns() {
		c.Add(Range{format.Bytes(old) * chunk, format.Bytes(chunks) * chunk})
	}
}

// Add adds a stretch, as far as the origin goes: all chunks that have some of it.
func (c *Changes) Add(r Range) {
	end := min(c.Size, r.Offset+r.Length)
	if first := uint64(r.Offset / c.Grain); r.Offset < end {
		c.grains.Add(first, uint64((end+c.Grain-1)/c.Grain)-first)
	}
}

// Grains are the chunks that differ, in order.
func (c *Changes) Grains() iter.Seq[format.OldChunk] {
	return func(yield func(format.OldChunk) bool) {
		for first, count := range c.grains.Runs() {
			for n := range count {
				if !yield(format.OldChunk(first + n)) {
					return
				}
			}
		}
	}
}

// Chunks is how many grains differ.
func (c *Changes) Chunks() uint64 { return c.grains.Count() }

// Bytes is how much differs.
func (c *Changes) Bytes() (sum format.Bytes) {
	for r := range c.Ranges() {
		sum += r.Length
	}
	return sum
}

// Ranges are the stretches in order, as long as they can be.
func (c *Changes) Ranges() iter.Seq[Range] { return stretches(c.grains.Runs(), c.Grain, c.Size) }

// stretches are runs of grains as stretches of a device.
func stretches(runs iter.Seq2[uint64, uint64], grain, size format.Bytes) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for first, count := range runs {
			start := format.Bytes(first) * grain
			end := min(size, format.Bytes(first+count)*grain)
			if start < end && !yield(Range{start, end - start}) {
				return
			}
		}
	}
}

// Shares divides the origin into cells of so many bytes, the last of which may be shorter, and
// tells of each how much of it differs, from 0 to 1.
func (c *Changes) Shares(cell format.Bytes) []float64 {
	shares := make([]float64, (c.Size+cell-1)/cell)
	for r := range c.Ranges() {
		for at, end := r.Offset, r.Offset+r.Length; at < end; {
			i := at / cell
			next := min(end, (i+1)*cell)
			shares[i] += float64(next-at) / float64(min(cell, c.Size-i*cell))
			at = next
		}
	}
	return shares
}

// Origin is the origin, to compare with. Errors of reading it are each a [*ReadError].
func (v *View) Origin() io.ReaderAt { return origin{v.origin} }

type origin struct{ Reader }

func (o origin) ReadsMany() bool { return readsMany(o.Reader) }

// ReadMany is only called where ReadsMany says so.
func (o origin) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	failed, err = o.Reader.(format.ManyReader).ReadMany(p, at)
	if err != nil {
		err = &ReadError{Origin: true, Offset: format.Bytes(at[failed]), Err: unexpected(err)}
	}
	return failed, err
}

func (o origin) ReadAt(p []byte, offset int64) (int, error) {
	n, err := o.Reader.ReadAt(p, offset)
	if n < len(p) {
		err = &ReadError{Origin: true, Offset: format.Bytes(offset), Err: unexpected(err)}
	}
	return n, err
}
