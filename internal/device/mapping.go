package device

import "dmcow/internal/inuse"

// Target is the device's device-mapper target; ok is false when it is no
// device-mapper device, or that cannot be told (it takes root rights).
func (d *Device) Target() (t inuse.Target, ok bool) {
	n := d.Number()
	if n == (inuse.Number{}) {
		return inuse.Target{}, false
	}
	return n.Target()
}

// TableName is the device's name in a device-mapper table: its number, as the kernel has it,
// or the path of what is no block device, which wants one.
func (d *Device) TableName() string {
	if n := d.Number(); n != (inuse.Number{}) {
		return n.String()
	}
	return d.path
}
