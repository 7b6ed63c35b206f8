package format

import (
	"io"
	"sync/atomic"
	"time"
)

// Prefetcher is a device that can be told which bytes will be read soon.
type Prefetcher interface {
	Prefetch(offset int64, length int)
}

// slowRead is the time of a read that probably did not come from a cache. To be
// wrong costs time only.
const slowRead = 25 * time.Microsecond

// reader reads a walk's jobs, several at a time.
//
// Areas lie a stride apart, so the operating system reads none of them ahead.
// Asking for the areas of a job together makes a cold disk several times
// faster, and a warm cache slower by a quarter: it is done only after reads
// that were slow.
type reader struct {
	device io.ReaderAt
	slow   atomic.Bool
}

// read reads j's slots into buf, which grows where it is too small. It returns
// the slots that could be read, and the error behind them.
func (r *reader) read(l layout, j job, buf []byte) ([]byte, error) {
	if need := j.count * ExceptionSize; cap(buf) < need {
		buf = make([]byte, need)
	}
	if r.slow.Load() {
		r.prefetch(l, j)
	}
	buf = buf[:0]
	start, reads := time.Now(), time.Duration(0)
	for offset, length := range l.spans(j) {
		part := buf[len(buf) : len(buf)+length]
		n, err := r.device.ReadAt(part, offset)
		if n < length {
			return buf[:len(buf)+n/ExceptionSize*ExceptionSize], readError(err)
		}
		buf = buf[:len(buf)+length]
		reads++
	}
	r.slow.Store(time.Since(start) > reads*slowRead)
	if j.short {
		return buf, ErrBeyondDevice
	}
	return buf, nil
}

func (r *reader) prefetch(l layout, j job) {
	if d, ok := r.device.(Prefetcher); ok {
		for offset, length := range l.spans(j) {
			d.Prefetch(offset, length)
		}
	}
}

// readError is the error of a read that came out short; where it was the end
// of the device, that was further away when the walk began.
func readError(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
