package view

import (
	"bytes"
	"io"
	"iter"
	"sync"

	"dmcow/format"
	"dmcow/internal/ahead"
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

// Compared is what a comparison has come to.
type Compared struct {
	Equal   uint64 // grains that are equal, and were left out
	Unread  uint64 // grains that could not be compared, and stay in
	Failure error  // why the first of these could not
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

// Compare compares what is in these stretches on two devices, of which the origin's size can
// be read, and returns the changes that are ones. visit is called now and then with how much
// was compared, in bytes; the error is its.
func (c *Changes) Compare(a, b io.ReaderAt, visit func(format.Bytes) error) (*Changes, Compared, error) {
	w := &comparison{changes: c, a: a, b: b, different: &Changes{Grain: c.Grain, Size: c.Size}}
	type job struct {
		ranges []Range
		length format.Bytes
	}
	jobs, stop := iter.Pull(c.jobs())
	defer stop()
	line := ahead.New(comparers, func(j *job) { j.length = w.compare(j.ranges) })
	next := func(j *job) (ok bool) {
		j.ranges, ok = jobs()
		return ok
	}
	var err error
	for total := format.Bytes(0); err == nil; err = visit(total) {
		line.Fill(2*comparers, next)
		j := line.Take()
		if j == nil {
			break
		}
		total += j.length
	}
	line.Close()
	return w.different, w.result, err
}

// comparers are how many compare at once, each of them jobSize bytes or a grain, if that is
// more.
const (
	comparers = 4
	jobSize   = 1 << 20
)

// jobs are the stretches, cut and put together to as much as is compared at a time: whole
// grains, none of which is in two jobs.
func (c *Changes) jobs() iter.Seq[[]Range] {
	return func(yield func([]Range) bool) {
		var job []Range
		left := format.Bytes(jobSize)
		most := max(c.Grain, jobSize/c.Grain*c.Grain)
		for r := range c.Ranges() {
			for r.Length > 0 {
				n := min(r.Length, most)
				job = append(job, Range{r.Offset, n})
				r.Offset, r.Length = r.Offset+n, r.Length-n
				if left -= min(left, n); left == 0 {
					if !yield(job) {
						return
					}
					job, left = nil, jobSize
				}
			}
		}
		if len(job) > 0 {
			yield(job)
		}
	}
}

type comparison struct {
	changes *Changes
	a, b    io.ReaderAt

	mu        sync.Mutex
	different *Changes
	result    Compared
}

// compare compares stretches, and returns how long they are together.
func (w *comparison) compare(job []Range) (n format.Bytes) {
	for _, r := range job {
		n += r.Length
		whole := r.Length <= comparedAtOnce
		var bufs pair
		if whole {
			bufs = newPair(r.Length)
			whole = w.read(bufs, r.Offset) == nil
		}
		for at := format.Bytes(0); at < r.Length; {
			grain := Range{r.Offset + at, min(w.changes.Grain, r.Length-at)}
			var equal bool
			var err error
			if whole {
				equal = bufs.equal(at, grain.Length)
			} else {
				equal, err = w.equal(grain)
			}
			w.tell(grain, equal, err)
			at += grain.Length
		}
	}
	return n
}

func (w *comparison) tell(r Range, equal bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if equal {
		w.result.Equal++
		return
	}
	w.different.grains.Add(uint64(r.Offset/w.changes.Grain), 1)
	if err != nil {
		w.result.Unread++
		if w.result.Failure == nil {
			w.result.Failure = err
		}
	}
}

const comparedAtOnce = jobSize

type pair [2][]byte

func newPair(size format.Bytes) pair { return pair{make([]byte, size), make([]byte, size)} }

func (p pair) equal(at, length format.Bytes) bool {
	return bytes.Equal(p[0][at:at+length], p[1][at:at+length])
}

func (w *comparison) read(p pair, offset format.Bytes) error {
	for i, d := range []io.ReaderAt{w.a, w.b} {
		if n, err := d.ReadAt(p[i], int64(offset)); n < len(p[i]) {
			return unexpected(err)
		}
	}
	return nil
}

// equal reports whether the devices hold the same in a stretch.
func (w *comparison) equal(r Range) (bool, error) {
	whole := newPair(min(r.Length, comparedAtOnce))
	for at := format.Bytes(0); at < r.Length; at += comparedAtOnce {
		n := min(comparedAtOnce, r.Length-at)
		p := pair{whole[0][:n], whole[1][:n]}
		if err := w.read(p, r.Offset+at); err != nil {
			return false, err
		}
		if !p.equal(0, n) {
			return false, nil
		}
	}
	return true, nil
}
