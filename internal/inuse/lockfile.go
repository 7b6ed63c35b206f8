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
	f, err := LockNamed(path, func() (*os.File, error) {
		return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	}, patience, visit)
	if err != nil {
		return nil, err
	}
	return func() {
		if IsStill(f, path) {
			_ = os.Remove(path)
		}
		f.Close()
	}, nil
}

// LockNamed opens the file of a name, and locks it (flock(2)) for this process alone. One that has lost its name before
// it was locked is another's: the name is opened anew. Patience, visit and the error are as for [LockFile].
func LockNamed(path string, open func() (*os.File, error), patience time.Duration, visit func() error) (*os.File, error) {
	const pause = 20 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		late := time.Now().After(deadline)
		f, err := open()
		if err != nil {
			return nil, words.Pathless(err)
		}
		switch err = lockAtOnce(f); {
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
			return f, nil
		}
		f.Close() // it was removed, or replaced, before it was locked
	}
}

// lockAtOnce locks a file for this process alone, without waiting for others.
func lockAtOnce(f *os.File) error {
	return raw.Uninterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
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
