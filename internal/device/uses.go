package device

import (
	"iter"
	"os"
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
	spans := map[*os.File][]inuse.Span{}
	for p := range d.lowest() {
		s.Pieces = append(s.Pieces, p.kept()...)
		for m, on := range p.all() {
			if m.file != nil {
				spans[m.file] = append(spans[m.file], on)
			}
		}
	}
	for m := range d.files() {
		on := inuse.Medium{File: m.file, On: m.is}
		if d.joined { // else it is all of it
			on.Spans = spans[m.file]
		}
		s.Media = append(s.Media, on)
	}
	return s
}

// lowest are the stretches that the device is joined from, and where some is computed, those of what that is
// computed from.
func (d *Device) lowest() iter.Seq[*stretch] {
	return func(yield func(*stretch) bool) { d.eachLowest(map[*medium]bool{}, yield) }
}

func (d *Device) eachLowest(seen map[*medium]bool, yield func(*stretch) bool) bool {
	for i := range d.pieces {
		p := &d.pieces[i]
		if !yield(p) {
			return false
		}
		for m := range p.all() {
			if m.content == nil || seen[m] {
				continue
			}
			seen[m] = true
			for _, of := range m.of {
				if !of.eachLowest(seen, yield) {
					return false
				}
			}
		}
	}
	return true
}

// kept are the stretch as one that is kept on files and block devices, one for each copy; without what
// is nowhere.
func (p *stretch) kept() (all []inuse.Piece) {
	whole := func(m *medium) bool { return m.file != nil }
	if !slices.ContainsFunc(p.media, func(m *medium) bool { return !whole(m) }) {
		all = append(all, p.Piece)
	}
	for i, copies := range p.copies {
		for _, c := range copies {
			if whole(c.medium) {
				length := p.Share(p.Length, i)
				all = append(all, inuse.Piece{Start: p.Start, Length: length, Chunk: length, Stripes: []inuse.Stripe{{On: c.is, Start: c.start}}})
			}
		}
	}
	return all
}

// files are the files and block devices that the device is on, each once, also those below what is computed.
func (d *Device) files() iter.Seq[*medium] {
	return func(yield func(*medium) bool) {
		seen := map[*os.File]bool{nil: true}
		take := func(m *medium) bool {
			if seen[m.file] {
				return true
			}
			seen[m.file] = true
			return yield(m)
		}
		for m := range d.media() {
			if !take(m) {
				return
			}
		}
		for p := range d.lowest() {
			for m := range p.all() {
				if !take(m) {
					return
				}
			}
		}
	}
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

// HoldersAmong is Holders for who asks of many devices, and looked at what shows others' bytes before the first.
func (d *Device) HoldersAmong(all *inuse.Showing) []string { return d.uses().HoldersAmong(all, true) }

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
