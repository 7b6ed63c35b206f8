package device

import (
	"errors"
	"io"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadMany reads each p[i] whole from byte at[i] of the device. Where that is read
// directly, into aligned memory, all are under way at once; from an image file, they
// are read one after the other, with one call. Neighbours in p that are neighbours on
// the device, too, are one transfer. If some cannot be read, failed is the first of
// them, and the error is its cause, [io.ErrUnexpectedEOF] where the device ends before;
// the others are read all the same.
func (d *Device) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	return d.many(opReadVector, p, at, func(i, done int) error {
		_, err := d.ReadAt(p[i][done:], at[i]+int64(done))
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	})
}

// ReadsMany reports whether [Device.ReadMany] is faster than one read after the other.
func (d *Device) ReadsMany() bool { return d.Direct() }

// WriteMany writes each p[i] at byte at[i], as [Writable.WriteAt] does, but in no
// order, and together, as [Device.ReadMany] reads. Of an image file, the disk begins to
// be written then. If one of them is not whole blocks within the device, nothing is
// written. If some cannot be written, failed is the first of them, and the error is its
// cause; the others are written all the same.
func (w *Writable) WriteMany(p [][]byte, at []int64) (failed int, err error) {
	for i := range p {
		if err := w.checkBlocks(int64(len(p[i])), at[i]); err != nil {
			return i, err
		}
	}
	defer w.beginWriting(p, at)
	return w.many(opWriteVector, p, at, func(i, done int) error {
		_, err := w.writeRuns(p[i][done:], at[i]+int64(done))
		return err
	})
}

// beginWriting has the kernel begin to write to the disk what stands in those
// places, where that is not written directly.
func (w *Writable) beginWriting(p [][]byte, at []int64) {
	stretches := map[*medium][2]int64{}
	for i := range p {
		for r := range w.runs(at[i], int64(len(p[i]))) {
			for on := range r.everywhere(true) {
				if on.direct || on.file == nil {
					continue
				}
				s, known := stretches[on.medium]
				if !known {
					s = [2]int64{on.start, on.start}
				}
				stretches[on.medium] = [2]int64{min(s[0], on.start), max(s[1], on.start+r.length)}
			}
		}
	}
	for m, s := range stretches {
		m.early.begin(int(m.file.Fd()), s[0], s[1])
	}
}

// many has the kernel do all transfers at once, as far as it takes them. What is
// left, plain does one by one: p[i] from the byte done on.
func (d *Device) many(opcode uint16, p [][]byte, at []int64, plain func(i, done int) error) (failed int, err error) {
	done := make([]int, len(p))
	d.dropCaches(p, at)
	switch {
	case len(p) < 2: // is done sooner by itself
	case d.medium != nil && d.file != nil:
		d.aio.transfer(d, opcode, p, at, done)
	default:
		d.transferSplit(opcode, p, at, done)
	}
	for i, n := range done {
		if n == len(p[i]) {
			continue
		}
		if e := plain(i, n); e != nil && err == nil {
			failed, err = i, e
		}
	}
	return failed, err
}

// dropCaches has the kernel drop what it has cached of those places, where the device is to be read without
// that.
func (d *Device) dropCaches(p [][]byte, at []int64) {
	if !d.any(func(m *medium) bool { return m.forget }) {
		return
	}
	for i, b := range p {
		if d.checkWithin(at[i], int64(len(b))) != nil {
			continue
		}
		for r := range d.runs(at[i], int64(len(b))) {
			if r.forget {
				r.dropCache(r.at, r.length)
			}
		}
	}
}

// A vector is a transfer between one stretch of a file and some pieces of memory.
type vector struct {
	first  int // index of the first piece
	pieces []unix.Iovec
	offset int64 // in the file, in bytes
	size   int64 // in bytes
	result int64 // what the kernel returned; it is zero where it did not take the transfer
}

// A vector has no more than that.
const (
	maxPieces = 1024    // the kernel's limit (UIO_MAXIOV)
	maxVector = 4 << 20 // bytes
)

// plan makes vectors of the transfers that the kernel takes as they are: within the
// device, and aligned where they are direct. Those through the page cache it does one
// after the other, but all with one call.
func (a *aio) plan(d *Device, p [][]byte, at []int64) {
	a.vectors, a.pieces = a.vectors[:0], slices.Grow(a.pieces[:0], len(p))
	for i, b := range p {
		offset := d.base + at[i]
		if len(b) == 0 || d.checkWithin(at[i], int64(len(b))) != nil || d.direct && !d.aligned(b, offset) {
			continue
		}
		piece := unix.Iovec{Base: unsafe.SliceData(b)}
		piece.SetLen(len(b))
		a.pieces = append(a.pieces, piece)
		if v := len(a.vectors) - 1; v >= 0 && a.vectors[v].takes(i, offset, int64(len(b))) {
			a.vectors[v].pieces = a.pieces[len(a.pieces)-len(a.vectors[v].pieces)-1:]
			a.vectors[v].size += int64(len(b))
			continue
		}
		a.vectors = append(a.vectors, vector{first: i, pieces: a.pieces[len(a.pieces)-1:], offset: offset, size: int64(len(b))})
	}
}

// takes reports whether piece i, of size bytes at an offset in the file, goes on where
// the vector ends.
func (v *vector) takes(i int, offset, size int64) bool {
	return i == v.first+len(v.pieces) && offset == v.offset+v.size &&
		len(v.pieces) < maxPieces && v.size+size <= maxVector
}

// spread notes how much of each piece was done. Which of them an error is about is not
// known: none was done, then.
func (v *vector) spread(done []int) {
	left := max(int(v.result), 0)
	for i, piece := range v.pieces {
		n := min(left, int(piece.Len))
		done[v.first+i], left = n, left-n
	}
}
