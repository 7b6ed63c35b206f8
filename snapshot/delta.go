package snapshot

import (
	"errors"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store/delta"
)

// findDelta finds out if the store is a delta, of which the list is all there. A delta that is damaged is noted. What
// cannot be read is told by whoever reads it.
func (s *Session) findDelta(c *COW) {
	h, err := delta.Find(c.Device)
	switch {
	case err == nil:
		c.Delta = &h
	case errors.As(err, new(*delta.DamagedError)), errors.As(err, new(*delta.CutError)):
		s.note(c.Text, Damaged, "%v", err)
	case errors.As(err, new(*delta.VersionError)):
		s.note(c.Text, Fine, "%v", err)
	}
}

// checkDelta refuses a device that is not as large as the one that a delta is for.
func (c *COW) checkDelta(name string, to *device.Device, remedies ...Deed) error {
	size := format.Bytes(to.Size()) / format.SectorSize * format.SectorSize
	if c.Delta == nil || c.Delta.Size == size {
		return nil
	}
	return refusef(name, Unable, "refused: it has %d bytes; the delta is for a device of %d", size, c.Delta.Size).with(remedies...)
}
