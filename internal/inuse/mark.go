package inuse

import (
	"os"

	"golang.org/x/sys/unix"
)

// claimed is the byte on which those have a shared lock who have a device exclusively, and
// mind the locks on other bytes of it.
var claimed = lockRange{start: lockEnd, end: lockEnd + 1}

// Mark marks a device that was opened exclusively. Where that cannot be done, it is another
// program's to others.
func Mark(f *os.File) {
	lock := claimed.flock(unix.F_RDLCK)
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
}

// IsMarked reports whether a device is marked by the one who has it exclusively.
func IsMarked(f *os.File) bool {
	lock := claimed.flock(unix.F_WRLCK)
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type == unix.F_RDLCK
}
