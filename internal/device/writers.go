package device

import (
	"path/filepath"
	"slices"
)

// Holders names who uses the device, in words for a message: what device-mapper, LVM or md
// made on top of a block device; who could write an image file ([Device.Writers]); and who
// else has locked the device to write it, or had when it was locked here. Of a joined device
// it names those that have some of its bytes.
func (d *Device) Holders() []string { return d.holdersBut(nobody) }

// Writers names who could write a device that is only going to be read: of a block device,
// its disk and its partitions, the file systems that are mounted from it, swap, what
// device-mapper or md made on top of it, and loop devices over it; of an image file, loop
// devices over it, and swap. Who can only read is not among them. Then there is who has locked
// the device to write it, or had when it was locked here. Of a joined device it names those
// that hold it.
func (d *Device) Writers() []string { return d.writersBut(nobody) }

// NewHolders and NewWriters are Holders and Writers, for who looks whether what was read may have
// changed meanwhile: without the devices of device-mapper that nobody has open and through which
// nothing was written. LVM makes such a one, and takes it away again, when it fails to activate a
// volume that is guarded ([NewGuard]).
func (d *Device) NewHolders() []string { return d.holdersBut(isIdle) }
func (d *Device) NewWriters() []string { return d.writersBut(isIdle) }

// nobody leaves no device out.
func nobody(string) bool { return false }

// holdersBut are the holders, but for the devices that are left out, by the kernel's names.
func (d *Device) holdersBut(out func(name string) bool) (by []string) {
	switch {
	case d.joined:
		by = d.mappingsBut(out)
	case d.IsBlock():
		for _, name := range slices.DeleteFunc(d.Number().holderNames(), out) {
			by = append(by, holder(name))
		}
	default:
		by = d.imageWriters()
	}
	return sorted(append(by, d.lockHolders()...))
}

// writersBut are the writers, but for the devices that are left out, by the kernel's names.
func (d *Device) writersBut(out func(name string) bool) (by []string) {
	switch {
	case d.joined:
		return d.holdersBut(out)
	case d.IsBlock():
		by = d.Number().writersBut(out)
	default:
		by = d.imageWriters()
	}
	return sorted(append(by, d.lockHolders()...))
}

// imageWriters names the loop devices over an image file that can be written, and swap.
func (d *Device) imageWriters() []string {
	return slices.Concat(thatWrite(loopsOn(d.file, d.is.file)), swaps(isFile(d.is.file)))
}

// writersBut names who could write a block device, apart from those who have locked it, and
// but for those of the devices that hold it that are left out.
func (n Number) writersBut(out func(name string) bool) (by []string) {
	all := n.relatives()
	var holders []string
	for _, r := range all {
		holders = append(holders, r.holderNames()...)
	}
	for _, name := range slices.DeleteFunc(thatWrite(holders), out) {
		by = append(by, holder(name))
	}
	written := mountsBut(all, func(m mounted) bool { return m.readOnly })
	return slices.Concat(by, written, swaps(isOneOf(all)), thatWrite(loopsOver(isOneOf(all))))
}

// thatWrite are those of some block devices that can be written, by the kernel's names.
func thatWrite(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return readLine(filepath.Join("/sys/class/block", name, "ro")) == "1"
	})
}

// sorted are the names in order, each once.
func sorted(by []string) []string {
	slices.Sort(by)
	return slices.Compact(by)
}
