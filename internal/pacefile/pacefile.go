// Package pacefile keeps readings of how full snapshots are, from one run of the program to the next.
package pacefile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/inuse"
	"dmcow/internal/pace"
	"dmcow/internal/words"
)

// File is a file of readings. It is locked, so that two runs at once do not lose each other's readings.
type File struct {
	// Stores are the readings of each store, by a name that it keeps.
	Stores map[string]*pace.History
	// Anew says why readings that were there are not used; it is empty where they are.
	Anew string

	path string
	boot string
	now  time.Duration
	lock *os.File
}

// content is what stands in the file.
type content struct {
	Version int                      `json:"dmcow_state"`
	Boot    string                   `json:"boot"` // of this machine, when the readings' clock began
	Stores  map[string]*pace.History `json:"stores"`
}

const (
	mark      = `{"dmcow_state":` // which the file begins with
	version   = 1
	mostBytes = 64 << 20
	mostAge   = 7 * 24 * time.Hour // of a store that is read no more
)

// Errors of a file that cannot be used.
var (
	ErrForeign = errors.New("holds something other than dmcow's readings, and dmcow does not write over it")
	ErrBusy    = errors.New("is locked: another dmcow is writing to it")
)

// Open reads a file of readings, or begins one, and locks it; a lock of another run's is waited for as long as
// patience. The readings of another boot of the machine are of another clock, and are not used. The error does not name
// the file.
func Open(path string, patience time.Duration) (*File, error) {
	f, err := open(path, patience)
	return f, words.Pathless(err)
}

func open(path string, patience time.Duration) (*File, error) {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		path = whole
	}
	lock, err := locked(path, patience)
	if err != nil {
		return nil, err
	}
	f := &File{Stores: map[string]*pace.History{}, path: path, lock: lock}
	if err := f.look(); err != nil {
		lock.Close()
		return nil, err
	}
	return f, nil
}

// locked opens and locks the file that has the name then: another run may replace it meanwhile.
func locked(path string, patience time.Duration) (*os.File, error) {
	f, err := inuse.LockNamed(path, func() (*os.File, error) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			f.Close()
			return nil, cmp.Or(err, errors.New("not a regular file"))
		}
		return f, nil
	}, patience, func() error { return nil })
	if errors.As(err, new(*inuse.BusyError)) {
		return nil, ErrBusy
	}
	return f, err
}

// look reads what is there, and what time it is.
func (f *File) look() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("needs /proc: %w", words.Pathless(err))
	}
	f.boot = strings.TrimSpace(string(boot))
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return err
	}
	f.now = time.Duration(t.Nano())
	text, err := io.ReadAll(io.LimitReader(f.lock, mostBytes+1))
	if err != nil {
		return err
	}
	return f.read(text)
}

func (f *File) read(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	switch {
	case len(text) < len(mark) && strings.HasPrefix(mark, string(text)):
		f.Anew = "it is damaged" // cut off
		return nil
	case !bytes.HasPrefix(text, []byte(mark)):
		return ErrForeign
	}
	var c content
	switch err := json.Unmarshal(text, &c); {
	case err != nil || len(text) > mostBytes:
		f.Anew = "it is damaged"
	case c.Version != version:
		return fmt.Errorf("its version is %d, and dmcow knows version %d", c.Version, version)
	case c.Boot != f.boot:
		f.Anew = "the machine was started since"
	default:
		for name, h := range c.Stores {
			if h == nil {
				continue
			}
			if last, ok := h.Last(); ok && last.At <= f.now && f.now-last.At < mostAge {
				f.Stores[name] = h
			}
		}
	}
	return nil
}

// Add adds a reading of a store, as of now, and returns all of it.
func (f *File) Add(name string, stored, left uint64, merging bool) *pace.History {
	h := f.Stores[name]
	if h == nil {
		h = new(pace.History)
		f.Stores[name] = h
	}
	h.Add(pace.Reading{At: f.now.Truncate(time.Millisecond), Stored: stored, Left: left, Merging: merging})
	return h
}

// Keep writes the readings: whoever is killed meanwhile leaves the old ones. It gives the lock back.
func (f *File) Keep() error {
	defer f.Close()
	text, err := json.Marshal(content{version, f.boot, f.Stores})
	if err != nil {
		return err
	}
	return words.Pathless(f.replace(append(text, '\n')))
}

// replace puts a new file in the place of the locked one. As long as that has the name, nobody else has the lock, and the
// new one's first name is this run's: from when the name is given on, it may be another's.
func (f *File) replace(text []byte) error {
	name := filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".new")
	_ = os.Remove(name) // which a run that was killed has left
	next, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer next.Close()
	f.beLike(next)
	if _, err = next.Write(text); err == nil {
		err = next.Sync()
	}
	if err == nil {
		err = os.Rename(name, f.path)
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}

// beLike has whoever could use the locked file use the new one, as far as that may be.
func (f *File) beLike(next *os.File) {
	var of unix.Stat_t
	if unix.Fstat(int(f.lock.Fd()), &of) == nil {
		_ = next.Chown(int(of.Uid), int(of.Gid))
		_ = next.Chmod(os.FileMode(of.Mode & 0o777))
	}
}

// Close gives the lock back.
func (f *File) Close() error {
	err := f.lock.Close()
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
