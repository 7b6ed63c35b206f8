package device

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Words reserves n 64-bit words, all of them zero, of which the system gives out
// what is touched, until free is called. Where it does not do that, there are none.
func Words(n int) (words []uint64, free func()) {
	const size = 8
	b, err := unix.Mmap(-1, 0, n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, func() {}
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), n), func() { _ = unix.Munmap(b) }
}

// Buffer is n bytes for large transfers, aligned for direct I/O, which are all there:
// to be given them page by page, as they are touched, takes longer.
func Buffer(n int) []byte {
	b := AlignedBuffer(n)
	_ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) // an older kernel gives them out later
	return b
}
