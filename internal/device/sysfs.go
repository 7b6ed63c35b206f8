package device

import "dmcow/internal/inuse"

// Number is the device's number, zero for an image file and for what is joined.
func (d *Device) Number() inuse.Number {
	if d.joined {
		return inuse.Number{}
	}
	return d.is.Number
}

// IsBlock reports whether the device is a block device, or joined from some of one.
func (d *Device) IsBlock() bool {
	return d.any(func(m *medium) bool { return m.is.Number != inuse.Number{} })
}

// Partitions are the paths of the partitions that the kernel shows of a block device.
func (d *Device) Partitions() (paths []string) { return d.Number().Partitions() }
