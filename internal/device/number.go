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

// Target is the device's device-mapper target; ok is false for another
// device, or where that cannot be told (it takes root rights).
func (d *Device) Target() (t inuse.Target, ok bool) { return d.Number().Target() }

// TableName is the device's name in a device-mapper table: its number, as the kernel has it,
// or its path where it is not a block device: the table wants one.
func (d *Device) TableName() string {
	if n := d.Number(); n != (inuse.Number{}) {
		return n.String()
	}
	return d.path
}
