package create

import (
	"bytes"
	"fmt"
	"io"

	"dmcow/format"
	"dmcow/internal/ahead"
	"dmcow/internal/raw"
)

// Source is one of the two images that a store is created from: a block device
// or a file.
type Source interface {
	io.ReaderAt
	Size() int64 // in bytes
	// NextData is the next stretch, from offset on, that is not a hole; it is
	// empty and at Size where there is no more.
	NextData(offset int64) (start, end int64, err error)
}

// SourceError says which of the two images could not be read, and where.
type SourceError struct {
	Image  bool // it is the Image, not the Base
	Offset format.Bytes
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("byte %d: %v", e.Offset, e.Err) }
func (e *SourceError) Unwrap() error { return e.Err }

const (
	// leastWindow and mostWindow are how much of each image is compared at a time, in bytes: so little that
	// it stays in a processor's own cache, but a whole chunk, if that is not very large.
	leastWindow = 256 << 10
	mostWindow  = 1 << 20
	// windows is how many of them are on their way at a time, and comparers how
	// many are read and compared at once.
	windows   = 16
	comparers = 4
)

// window is the same stretch of both images.
type window struct {
	offset int64
	data   [2][]byte // base and image
	err    [2]error
	differ []int // where in it there is a chunk in which the images differ
}

// comparison compares two images of one size, in one sequence and ahead of what is
// taken.
type comparison struct {
	source [2]Source
	end    int64 // of what is compared, in bytes
	chunk  int   // bytes
	size   int   // of a window, in bytes
	line   *ahead.Line[window]
	data   [2]extent // the next that is not a hole
	next   int64     // what the next window has to be read for
	err    error     // why there is none
}

// extent is a stretch of an image, in bytes.
type extent struct{ start, end int64 }

// newComparison starts to compare images up to end, by chunks of so many bytes. It is to be
// closed.
func newComparison(base, image Source, end int64, chunk format.Bytes) *comparison {
	c := &comparison{
		source: [2]Source{base, image},
		end:    end,
		chunk:  int(chunk),
		size:   int(max(leastWindow, min(chunk, mostWindow))),
	}
	c.line = ahead.New(comparers, c.compare)
	return c
}

// take is the next window, nil at the end. It is good until the next call.
func (c *comparison) take() (*window, error) {
	c.line.Fill(windows, c.window)
	w := c.line.Take()
	if w == nil {
		return nil, c.err
	}
	for i, err := range w.err {
		if err != nil {
			return nil, &SourceError{Image: i == 1, Offset: format.Bytes(w.offset), Err: err}
		}
	}
	return w, nil
}

// seek moves next to the next window in which one of the images has data; ok is
// false when there is none.
func (c *comparison) seek() (ok bool) {
	if c.next >= c.end {
		return false
	}
	first := c.end
	for i, s := range c.source {
		x := &c.data[i]
		if x.end <= c.next && x.start < c.end {
			start, end, err := s.NextData(c.next)
			if err != nil {
				c.err = &SourceError{Image: i == 1, Offset: format.Bytes(c.next), Err: err}
				return false
			}
			*x = extent{start, end}
		}
		first = min(first, x.start)
	}
	c.next = max(c.next, first/int64(c.size)*int64(c.size))
	return first < c.end
}

// window makes a window of what is next, to be read; ok is false when there is no more.
func (c *comparison) window(w *window) (ok bool) {
	if c.err != nil || !c.seek() {
		return false
	}
	w.offset = c.next
	length := min(int64(c.size), c.end-c.next)
	for i := range w.data {
		if w.data[i] == nil {
			w.data[i] = make([]byte, c.size)
		}
		w.data[i] = w.data[i][:length]
	}
	c.next += length
	return true
}

// compare reads a window, and notes in which chunks the images differ: chunks are
// several to a window, or several windows to one.
func (c *comparison) compare(w *window) {
	w.differ = w.differ[:0]
	for i, s := range c.source {
		if w.err[i] = raw.ReadFull(s, w.data[i], w.offset); w.err[i] != nil {
			return
		}
	}
	base, image := w.data[0], w.data[1]
	for at := 0; at < len(image); at += c.chunk {
		end := min(at+c.chunk, len(image))
		if !bytes.Equal(base[at:end], image[at:end]) {
			w.differ = append(w.differ, at)
		}
	}
}
