// Package stdio has standard output and standard error, and knows whether whoever started the program has
// closed them.
package stdio

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Closed reports whether a standard stream was closed when the program was started. The Go runtime
// opens /dev/null then, for reading and writing, so that no other file gets the stream's
// number: what is written goes nowhere, and nobody would know.
//
// It is told from a /dev/null that somebody has given: a shell opens that for writing alone, and
// a daemon has the same open file for all three streams. Where the kernel does not say
// which open files are the same, the stream is taken for one that was given.
func Closed(f *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || !os.SameFile(info, null) {
		return err != nil
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	for fd := uintptr(0); fd <= 2; fd++ {
		if fd != f.Fd() && shared(fd, f.Fd()) {
			return false
		}
	}
	return true
}

// shared reports whether two descriptors are of one open file, or may be (kcmp(2)).
func shared(a, b uintptr) bool {
	const kcmpFile = 0
	pid := uintptr(os.Getpid())
	order, _, errno := syscall.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, a, b, 0)
	return errno != 0 || order == 0
}
