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

// ManyReader is a device from which many pieces can be read at once faster than one by one: each p[i] from
// byte at[i]. Where some cannot be read whole, failed is the first of them.
type ManyReader interface {
	ReadsMany() bool // where it is false, it is no faster
	ReadMany(p [][]byte, at []int64) (failed int, err error)
}

// slowRead is the time of a read that probably did not come from a cache. To be
// wrong costs time only.
const slowRead = 25 * time.Microsecond

// reader reads a walk's jobs, several at a time.
//
// Areas lie a stride apart, so the operating system reads none of them ahead. Asking for the areas of a job
// together makes a cold disk several times faster, and a warm cache slower by a quarter: it is done only
// after reads that were slow.
type reader struct {
	device io.ReaderAt
	many   ManyReader // the device, where the areas of a job may be read at once; else nil
	slow   atomic.Bool
}

// manyReader is the device of a walk, where that may read many areas at once: with
// Live, the areas of a job are read in order.
func manyReader(w Walk) ManyReader {
	if d, ok := w.Device.(ManyReader); ok && d.ReadsMany() && !w.Live {
		return d
	}
	return nil
}

// read reads j's slots into buf, which grows where it is too small. It returns
// the slots that could be read, and the error behind them.
func (r *reader) read(l layout, j job, buf []byte) ([]byte, error) {
	if need := j.count * ExceptionSize; cap(buf) < need {
		buf = make([]byte, need)
	}
	if r.many != nil && r.readMany(l, j, buf[:j.count*ExceptionSize]) {
		return r.end(j, buf[:j.count*ExceptionSize])
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
	return r.end(j, buf)
}

// end is what read returns when it has read all of j.
func (r *reader) end(j job, buf []byte) ([]byte, error) {
	if j.short {
		return buf, ErrBeyondDevice
	}
	return buf, nil
}

// readMany reads j's slots into buf, all areas at once, and reports whether it could:
// where one of them cannot be read, only reading them in order shows how far that goes.
func (r *reader) readMany(l layout, j job, buf []byte) bool {
	var p [][]byte
	var at []int64
	for offset, length := range l.spans(j) {
		p, at = append(p, buf[:length]), append(at, offset)
		buf = buf[length:]
	}
	_, err := r.many.ReadMany(p, at)
	return err == nil
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
