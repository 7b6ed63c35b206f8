package device

import (
	"errors"
	"io/fs"
	"os"

	"dmcow/internal/inuse"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

var errReadOnly = errors.New("is a read-only device")

// openExclusively opens a block device for writing, and for nobody else: what
// the kernel, or a program that asks for as much, uses is not had, and while it
// is open, nothing of the kind can be begun.
func (w *Writable) openExclusively(info fs.FileInfo) error {
	err := w.openBlock(info, func(flags int) (*os.File, error) {
		return os.OpenFile(w.path, os.O_RDWR|unix.O_EXCL|flags, 0)
	})
	switch {
	case errors.Is(err, unix.EBUSY):
		return &inuse.BusyError{By: w.is.Number.Users()}
	case errors.Is(err, unix.EROFS), err != nil && w.is.Number.IsReadOnly():
		return errReadOnly
	case err != nil:
		return err
	}
	inuse.Mark(w.file)
	if err := w.checkWritable(); err != nil {
		return err
	}
	// A loop device uses the device under it without claiming it.
	if by := w.is.Number.Loops(); len(by) > 0 {
		return &inuse.BusyError{By: by}
	}
	return nil
}

// checkWritable is the error of a device that cannot be written: most drivers open a
// read-only one for writing all the same.
func (m *medium) checkWritable() error {
	switch ro, err := unix.IoctlGetUint32(int(m.file.Fd()), unix.BLKROGET); {
	case err != nil:
		return err
	case ro != 0:
		return errReadOnly
	}
	return nil
}

// openImage opens an image file, and looks for users that take no locks.
func (w *Writable) openImage(flags int) (err error) {
	// What is kept in a new file is from a device that not everybody may read.
	if w.file, err = os.OpenFile(w.path, os.O_RDWR|flags, 0o600); err != nil {
		return err
	}
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is no longer an image file")
	}
	if by := inuse.ImageUsers(w.file, info); len(by) > 0 {
		return &inuse.BusyError{By: by}
	}
	return nil
}

// OpenShared is [OpenWritable], but not for oneself, for a device of which others may use other parts, as
// logical volumes do of a physical one: device-mapper's devices on it are no obstacle, nor is
// another dmcow, and it is not locked. Who writes locks the parts ([JoinWritable]), and makes
// sure that none of those devices has what is written ([Device.Holders] of what is joined).
func OpenShared(path string) (*Writable, error) {
	w, err := openToWrite(path, false)
	var busy *inuse.BusyError
	if !errors.As(err, &busy) {
		return w, err
	}
	info, lerr := look(path)
	if lerr != nil || info.Mode().IsRegular() {
		return nil, err
	}
	w = newWritable(path)
	n := inuse.NumberOf(info)
	if by := n.Strangers(); len(by) > 0 {
		return nil, &inuse.BusyError{By: by}
	}
	err = w.openBlock(info, func(flags int) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|flags, 0) })
	if err == nil && !n.IsMapped() && !inuse.IsMarked(w.file) {
		err = busy // a program has it that minds no locks
	}
	if err == nil {
		err = w.checkWritable()
	}
	w, err = w.opened(err, false)
	return w, words.Pathless(err)
}
