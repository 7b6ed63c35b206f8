package device

// Lock takes the locks of one who reads, as [Open] does, until the device is closed: while it
// is read, no other program that minds them begins to write it. Of a joined device they are
// on the parts that it is joined from. Where the file system knows none, or others have some
// that are against them, reading goes on: [Device.Holders] names those, then.
//
// It is to be called once, before sections are made of the device.
func (d *Device) Lock() { _ = d.lock(false) } // who reads is not refused

// lock takes the locks of one who reads or writes. The error of one who writes is a
// [*inuse.BusyError] where others have some that are against them.
func (d *Device) lock(writes bool) (err error) {
	d.holds, err = d.uses().Lock(writes)
	return err
}
