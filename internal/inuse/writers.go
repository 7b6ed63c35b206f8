package inuse

import (
	"path/filepath"
	"slices"
)

// nobody leaves no device out.
func nobody(string) bool { return false }

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
