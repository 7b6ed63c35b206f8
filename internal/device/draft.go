package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Draft is a file on its way: it gets its name when it is whole, so that nobody ever finds
// half of it there. Killed before, it is gone, where the file system can do that.
//
// It is written directly, where its file system can do that: a large image would only push
// out what else is in the page cache.
type Draft struct {
	out   *Writable
	path  string // what it is going to be called
	named string // what it is called meanwhile; empty where it has no name
	size  int64  // in bytes; out has whole blocks
}

// draftBlock is what offsets of writes must be multiples of, in bytes, and lengths of all but
// the last of the file: a block of most file systems.
const draftBlock = 4096

// NewDraft makes a file of size bytes, all of them zero, that takes no room yet. It will be
// called path, in place of a file that may have that name now. Where that is a symbolic link,
// it is for the file that the link leads to.
//
// The error says what is wrong without naming the path.
func NewDraft(path string, size int64) (*Draft, error) {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		path = whole
	}
	d := &Draft{out: newWritable(path), path: path, size: size}
	err := d.open()
	if err == nil {
		d.out.size = roundUp(size, draftBlock)
		err = d.out.file.Truncate(d.out.size)
	}
	if err != nil {
		d.Close()
		return nil, cause(err)
	}
	d.goDirect()
	d.out.findLargest()
	return d, nil
}

// open makes the file, without a name where that can be done.
func (d *Draft) open() (err error) {
	d.out.file, err = os.OpenFile(filepath.Dir(d.path), os.O_RDWR|unix.O_TMPFILE, 0o666)
	if err == nil && d.nameable() {
		return nil
	}
	if err == nil {
		d.out.file.Close()
	} else if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return d.openNamed()
}

// openNamed makes the file with a name that no file has.
func (d *Draft) openNamed() error {
	name, err := d.freeName()
	if err != nil {
		return err
	}
	if d.out.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err == nil {
		d.named = name
	}
	return err
}

// goDirect has the file be written directly, where that can be done in blocks of
// draftBlock.
func (d *Draft) goDirect() {
	m := d.out.medium
	flags, err := unix.FcntlInt(m.file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(m.file.Fd(), unix.F_SETFL, flags|unix.O_DIRECT)
	}
	if err != nil {
		return
	}
	m.block, m.direct = alignment(int(m.file.Fd())), true
	if m.block > 0 && draftBlock%m.block == 0 {
		// Some file systems let the flag be set, and refuse every transfer.
		if _, err := m.read(make([]byte, 1), 0); !errors.Is(err, unix.EINVAL) {
			return
		}
	}
	m.block, m.direct = SectorSize, false
	_, _ = unix.FcntlInt(m.file.Fd(), unix.F_SETFL, flags) // as it was
}

// nameable tells whether a file without a name can be given one.
func (d *Draft) nameable() bool {
	if os.Geteuid() == 0 {
		return true
	}
	_, err := os.Stat(d.self())
	return err == nil
}

// self is the open file by a path, where /proc is mounted.
func (d *Draft) self() string { return fmt.Sprintf("/proc/self/fd/%d", d.out.file.Fd()) }

// freeName is a name that no file has, beside the one that it is going to have.
func (d *Draft) freeName() (string, error) {
	f, err := os.CreateTemp(filepath.Dir(d.path), "."+strings.ReplaceAll(filepath.Base(d.path), "*", "_")+".*")
	if err != nil {
		return "", err
	}
	f.Close()
	return f.Name(), os.Remove(f.Name())
}

// WriteMany writes p[i] to offset at[i], in bytes, as [Writable.WriteMany] does, in blocks
// of 4096 bytes; the last one of the file may be short.
func (d *Draft) WriteMany(p [][]byte, at []int64) (failed int, err error) {
	if i := len(p) - 1; i >= 0 && len(p[i])%draftBlock != 0 {
		whole := len(p[i]) / draftBlock * draftBlock
		last := AlignedBuffer(draftBlock)
		copy(last, p[i][whole:])
		if failed, err := d.out.WriteMany([][]byte{last}, []int64{at[i] + int64(whole)}); err != nil {
			return i + failed, err
		}
		p[i] = p[i][:whole]
	}
	return d.out.WriteMany(p, at)
}

// Keep makes the file durable and gives it its name. Where that fails, it is as if it had
// never been there.
func (d *Draft) Keep() error {
	err := d.out.file.Truncate(d.size)
	if err == nil {
		err = d.out.file.Sync()
	}
	if err == nil {
		err = d.name()
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(d.path))
	}
	return errors.Join(cause(err), d.Close())
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
	err := os.Rename(d.named, d.path)
	if err == nil {
		d.named = ""
	}
	return err
}

// link gives a file that has no name one.
func (d *Draft) link(name string) error {
	err := unix.Linkat(int(d.out.file.Fd()), "", unix.AT_FDCWD, name, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) { // it takes root
		err = unix.Linkat(unix.AT_FDCWD, d.self(), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	}
	return err
}

// Close gives the file up, unless it was kept. It may be called again.
func (d *Draft) Close() error {
	if d.named != "" {
		_ = os.Remove(d.named)
	}
	d.named = ""
	if d.out.file == nil {
		return nil
	}
	err := d.out.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return cause(err)
}
