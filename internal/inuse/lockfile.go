package inuse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"dmcow/internal/raw"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// LockFile takes the lock that a file is there for, and makes the file where there is
// none, as LVM does for a volume group (lib/misc/lvm-flock.c): who gives the lock back
// removes the file, so that one that was waited for may be gone. visit is called now and then
// while it waits. The error is a [*BusyError] where somebody else has the lock, and does not give
// it back in time, or visit's own.
func LockFile(path string, patience time.Duration, visit func() error) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, words.Pathless(err)
	}
	const pause = 20 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		late := time.Now().After(deadline)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return nil, words.Pathless(err)
		}
		err = raw.Uninterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			by := lockers(f, func(lock) bool { return true })
			f.Close()
			if late {
				return nil, &BusyError{By: by}
			}
			if err := visit(); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("cannot be locked: %w", err)
		}
		if IsStill(f, path) {
			return func() {
				if IsStill(f, path) {
					_ = os.Remove(path)
				}
				f.Close()
			}, nil
		}
		f.Close() // it was removed before it was locked
	}
}

// IsStill reports whether an open file is the one of the name.
func IsStill(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
