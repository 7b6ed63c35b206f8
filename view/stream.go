package view

import (
	"io"

	"dmcow/internal/ahead"
	"dmcow/internal/memory"
)

// A stream reads so much at once, in bytes, and so many of them ahead.
const (
	window  = 4 * parallel
	windows = 4
)

// reading is a window that is read ahead.
type reading struct {
	buffer []byte // of a whole window
	p      []byte // what of it is to be read
	offset int64
	n      int // bytes that were read
	err    error
}

// Stream reads size bytes of a device from its beginning, ahead and in parallel, and calls
// deliver with them in order. What it hands out is only good until deliver returns.
//
// The error is the first of reading, when what comes before was delivered, or the one of
// deliver. When Stream returns, nothing is being read any more.
func Stream(from io.ReaderAt, size int64, deliver func(p []byte, offset int64) error) error {
	var buffers memory.Buffers
	defer buffers.Free()
	line := ahead.New(windows, func(r *reading) { r.n, r.err = from.ReadAt(r.p, r.offset) })
	defer line.Close()
	offset := int64(0)
	next := func(r *reading) bool {
		if offset >= size {
			return false
		}
		if r.buffer == nil {
			r.buffer = buffers.New(window)
		}
		r.p, r.offset = r.buffer[:min(window, size-offset)], offset
		offset += window
		return true
	}
	for {
		line.Fill(windows, next)
		r := line.Take()
		if r == nil {
			return nil
		}
		if r.n > 0 {
			if err := deliver(r.p[:r.n], r.offset); err != nil {
				return err
			}
		}
		if r.err != nil && !(r.err == io.EOF && r.n == len(r.p)) {
			return r.err
		}
	}
}
