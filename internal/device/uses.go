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

func (d *Device) uses() inuse.Set {
	s := inuse.Set{Joined: d.joined, Holds: d.holds}
	for m := range d.media() {
		if m.gone == nil {
			s.Media = append(s.Media, inuse.Medium{File: m.file, On: m.is, Spans: d.partsOn(m)})
		}
	}
	for _, p := range d.pieces {
		if !slices.ContainsFunc(p.media, func(m *medium) bool { return m.gone != nil }) { // else it is nowhere
			s.Pieces = append(s.Pieces, p.Piece)
		}
	}
	return s
}

// partsOn are the stretches of a medium that are the device's, nil for all of it.
func (d *Device) partsOn(m *medium) (all []inuse.Span) {
	if !d.joined {
		return nil
	}
	for _, p := range d.pieces {
		for i, s := range p.Stripes {
			if p.media[i] == m {
				all = append(all, inuse.Span{Start: s.Start, End: s.Start + p.Share(p.Length, i)})
			}
		}
	}
	return all
}

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

// ActiveHolders and ActiveWriters are Holders and Writers, for who looks whether what was read may have
// changed meanwhile: without the devices of device-mapper that nobody has open and through which
// nothing was written. LVM makes such a one, and takes it away again, when it fails to activate a
// volume that is guarded ([inuse.Guard]).
func (d *Device) ActiveHolders() []string { return d.uses().Holders(false) }
func (d *Device) ActiveWriters() []string { return d.uses().Writers(false) }
