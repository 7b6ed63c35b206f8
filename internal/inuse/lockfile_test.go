package inuse

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLockFile: a lock that somebody has is waited for, as long as that is wanted.
func TestLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks", "V_vg0")
	ended, busy := errors.New("ended"), &BusyError{}
	release, err := LockFile(path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFile(path, 0, nil); !errors.As(err, &busy) {
		t.Errorf("locked twice: %v", err)
	}
	visits := 0
	_, err = LockFile(path, time.Hour, func() error {
		if visits++; visits == 3 {
			return ended
		}
		return nil
	})
	if !errors.Is(err, ended) {
		t.Errorf("after %d visits: %v", visits, err)
	}
	// It is given back while somebody waits.
	second, err := LockFile(path, time.Hour, func() error {
		release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("not locked: %v", err)
	}
	second()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}
