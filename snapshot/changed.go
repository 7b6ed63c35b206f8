package snapshot

import (
	"cmp"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/lvm"
)

// Changed is the device that a plan overwrites: the origin of a merge, or the target of a delta. Before anything is
// overwritten, its snapshots get what they are going to show no longer otherwise, and what an array keeps on record
// of its copies is marked.
type Changed struct {
	Origin   *Origin
	Siblings []*Sibling // snapshots of it that have to be seen to first
	IsUndo   bool       // an undo log is merged into it
	// Seen says that all its snapshots are known: it is a logical volume.
	Seen bool

	into *device.Writable // nil in a dry run
	of   *Session

	change   string   // what overwrites it, in words
	notBegun string   // what is to be known after an interruption before that
	lost     []string // snapshots that are given up
	dryRun   bool
	isOwn    func(lvm.Snapshot) bool // is what is merged, and not a sibling
	// stretches calls overwritten with the stretches that are going to be.
	stretches func(overwritten func(start, end format.Bytes)) error
}

// open opens the device to be written; in a dry run to be read, if it could be written.
func (d *Changed) open() (err error) {
	name := d.Origin.Name
	if d.dryRun {
		if err := name.checkWritable(); err != nil {
			return err
		}
		d.Origin.Device, err = d.of.open(name)
	} else if d.into, err = name.openToWrite(); err == nil {
		d.Origin.Device = &d.into.Device
	}
	return err
}

// Close closes the device and its snapshots.
func (d *Changed) Close() {
	for _, o := range d.Siblings {
		o.Close()
	}
	if d.Origin.Device != nil {
		d.Origin.Close()
	}
}

// Size is the size of the device, in whole sectors.
func (d *Changed) Size() format.Bytes {
	return format.Bytes(d.Origin.Device.Size()) / format.SectorSize * format.SectorSize
}

// shownBy is the size of a snapshot of the device: its own may be smaller.
func (d *Changed) shownBy(c *COW) format.Bytes {
	return min(cmp.Or(c.ownSize(), d.Size()), d.Size())
}

// judge checks a snapshot of the origin. The error is the refusal of a check that came to nothing,
// or lacks something.
func (d *Changed) judge(c *COW) (check.Report, error) {
	r, err := d.of.checkAll(c, check.Options{Device: c.Device, Origin: d.shownBy(c), Content: d.Origin.Device})
	return r, failed(c.Text, Unreadable, err, nothingWritten)
}
