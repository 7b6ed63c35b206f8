package device

import (
	"errors"
	"os"

	"dmcow/internal/inuse"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// Claim keeps others from mounting, activating or opening exclusively the block devices that
// the device is on, as long as it is open: it opens them exclusively, to read. whole tells that
// it has them all. It does not where somebody has one already who cannot write what is read: a
// file system that is mounted read-only, another dmcow that reads, and of a joined device
// those who have other parts. Else the error is a [*inuse.BusyError].
//
// It is to be called once, before sections are made of the device.
func (d *Device) Claim() (whole bool, err error) {
	whole = true
	for m := range d.files() {
		if m.is.Number == (inuse.Number{}) || m.order != nil {
			continue // what is open to write was opened exclusively
		}
		f, err := inuse.Reopen(m.file, os.O_RDONLY|unix.O_EXCL)
		switch {
		case errors.Is(err, unix.EBUSY):
			if err := d.uses().CheckClaimed(inuse.Medium{File: m.file, On: m.is}); err != nil {
				return false, err
			}
			whole = false
		case err != nil:
			return false, words.Pathless(err)
		default:
			inuse.Mark(f)
			d.claims = append(d.claims, f)
		}
	}
	return whole, nil
}
