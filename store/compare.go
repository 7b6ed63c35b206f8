package store

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"dmcow/format"
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
	// windowSize is how much of each image is read at a time, in bytes.
	windowSize = pieceSize
	// windows is how many of them are on their way at a time.
	windows = 8
)

// window is the same stretch of both images.
type window struct {
	offset int64
	data   [2][]byte // base and image
	err    [2]error
	read   sync.WaitGroup
}

// comparison reads two images of one size, each in one sequence and ahead of
// what is looked at.
type comparison struct {
	source   [2]Source
	jobs     [2]chan *window
	inflight []*window
	spare    []*window
	data     [2]extent // the next that is not a hole
	next     int64     // what the next window has to be read for
	err      error     // why there is none
}

// extent is a stretch of an image, in bytes.
type extent struct{ start, end int64 }

// newComparison starts to read. It is to be closed.
func newComparison(base, image Source) *comparison {
	c := &comparison{source: [2]Source{base, image}}
	for i, s := range c.source {
		c.jobs[i] = make(chan *window, windows)
		go func() {
			for w := range c.jobs[i] {
				w.err[i] = readFull(s, w.data[i], w.offset)
				w.read.Done()
			}
		}()
	}
	return c
}

// close waits for what is still being read.
func (c *comparison) close() {
	for _, w := range c.inflight {
		w.read.Wait()
	}
	for _, jobs := range c.jobs {
		close(jobs)
	}
}

// take is the next window, nil at the end. It is to be given back.
func (c *comparison) take() (*window, error) {
	for len(c.inflight) < windows && c.err == nil && c.plan() {
		w := c.window()
		c.inflight = append(c.inflight, w)
		w.read.Add(2)
		c.jobs[0] <- w
		c.jobs[1] <- w
	}
	if len(c.inflight) == 0 {
		return nil, c.err
	}
	w := c.inflight[0]
	w.read.Wait()
	c.inflight = append(c.inflight[:0], c.inflight[1:]...)
	for i, err := range w.err {
		if err != nil {
			return nil, &SourceError{Image: i == 1, Offset: format.Bytes(w.offset), Err: err}
		}
	}
	return w, nil
}

func (c *comparison) giveBack(w *window) { c.spare = append(c.spare, w) }

// plan moves next to the next window in which one of the images has data; ok is
// false when there is none.
func (c *comparison) plan() (ok bool) {
	size := c.source[0].Size()
	first := size
	for i, s := range c.source {
		x := &c.data[i]
		if x.end <= c.next && x.start < size {
			start, end, err := s.NextData(c.next)
			if err != nil {
				c.err = &SourceError{Image: i == 1, Offset: format.Bytes(c.next), Err: err}
				return false
			}
			*x = extent{start, end}
		}
		first = min(first, x.start)
	}
	c.next = max(c.next, first/windowSize*windowSize)
	return first < size
}

// window makes a window of what is next, to be read.
func (c *comparison) window() *window {
	w := &window{}
	if n := len(c.spare); n > 0 {
		w, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	w.offset = c.next
	length := min(windowSize, c.source[0].Size()-c.next)
	for i := range w.data {
		if w.data[i] == nil {
			w.data[i] = make([]byte, windowSize)
		}
		w.data[i] = w.data[i][:length]
	}
	c.next += length
	return w
}

// differences calls changed, in order, for each chunk in which the window's
// images differ; data is what the image has there as far as that is in the
// window. Chunks are of chunk bytes: several to a window, or several windows to
// one.
func (w *window) differences(chunk int64, changed func(old format.OldChunk, data []byte) error) error {
	base, image := w.data[0], w.data[1]
	if bytes.Equal(base, image) {
		return nil
	}
	for at := int64(0); at < int64(len(image)); at += chunk {
		end := min(at+chunk, int64(len(image)))
		if bytes.Equal(base[at:end], image[at:end]) {
			continue
		}
		if err := changed(format.OldChunk((w.offset+at)/chunk), image[at:end]); err != nil {
			return err
		}
	}
	return nil
}
