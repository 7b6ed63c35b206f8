package device

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

// Holders names the devices that hold it, as [Device.Holders] does.
func (m Mapping) Holders() []string { return m.Number.holders() }

// Target is the first target of its table, as [Device.Target] has it.
func (m Mapping) Target() (t Target, ok bool) {
	return m.Number.target()
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

// mappingsBut names the device-mapper devices that have bytes of the joined device, or may
// have some: those that are on one of its media, or on what that is kept on, in a way that
// is not known, or whose table cannot be read. Those that are left out, by the kernel's names,
// are not among them.
func (d *Device) mappingsBut(out func(name string) bool) (by []string) {
	own := d.lowest()
	for _, m := range Mappings() {
		if d.isOn(m.Number) || out(m.Number.kernelName()) {
			continue
		}
		if meet(own, place{number: m.Number}.all().lowest()) || d.any(func(of *medium) bool { return m.hides(of.is) }) {
			by = append(by, holder(m.Number.kernelName()))
		}
	}
	by = append(by, d.loops(own)...)
	slices.Sort(by)
	return by
}

// loops names those who use loop devices that show bytes of the joined device, beside it. A
// loop device that nobody uses is no use of them.
func (d *Device) loops(own []span) (by []string) {
	dirs, _ := filepath.Glob("/sys/block/loop*/loop")
	for _, dir := range dirs {
		n, ok := ParseNumber(readLine(filepath.Join(dir, "../dev")))
		if ok && !d.isOn(n) && meet(own, place{number: n}.all().lowest()) {
			for _, user := range n.strangers() {
				by = append(by, n.kernelName()+" ("+user+")")
			}
		}
	}
	return by
}

// isOn reports whether one of the device's media is kept on a block device, or is that.
func (d *Device) isOn(n Number) bool {
	return d.any(func(m *medium) bool { return m.gone == nil && within(m.is, place{number: n}) })
}

// hides reports whether the mapping uses what a medium is kept on in a way that is not known.
func (m Mapping) hides(p place) bool {
	if len(m.Number.table()) == 0 && within(place{number: m.Number}, p) {
		return true // sysfs says that it is on it, and nobody says how
	}
	return slices.ContainsFunc(m.Number.table(), func(r row) bool {
		if _, known := r.piece(); known {
			return false
		}
		return slices.ContainsFunc(r.Args, func(arg string) bool {
			n, ok := ParseNumber(arg)
			return ok && arg == n.String() && within(p, place{number: n})
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

// Partitions are the paths of the partitions that the kernel shows of a block device.
func (d *Device) Partitions() (paths []string) {
	n := d.Number()
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

// suspended is the error of a device that is suspended, or kept on one that is: whoever reads
// it waits until that is resumed. Without sysfs, nothing is known of that.
func (n Number) suspended() error {
	for layer := range (place{number: n}).layers() {
		if layer.file == nil && readLine(layer.number.sysfs("dm/suspended")) == "1" {
			return fmt.Errorf("cannot be read: %s is suspended (dmsetup resume ends that)", layer.number.Name())
		}
	}
	return nil
}

// IsOn reports whether the device is kept on the other, by whatever layers, as an md array is
// on its members.
func (d *Device) IsOn(other *Device) bool {
	return !d.joined && !other.joined && within(d.is, other.is)
}
