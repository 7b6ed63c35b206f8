package inuse

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Mapping is a device-mapper device of this machine.
type Mapping struct {
	Number Number
	Name   string // as dmsetup prints it
	UUID   string // begins with "LVM-" for a logical volume; may be empty
	// Suspended: whoever reads it waits until it is resumed.
	Suspended bool
}

// Path is where the mapping's device is found.
func (m Mapping) Path() string { return m.Number.Name() }

// Holders names the devices that hold it, in words for a message.
func (m Mapping) Holders() []string { return m.Number.holders() }

// Target is the first target of its table.
func (m Mapping) Target() (t Target, ok bool) {
	return m.Number.Target()
}

// Mappings are the device-mapper devices of this machine, as far as sysfs shows them.
func Mappings() (all []Mapping) {
	dirs, _ := filepath.Glob("/sys/block/*/dm")
	for _, dir := range dirs {
		n, ok := ParseNumber(readLine(filepath.Join(dir, "../dev")))
		if ok {
			all = append(all, Mapping{
				Number: n, Name: readLine(filepath.Join(dir, "name")), UUID: readLine(filepath.Join(dir, "uuid")),
				Suspended: readLine(filepath.Join(dir, "suspended")) == "1",
			})
		}
	}
	return all
}

// MappedAs names the mappings whose UUIDs begin with a prefix.
func MappedAs(prefix string) (by []string) {
	for _, m := range Mappings() {
		if strings.HasPrefix(m.UUID, prefix) {
			by = append(by, holder(m.Number.kernelName()))
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

// kernelName is the kernel's name of the device, "dm-3".
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
	files, _ := filepath.Glob("/sys/class/block/*/size")
	for _, file := range files {
		if size := readLine(file); size == "" || size == "0" {
			continue
		}
		if n, ok := ParseNumber(readLine(filepath.Join(filepath.Dir(file), "dev"))); ok {
			paths = append(paths, n.Name())
		}
	}
	return paths
}

// CheckSuspended is the error of a device that is suspended, or kept on one that is: whoever reads
// it waits until that is resumed. Without sysfs, nothing is known of that.
func (n Number) CheckSuspended() error {
	for layer := range (Place{Number: n}).layers() {
		if layer.File == nil && readLine(layer.Number.sysfs("dm/suspended")) == "1" {
			return fmt.Errorf("cannot be read: %s is suspended (dmsetup resume ends that)", layer.Number.Name())
		}
	}
	return nil
}

// Partitions are the paths of the partitions that the kernel shows of a block device, none of no block device.
func (n Number) Partitions() (paths []string) {
	if n == (Number{}) {
		return nil
	}
	files, _ := filepath.Glob(n.sysfs("*/partition"))
	for _, file := range files {
		if p, ok := ParseNumber(readLine(filepath.Join(filepath.Dir(file), "dev"))); ok {
			paths = append(paths, p.Name())
		}
	}
	return paths
}
