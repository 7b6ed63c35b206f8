package device

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Claim keeps others from mounting, activating or opening exclusively the block devices that
// the device is on, as long as it is open: it opens them exclusively, to read. whole tells that
// it has them all. It has not where somebody has one already who cannot write what is read: a
// file system that is mounted read-only, another dmcow that reads, and of a joined device
// those who have other parts. Else the error is a [*BusyError].
//
// It is to be called once, before sections are made of the device.
func (d *Device) Claim() (whole bool, err error) {
	whole = true
	for m := range d.media() {
		if m.gone != nil || m.is.number == (Number{}) || m.order != nil {
			continue // what is open to write was opened exclusively
		}
		f, err := reopen(m.file, os.O_RDONLY|unix.O_EXCL)
		switch {
		case errors.Is(err, unix.EBUSY):
			if err := d.refuseClaimed(m); err != nil {
				return false, err
			}
			whole = false
		case err != nil:
			return false, cause(err)
		default:
			mark(f)
			d.claims = append(d.claims, f)
		}
	}
	return whole, nil
}

// refuseClaimed is the error of a device where somebody has one of the media exclusively, and
// could write what is read.
func (d *Device) refuseClaimed(m *medium) error {
	n := m.is.number
	by := d.Writers()
	if d.joined {
		by = sorted(slices.Concat(by, n.writersBut(isMapping)))
	}
	if len(by) > 0 || len(n.users()) == 0 && !isMarked(m.file) {
		return &BusyError{By: by}
	}
	return nil
}

// claimed is the byte on which those have a shared lock who have a device exclusively, and
// mind the locks on other bytes of it.
var claimed = lockRange{start: lockEnd, end: lockEnd + 1}

// mark marks a device that was opened exclusively. Where that cannot be done, it is another
// program's to others.
func mark(f *os.File) {
	lock := claimed.flock(unix.F_RDLCK)
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
}

// isMarked reports whether a device is marked by the one who has it exclusively.
func isMarked(f *os.File) bool {
	lock := claimed.flock(unix.F_WRLCK)
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type == unix.F_RDLCK
}
