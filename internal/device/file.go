package device

import (
	"errors"
	"io/fs"
	"os"

	"dmcow/internal/inuse"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// FromFile is an open file that nobody else knows of yet: it is not locked. What is written and read has size
// bytes; the file is closed with it.
func FromFile(f *os.File, path string, size int64) *Writable {
	w := newWritable(path)
	w.file, w.size = f, size
	w.findLargest()
	return w
}

// GoDirect has a file be read and written directly, if that can be done in blocks of so many bytes.
func (w *Writable) GoDirect(block int64) {
	m := w.medium
	flags, err := unix.FcntlInt(m.file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(m.file.Fd(), unix.F_SETFL, flags|unix.O_DIRECT)
	}
	if err != nil {
		return
	}
	m.block, _ = alignment(int(m.file.Fd()))
	m.direct = true
	if m.block > 0 && block%m.block == 0 {
		// Some file systems let the flag be set, and refuse every transfer.
		if _, err := m.read(make([]byte, 1), 0); !errors.Is(err, unix.EINVAL) {
			w.findLargest()
			return
		}
	}
	m.throughCache()
}

// GoThroughCache has a file be read and written through the page cache, and as large as it is by now.
func (w *Writable) GoThroughCache() error {
	w.throughCache()
	return w.measure()
}

func (m *medium) throughCache() {
	m.block, m.direct = SectorSize, false
	if flags, err := unix.FcntlInt(m.file.Fd(), unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(m.file.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT)
	}
}

// Stretch is which part of which open file or block device the device is, from an offset on, in bytes. A
// joined device is none: ok is false.
func (d *Device) Stretch() (path string, offset int64, ok bool) {
	if d.medium == nil || d.file == nil {
		return "", 0, false
	}
	return d.file.Name(), d.base, true
}

// IsImage reports whether the device is an image file, and all of it.
func (d *Device) IsImage() bool {
	return !d.joined && d.is.Number == (inuse.Number{}) && d.base == 0 && d.size >= d.is.File.Size()
}

// CreateError is the error of a file that could not be made. A symbolic link
// to nothing is no file when it is looked at, and one when it is to be made.
func CreateError(path string, err error) error {
	if info, lerr := os.Lstat(path); errors.Is(err, fs.ErrExist) && lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return errors.New("is a broken symbolic link")
	}
	return words.Pathless(err)
}
