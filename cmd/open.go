package cmd

import (
	"fmt"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

// section names a COW store inside a larger image.
type section struct {
	Offset size  `placeholder:"SIZE" help:"The store begins at this offset of the device or image."`
	Size   *size `placeholder:"SIZE" help:"The store is this large, not all that follows the offset."`
}

func (s section) given() bool { return s.Offset != 0 || s.Size != nil }

// cow is a COW device that was opened, and what its start says.
type cow struct {
	*device.Device
	store.Identity
}

// openCOW opens a COW device and identifies it. chunk is the chunk size of the
// store that the kernel would make of a blank device, 0 for the default. What is
// wrong is told; ok is false when there is nothing to read.
func (a *app) openCOW(path string, s section, chunk chunkSize) (c cow, ok bool) {
	d, err := device.Open(path)
	if err != nil {
		a.say(path, "%v", err)
		a.found(unreadable)
		return cow{}, false
	}
	c, ok = a.identify(d, s, chunk)
	if !ok {
		d.Close()
	}
	return c, ok
}

func (a *app) identify(d *device.Device, s section, chunk chunkSize) (c cow, ok bool) {
	if a.misdirected(d) {
		return cow{}, false
	}
	block := format.Bytes(d.LogicalBlockSize())
	if chunk == 0 {
		chunk = max(format.DefaultChunkSectors, chunkSize(block.Sectors()))
	}
	length := int64(-1)
	if s.Size != nil {
		length = int64(*s.Size)
	}
	part, err := d.Section(int64(s.Offset), length)
	if err == nil {
		err = format.CheckChunkSectors(uint32(chunk), block)
	}
	if err != nil {
		a.say(d.Path(), "%v", err)
		a.exit(statusWrongUse)
		return cow{}, false
	}
	id, err := store.Identify(part, uint32(chunk))
	if err != nil {
		a.say(d.Path(), "%v", err)
		a.found(unreadable)
		return cow{}, false
	}
	return cow{part, id}, true
}

// misdirected refuses a device that is not the store of a snapshot but the snapshot
// itself, or its origin. What those hold is not looked at: it may be anything.
func (a *app) misdirected(d *device.Device) bool {
	if holders := d.Holders(); len(holders) > 0 {
		a.verbose(d.Path(), "in use by %s: figures may move", strings.Join(holders, ", "))
	}
	a.verbose(d.Path(), "%d bytes, logical blocks of %d bytes, %s", d.Size(), d.LogicalBlockSize(), how(d))
	t, ok := d.Target()
	if !ok {
		return false
	}
	switch {
	case t.Type == "snapshot" && len(t.Args) > 1:
		a.say(d.Path(), "is the snapshot's view, not its store: the COW device is %s", deviceName(t.Args[1]))
	case t.Type == "snapshot-merge" && len(t.Args) > 1:
		a.say(d.Path(), "is an origin that a snapshot is being merged into: the snapshot's COW device is %s", deviceName(t.Args[1]))
	case t.Type == "snapshot-origin":
		a.say(d.Path(), "is the origin of snapshots, not the store of one: the COW device of an LVM snapshot is its -cow device in /dev/mapper")
	default:
		return false
	}
	a.exit(statusFailed)
	return true
}

func how(d *device.Device) string {
	if d.Direct() {
		return "read with O_DIRECT"
	}
	return "read through the page cache"
}

// deviceName is the path of a device that a device-mapper table names by its
// number.
func deviceName(number string) string {
	var n device.Number
	if _, err := fmt.Sscanf(number, "%d:%d", &n.Major, &n.Minor); err != nil {
		return number
	}
	return n.Name()
}
