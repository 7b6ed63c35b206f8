package device

import (
	"slices"

	"dmcow/internal/inuse"
)

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
func (d *Device) Overlaps(other *Device) bool { return d.uses().Overlaps(other.uses()) }

// IsOn reports whether the device is kept on the other, by whatever layers, as an md array is
// on its members.
func (d *Device) IsOn(other *Device) bool { return d.uses().IsOn(other.uses()) }

// uses is what the device has of which files and block devices.
func (d *Device) uses() inuse.Set {
	s := inuse.Set{Joined: d.joined, Holds: d.holds}
	for m := range d.media() {
		if m.gone == nil {
			s.Media = append(s.Media, inuse.Part{File: m.file, On: m.is, Spans: d.partsOn(m)})
		}
	}
	for _, p := range d.pieces {
		if !slices.ContainsFunc(p.media, func(m *medium) bool { return m.gone != nil }) { // else it is nowhere
			s.Pieces = append(s.Pieces, p.Piece)
		}
	}
	return s
}
