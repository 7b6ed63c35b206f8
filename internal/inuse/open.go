package inuse

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens a file so that reading leaves no trace in its access time, where the caller is
// allowed to ask for that; atime tells that it is not.
func Open(path string, flags int) (f *os.File, atime bool, err error) {
	f, err = os.OpenFile(path, unix.O_NOATIME|flags, 0)
	if !errors.Is(err, fs.ErrPermission) {
		return f, false, err
	}
	f, err = os.OpenFile(path, flags, 0)
	return f, true, err
}

// Reopen opens an open file once more.
func Reopen(f *os.File, flags int) (*os.File, error) {
	other, _, err := Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags)
	if !errors.Is(err, fs.ErrNotExist) {
		return other, err
	}
	if other, _, err = Open(f.Name(), flags); err == nil && inodeOf(other) != inodeOf(f) {
		other.Close()
		err = errors.New("the file was replaced, and /proc is not mounted")
	}
	return other, err
}
