package device

import (
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// place is what a device, or a part of one, is kept on: a block device or a
// file.
type place struct {
	number Number // of a block device
	file   os.FileInfo
}

func (p place) is(other place) bool {
	if p.file == nil || other.file == nil {
		return p.file == nil && other.file == nil && p.number == other.number
	}
	return os.SameFile(p.file, other.file)
}

// compare brings places into an order.
func (p place) compare(other place) int {
	a, b := p.key(), other.key()
	return slices.Compare(a[:], b[:])
}

// key tells places apart.
func (p place) key() [4]uint64 {
	if p.file == nil {
		return [4]uint64{uint64(p.number.Major), uint64(p.number.Minor)}
	}
	st, ok := p.file.Sys().(*syscall.Stat_t)
	if !ok {
		return [4]uint64{}
	}
	return [4]uint64{0, 0, uint64(st.Dev), st.Ino}
}

// Overlaps reports whether writing to one of two devices may change the other,
// whatever the names that they were opened by: they are the same, or one is kept
// on the other, as a partition is on its disk, a logical volume on a physical
// one, a loop device on its file, or they show some of the same bytes of a third
// one, as two loop devices over one part of a file do. Of a section, all of its
// device counts; of a joined device, what it is joined from.
//
// The bytes are followed through partitions, loop devices, and the device-mapper
// targets linear, striped and snapshot-origin, whose tables take root rights to
// read. Devices that something else keeps on a third one are taken to lie apart
// there, as logical volumes do.
func (d *Device) Overlaps(other *Device) bool {
	if !d.joined && !other.joined && (within(d.is, other.is) || within(other.is, d.is)) {
		return true
	}
	return meet(d.lowest(), other.lowest())
}

// lowest is where the device's bytes are kept in the end: all of those of its medium, or
// of what it is joined from.
func (d *Device) lowest() (all []span) {
	if !d.joined {
		return d.is.all().lowest()
	}
	for _, p := range d.pieces {
		if slices.ContainsFunc(p.stripes, func(s stripe) bool { return s.medium.gone != nil }) {
			continue // it is nowhere
		}
		for _, under := range p.under(span{start: 0, end: math.MaxInt64}) {
			all = append(all, under.lowest()...)
		}
	}
	return all
}

// within reports whether p is whole or all of it is kept on what.
func within(p, what place) bool {
	for layer := range p.layers() {
		if layer.is(what) {
			return true
		}
	}
	return false
}

// layers are p itself, what it is kept on, and so on down.
func (p place) layers() iter.Seq[place] {
	return func(yield func(place) bool) {
		seen := map[Number]bool{}
		for queue := []place{p}; len(queue) > 0; {
			p, queue = queue[0], queue[1:]
			if p.file == nil && seen[p.number] {
				continue
			}
			if !yield(p) {
				return
			}
			if p.file == nil {
				seen[p.number] = true
				queue = append(queue, p.number.below()...)
			}
		}
	}
}

// below is what a block device is kept on.
func (n Number) below() []place {
	var all []place
	if s, ok := n.shown(); ok {
		all = append(all, s.on)
	}
	slaves, _ := filepath.Glob(n.sysfs("slaves/*/dev"))
	for _, file := range slaves {
		if number, ok := ParseNumber(readLine(file)); ok {
			all = append(all, place{number: number})
		}
	}
	return all
}
