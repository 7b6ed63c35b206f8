package device

import (
	"path/filepath"
	"slices"
)

// Holders names who uses the device, in words for a message: what device-mapper, LVM or md
// made on top of a block device; who could write an image file ([Device.Writers]); and who
// else has locked the device to write it, or had when it was locked here. Of a joined device
// it names those that have some of its bytes.
func (d *Device) Holders() (by []string) {
	switch {
	case d.joined:
		by = d.mappings()
	case d.IsBlock():
		by = d.Number().holders()
	default:
		by = d.imageWriters()
	}
	return sorted(append(by, d.lockHolders()...))
}

// Writers names who could write a device that is only going to be read: of a block device,
// its disk and its partitions, the file systems that are mounted from it, swap, what
// device-mapper or md made on top of it, and loop devices over it; of an image file, loop
// devices over it, and swap. Who can only read is not among them. Then there is who has locked
// the device to write it, or had when it was locked here. Of a joined device it names those
// that hold it.
func (d *Device) Writers() (by []string) {
	switch {
	case d.joined:
		return d.Holders()
	case d.IsBlock():
		by = d.Number().writersBut(func(string) bool { return false })
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
