package device

import (
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadMany reads each p[i] whole from byte at[i] of the device, all at once where
// that is read directly into aligned memory. If some cannot be read, failed is
// the first of them, and the error is its cause, [io.ErrUnexpectedEOF] where the
// device ends before; the others are read all the same.
func (d *Device) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	return d.many(opRead, p, at, func(i, done int) error {
		_, err := d.ReadAt(p[i][done:], at[i]+int64(done))
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	})
}

// WriteMany writes each p[i] at byte at[i], as [Writable.WriteAt] does, but in no
// order, and all at once where [Device.ReadMany] reads so. If one of them is not
// whole blocks within the device, nothing is written. If some cannot be written,
// failed is the first of them, and the error is its cause; the others are written
// all the same.
func (w *Writable) WriteMany(p [][]byte, at []int64) (failed int, err error) {
	for i := range p {
		if err := w.writes(int64(len(p[i])), at[i]); err != nil {
			return i, err
		}
	}
	return w.many(opWrite, p, at, func(i, done int) error {
		_, err := w.write(p[i][done:], w.base+at[i]+int64(done))
		return cause(err)
	})
}

// many has the kernel do all transfers at once, as far as it takes them. What is
// left, plain does one by one: p[i] from the byte done on.
func (d *Device) many(opcode uint16, p [][]byte, at []int64, plain func(i, done int) error) (failed int, err error) {
	results := make([]int64, len(p))
	// A single transfer is done sooner by itself.
	if requests := d.requests(opcode, p, at); len(requests) > 1 {
		d.aio.transfer(d.file, requests, p, results)
	}
	for i, result := range results {
		var e error
		switch errno := unix.Errno(-result); {
		case result < 0 && errno != unix.EINTR: // which the kernel would not go on behind
			e = errno
		case result < int64(len(p[i])):
			e = plain(i, int(max(result, 0)))
		}
		if e != nil && err == nil {
			failed, err = i, e
		}
	}
	return failed, err
}

// requests are the transfers that can be direct I/O as they are: within the
// device, and aligned. Through the page cache the kernel would do one after the
// other, no sooner than plain reads and writes.
func (d *Device) requests(opcode uint16, p [][]byte, at []int64) []iocb {
	if !d.direct {
		return nil
	}
	all := make([]iocb, 0, len(p))
	for i, b := range p {
		offset := d.base + at[i]
		if d.within(at[i], int64(len(b))) != nil || !d.aligned(b, offset) {
			continue
		}
		all = append(all, iocb{
			data:   uint64(i),
			opcode: opcode,
			buf:    uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))),
			nbytes: uint64(len(b)),
			offset: offset,
		})
	}
	return all
}
