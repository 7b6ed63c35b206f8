package view

import (
	"bytes"
	"io"
	"iter"
	"sync"

	"dmcow/format"
	"dmcow/internal/ahead"
	"dmcow/internal/bitmap"
	"dmcow/internal/memory"
)

// Compared is what a comparison has come to.
type Compared struct {
	Equal   uint64 // grains that are equal, and were left out
	Unread  uint64 // grains that could not be compared, and stay in
	Failure error  // why the first of these could not
}

// Compare compares what is in these stretches on two devices, of which the origin's size can
// be read, and returns the changes that are ones. visit is called now and then with how much
// was compared, in bytes; the error is its.
func (c *Changes) Compare(a, b io.ReaderAt, visit func(format.Bytes) error) (*Changes, Compared, error) {
	w := &comparison{changes: c, a: a, b: b}
	type job struct {
		ranges []Range
		length format.Bytes
	}
	jobs, stop := iter.Pull(c.jobs())
	defer stop()
	defer w.buffers.Free()
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
	return &Changes{Grain: c.Grain, Size: c.Size, grains: c.grains.Minus(&w.same)}, w.result, err
}

// comparers are how many compare at once, each of them jobSize bytes or a grain, if that is
// more.
const (
	comparers = 4
	jobSize   = 128 << 10
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

	mu      sync.Mutex
	same    bitmap.Paged // grains: few, most often
	result  Compared
	spare   []pair // buffers that nobody uses
	buffers memory.Buffers
}

// compare compares stretches, and returns how long they are together.
func (w *comparison) compare(job []Range) (n format.Bytes) {
	for _, r := range job {
		n += r.Length
	}
	if n > comparedAtOnce {
		w.compareApart(job)
		return n
	}
	bufs := w.take(n)
	defer w.giveBack(bufs)
	if w.readAll(bufs, job) != nil {
		w.compareApart(job)
		return n
	}
	start := format.Bytes(0)
	for _, r := range job {
		for grain := range w.grains(r) {
			w.tell(grain, bufs.equal(start+grain.Offset-r.Offset, grain.Length), nil)
		}
		start += r.Length
	}
	return n
}

// grains are the grains of a stretch.
func (w *comparison) grains(r Range) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for at := format.Bytes(0); at < r.Length; at += w.changes.Grain {
			if !yield(Range{r.Offset + at, min(w.changes.Grain, r.Length-at)}) {
				return
			}
		}
	}
}

// compareApart compares grain by grain, where all of them cannot be read together.
func (w *comparison) compareApart(job []Range) {
	for _, r := range job {
		for grain := range w.grains(r) {
			equal, err := w.equal(grain)
			w.tell(grain, equal, err)
		}
	}
}

// take is a pair of buffers, of no more than is compared at once; of these there are as many as are used at once.
func (w *comparison) take(size format.Bytes) pair {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.spare); n > 0 {
		p := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return pair{p[0][:size], p[1][:size]}
	}
	return pair{w.buffers.New(comparedAtOnce)[:size], w.buffers.New(comparedAtOnce)[:size]}
}

func (w *comparison) giveBack(p pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = append(w.spare, p)
}

// readAll reads stretches of both devices, each behind the one before.
func (w *comparison) readAll(bufs pair, job []Range) error {
	for i, d := range []io.ReaderAt{w.a, w.b} {
		if many, ok := d.(format.ManyReader); ok && len(job) > 1 && many.ReadsMany() {
			if err := readMany(many, bufs[i], job); err != nil {
				return err
			}
			continue
		}
		p := bufs[i]
		for _, r := range job {
			if n, err := d.ReadAt(p[:r.Length], int64(r.Offset)); n < int(r.Length) {
				return unexpected(err)
			}
			p = p[r.Length:]
		}
	}
	return nil
}

func readMany(d format.ManyReader, buf []byte, job []Range) error {
	p, at := make([][]byte, len(job)), make([]int64, len(job))
	for i, r := range job {
		p[i], at[i], buf = buf[:r.Length], int64(r.Offset), buf[r.Length:]
	}
	_, err := d.ReadMany(p, at)
	return err
}

func (w *comparison) tell(r Range, equal bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if equal {
		w.result.Equal++
		w.same.Add(uint64(r.Offset/w.changes.Grain), 1)
		return
	}
	if err != nil {
		w.result.Unread++
		if w.result.Failure == nil {
			w.result.Failure = err
		}
	}
}

const comparedAtOnce = jobSize

type pair [2][]byte

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
	whole := w.take(comparedAtOnce)
	defer w.giveBack(whole)
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
