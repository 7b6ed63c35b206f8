// Package memory has memory for what is large: mapped outside of Go's heap, so that it is given
// back at once, and no garbage is collected for it.
package memory

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

const wordSize = 8

// Words reserves n 64-bit words, all of them zero, of which the system gives out
// what is touched, until free is called. Where it does not do that, or so many cannot be counted on
// this processor, there are none.
func Words(n uint64) (words []uint64, free func()) {
	if n > math.MaxInt/wordSize {
		return nil, func() {}
	}
	b, err := unix.Mmap(-1, 0, int(n)*wordSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, func() {}
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), n), func() { _ = unix.Munmap(b) }
}

// LargePages is Words for memory of which all is going to be used, in any order: the
// processor finds its way in it faster.
func LargePages(n int) (words []uint64, free func()) {
	words, free = Words(uint64(n))
	if len(words) > 0 {
		// Where the kernel has no large pages, small ones do.
		_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*wordSize), unix.MADV_HUGEPAGE)
	}
	return words, free
}

// Buffers are for large transfers.
type Buffers struct{ mapped [][]byte }

// New is n bytes, aligned for direct I/O, until Free. They are all there: to be given
// them page by page, as they are touched, takes longer.
func (b *Buffers) New(n int) []byte {
	buf, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return Aligned(n)
	}
	b.mapped = append(b.mapped, buf)
	return buf
}

// Free gives all of them back: nothing may use them any more.
func (b *Buffers) Free() {
	for _, buf := range b.mapped {
		_ = unix.Munmap(buf)
	}
	b.mapped = nil
}

// Alignment is a multiple of every logical block size, in bytes.
const Alignment = 64 << 10

// Aligned is n bytes of Go's heap at an address that direct I/O takes on any device: from there and
// to there it needs no copy.
func Aligned(n int) []byte {
	b := make([]byte, n+Alignment)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % Alignment
	return b[skip:][:n:n]
}
