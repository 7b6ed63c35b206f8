// Package draft makes files that get their name when they are whole.
package draft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"dmcow/internal/device"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// Draft is a file on its way: it gets its name when it is whole, so that nobody ever finds
// half of it there. Killed before, it is gone, where the file system can do that.
//
// It is written directly, where its file system can do that: a large image would only push
// out what else is in the page cache.
type Draft struct {
	out    *device.Writable // of whole blocks; nil before there is a file
	file   *os.File
	path   string // what it is going to be called
	named  string // what it is called meanwhile; empty where it has no name
	size   int64  // in bytes
	mode   fs.FileMode
	public bool // anyone may read it
}

// blockSize is what offsets of writes must be multiples of, in bytes, and lengths of all but
// the last of the file: a block of most file systems.
const blockSize = 4096

// New makes a file of size bytes, all of them zero, that takes no room yet. It will be
// called path, in place of a file that may have that name now, and has that one's owner, as far
// as that may be, and its permissions; a new file has the permissions of mode, of which the process may
// leave some out (umask(2)). Where that is a symbolic link, it is for the file that the link
// leads to.
//
// The error says what is wrong without naming the path.
func New(path string, size int64, mode fs.FileMode) (*Draft, error) {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		path = whole
	}
	d := &Draft{path: path, size: size, mode: mode}
	err := d.open()
	if err == nil {
		err = d.file.Truncate(raw.RoundUp(size, blockSize))
	}
	if err != nil {
		d.Close()
		return nil, words.Pathless(err)
	}
	d.out.GoDirect(blockSize)
	return d, nil
}

// open makes the file, without a name where that can be done.
func (d *Draft) open() error {
	f, err := os.OpenFile(filepath.Dir(d.path), os.O_RDWR|unix.O_TMPFILE, d.mode)
	switch {
	case err == nil && nameable(f):
		d.begin(f)
		return nil
	case err == nil:
		f.Close()
	case !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL):
		return err
	}
	return d.openNamed()
}

func (d *Draft) openNamed() error {
	name, err := d.freeName()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, d.mode)
	if err == nil {
		d.named = name
		d.begin(f)
	}
	return err
}

func (d *Draft) begin(f *os.File) {
	d.file, d.out = f, device.FromFile(f, d.path, raw.RoundUp(d.size, blockSize))
}

// nameable reports whether a file without a name can be given one.
func nameable(f *os.File) bool {
	if os.Geteuid() == 0 {
		return true
	}
	_, err := os.Stat(self(f))
	return err == nil
}

// self is an open file by a path, where /proc is mounted.
func self(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// freeName is a name that no file has, beside the one that it is going to have.
func (d *Draft) freeName() (string, error) {
	f, err := os.CreateTemp(filepath.Dir(d.path), "."+strings.ReplaceAll(filepath.Base(d.path), "*", "_")+".*")
	if err != nil {
		return "", err
	}
	f.Close()
	return f.Name(), os.Remove(f.Name())
}

// WriteMany writes p[i] to offset at[i], in bytes, as [device.Writable.WriteMany] does, in blocks
// of 4096 bytes; the last one of the file may be short.
func (d *Draft) WriteMany(p [][]byte, at []int64) (failed int, err error) {
	if i := len(p) - 1; i >= 0 && len(p[i])%blockSize != 0 {
		whole := len(p[i]) / blockSize * blockSize
		last := memory.Aligned(blockSize)
		copy(last, p[i][whole:])
		if failed, err := d.out.WriteMany([][]byte{last}, []int64{at[i] + int64(whole)}); err != nil {
			return i + failed, err
		}
		p[i] = p[i][:whole]
	}
	return d.out.WriteMany(p, at)
}

// Writable is what is on its way, as a device that is read and written in blocks like any image
// file, with whatever was written before. [Draft.WriteMany] is not for what comes after. The
// device is closed with the draft, and is not to be closed by itself.
//
// What does not fill a block at the file's end is to be written before, by WriteMany.
func (d *Draft) Writable() (*device.Writable, error) {
	err := d.file.Truncate(d.size)
	if err == nil {
		err = d.out.GoThroughCache()
	}
	return d.out, words.Pathless(err)
}

// Public has the file readable for anyone, whatever umask(2) leaves out, or the file had that it replaces.
func (d *Draft) Public() { d.public = true }

// Keep makes the file durable and gives it its name. Where that fails, it is as if it had
// never been there.
func (d *Draft) Keep() error { return d.keep(true) }

// KeepNew is Keep for a name that no file has: one that has been made meanwhile stays, and is
// an error.
func (d *Draft) KeepNew() error { return d.keep(false) }

func (d *Draft) keep(replace bool) error {
	err := d.file.Truncate(d.size)
	if err == nil && replace {
		err = d.beLike()
	}
	if err == nil && d.public {
		err = d.file.Chmod(0o644)
	}
	if err == nil {
		err = d.out.Sync() // which knows of one that has failed
	}
	if err == nil {
		err = d.file.Sync()
	}
	switch {
	case err == nil && replace:
		err = d.name()
	case err == nil:
		err = d.nameNew()
	}
	if err == nil {
		d.named = "" // for Close: the name is gone
		err = device.SyncDirectory(filepath.Dir(d.path))
	}
	return errors.Join(words.Pathless(err), d.Close())
}

// beLike gives the file the owner and the permissions of the one that it is going to replace.
// Those of a group that it cannot have, it has only as far as everybody has them.
func (d *Draft) beLike() error {
	info, err := os.Stat(d.path)
	if err != nil || !info.Mode().IsRegular() {
		return nil // there is none; what else is there is not replaced
	}
	mode := info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		err := d.file.Chown(int(st.Uid), int(st.Gid))
		if err != nil {
			err = d.file.Chown(-1, int(st.Gid))
		}
		if err != nil {
			mode = ofAnotherGroup(mode)
		}
	}
	return d.file.Chmod(mode)
}

// ofAnotherGroup are permissions of which a group has no more than everybody.
func ofAnotherGroup(mode fs.FileMode) fs.FileMode {
	const group, others = 0o070, 0o007
	return mode&^group | mode&group&(mode&others<<3)
}

// name gives the file its name. One that another file has takes two steps.
func (d *Draft) name() error {
	if d.named == "" {
		err := d.link(d.path)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		name, err := d.freeName()
		if err == nil {
			err = d.link(name)
		}
		if err != nil {
			return err
		}
		d.named = name
	}
	return os.Rename(d.named, d.path)
}

// nameNew gives the file its name, if no file has it.
func (d *Draft) nameNew() error {
	if d.named == "" {
		if err := d.link(d.path); err != nil {
			return device.CreateError(d.path, err)
		}
		return nil
	}
	return device.Rename(d.named, d.path)
}

func (d *Draft) link(name string) error {
	err := unix.Linkat(int(d.file.Fd()), "", unix.AT_FDCWD, name, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) { // it takes root
		err = unix.Linkat(unix.AT_FDCWD, self(d.file), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	}
	return err
}

// Close gives the file up, unless it was kept. It may be called again.
func (d *Draft) Close() error {
	if d.named != "" {
		_ = os.Remove(d.named)
	}
	d.named = ""
	if d.out == nil {
		return nil
	}
	err := d.out.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return words.Pathless(err)
}
