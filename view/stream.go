package view

import (
	"io"

	"dmcow/internal/memory"
)

// A stream reads so much at once, in bytes, and so many of them ahead.
const (
	window  = 4 * parallel
	windows = 4
)

// reading is a window that is read ahead.
type reading struct {
	p      []byte
	offset int64
	want   int
	n      int // bytes that were read
	err    error
	read   chan struct{} // closed when it was
}

// Stream reads size bytes of a device from its beginning, ahead and in parallel, and calls
// deliver with them in order. What it hands out is only good until deliver returns.
//
// The error is the first of reading, when what comes before was delivered, or that of
// deliver. When Stream returns, nothing is being read any more.
func Stream(from io.ReaderAt, size int64, deliver func(p []byte, offset int64) error) (err error) {
	var buffers memory.Buffers
	defer buffers.Free()
	free, queue, stop := make(chan []byte, windows), make(chan *reading, windows), make(chan struct{})
	for range min(windows, (size+window-1)/window) {
		free <- buffers.New(window)
	}
	go func() {
		defer close(queue)
		for offset := int64(0); offset < size; offset += window {
			select {
			case <-stop:
				return
			case p := <-free:
				w := &reading{p: p, offset: offset, want: int(min(window, size-offset)), read: make(chan struct{})}
				queue <- w
				go func() {
					defer close(w.read)
					w.n, w.err = from.ReadAt(p[:w.want], offset)
				}()
			}
		}
	}()
	for w := range queue {
		<-w.read
		if err == nil {
			err = w.deliver(deliver)
			free <- w.p
			if err != nil {
				close(stop)
			}
		}
	}
	return err
}

func (w *reading) deliver(deliver func(p []byte, offset int64) error) error {
	if w.n > 0 {
		if err := deliver(w.p[:w.n], w.offset); err != nil {
			return err
		}
	}
	if w.err == io.EOF && w.n == w.want {
		return nil
	}
	return w.err
}
