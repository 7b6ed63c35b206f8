package inuse

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Mapping is a device-mapper device of this machine.
type Mapping struct {
	Number
	Name string // as dmsetup prints it
	UUID string // begins with "LVM-" for a logical volume; may be empty
	// Suspended: whoever reads it waits until it is resumed.
	Suspended bool
}

// Holders names the devices that hold it, in words for a message.
func (m Mapping) Holders() []string { return titles(holderNames(m.Number)) }

// Mappings are the device-mapper devices of this machine, as far as sysfs shows them.
func Mappings() (all []Mapping) {
	for _, n := range numbersBeside("/sys/block/*/dm") {
		all = append(all, Mapping{
			Number: n, Name: readLine(n.sysfs("dm/name")), UUID: readLine(n.sysfs("dm/uuid")),
			Suspended: n.isSuspended(),
		})
	}
	return all
}

// MappedAs names the mappings whose UUIDs begin with a prefix.
func MappedAs(prefix string) (by []string) {
	for _, m := range Mappings() {
		if strings.HasPrefix(m.UUID, prefix) {
			by = append(by, title(m.Number.kernelName()))
		}
	}
	return by
}

// hides reports whether the mapping uses what a medium is kept on in a way that is not known.
func (m Mapping) hides(p Place) bool {
	if len(m.Number.table()) == 0 && within(Place{Number: m.Number}, p) {
		return true // sysfs says that it is on it, and nobody says how
	}
	return slices.ContainsFunc(m.Number.table(), func(r row) bool {
		if _, known := r.piece(); known {
			return false
		}
		return slices.ContainsFunc(r.Args, func(arg string) bool {
			n, ok := ParseNumber(arg)
			return ok && arg == n.String() && within(p, Place{Number: n})
		})
	})
}

// kernelName is what the kernel calls the device: "dm-3".
func (n Number) kernelName() string {
	dir, err := filepath.EvalSymlinks(n.sysfs(""))
	if err != nil {
		return n.String()
	}
	return filepath.Base(dir)
}

// Blocks are the paths of the block devices of this machine that have a size: disks,
// partitions and what is made of them.
func Blocks() (paths []string) {
	for _, n := range numbersBeside("/sys/class/block/*/size") {
		if n.Size() > 0 {
			paths = append(paths, n.Path())
		}
	}
	return paths
}

// CheckSuspended is the error of a device that is suspended, or kept on one that is: whoever reads
// it waits until that is resumed. Without sysfs, nothing is known of that.
func (n Number) CheckSuspended() error {
	for layer := range (Place{Number: n}).layers() {
		if layer.File == nil && layer.Number.isSuspended() {
			return fmt.Errorf("cannot be read: %s is suspended (dmsetup resume ends that)", layer.Number.Path())
		}
	}
	return nil
}

func (n Number) isSuspended() bool { return readLine(n.sysfs("dm/suspended")) == "1" }

// Partitions are the paths of the partitions that the kernel shows of a block device; an image file has none.
func (n Number) Partitions() (paths []string) {
	for _, p := range numbersBeside(n.sysfs("*/partition")) {
		paths = append(paths, p.Path())
	}
	return paths
}
