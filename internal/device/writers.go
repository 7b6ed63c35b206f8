package device

// Holders names who uses the device, in words for a message: what device-mapper, LVM or md
// made on top of a block device; who could write an image file ([Device.Writers]); and who
// else has locked the device to write it, or had when it was locked here. Of a joined device
// it names those that have some of its bytes.
func (d *Device) Holders() []string { return d.uses().Holders(true) }

// Writers names who could write a device that is only going to be read: of a block device,
// its disk and its partitions, the file systems that are mounted from it, swap, what
// device-mapper or md made on top of it, and loop devices over it; of an image file, loop
// devices over it, and swap. Who can only read is not among them. Then there is who has locked
// the device to write it, or had when it was locked here. Of a joined device it names those
// that hold it.
func (d *Device) Writers() []string { return d.uses().Writers(true) }

// NewHolders and NewWriters are Holders and Writers, for who looks whether what was read may have
// changed meanwhile: without the devices of device-mapper that nobody has open and through which
// nothing was written. LVM makes such a one, and takes it away again, when it fails to activate a
// volume that is guarded ([inuse.Guard]).
func (d *Device) NewHolders() []string { return d.uses().Holders(false) }
func (d *Device) NewWriters() []string { return d.uses().Writers(false) }
