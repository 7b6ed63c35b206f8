package snapshot

import (
	"errors"
	"fmt"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/lvm"
	"dmcow/store/look"
)

// What is read must not be written meanwhile: it would be of several moments, and nobody could
// tell. So whoever may write it stops who reads, unless that is allowed; others are kept from
// beginning to, where the kernel can do that; and at the end it is looked at once more.

// inUse refuses a device that somebody has, who may write to it.
func inUse(name string, by []string) error {
	return refuse(name, Unable, fmt.Errorf("in use by %s, who may write to it while it is read. "+
		"If a snapshot is active, read its own device, or deactivate it first", strings.Join(by, ", ")), AllowLive)
}

// claim keeps others from writing to what is read, and refuses what somebody may write to already.
func (n *Snapshot) claim(how access) error {
	if by := n.Origin.Device.Writers(); len(by) > 0 {
		return inUse(n.Origin.Text, by)
	}
	if err := n.claimDevice(n.COW.Name, n.COW.Device, how == toRead); err != nil {
		return err
	}
	return n.claimDevice(n.Origin.Name, n.Origin.Device, true)
}

// claimDevice keeps others from one device. LVM is kept from activating a volume; to have the
// physical volumes for oneself would keep it from others on them, too. What is open for writing
// nobody else has.
func (n *Snapshot) claimDevice(name Name, d *device.Device, reads bool) error {
	if v := name.Volume; v != nil && v.Group != nil && v.OnBlocks() {
		layer := ""
		if v.Snapshot != nil {
			layer = "cow"
		}
		release, err := inuse.Guard(lvm.MapName(v.Group.Name, v.Logical.Name, layer))
		if err == nil {
			n.claims = append(n.claims, release)
			return nil
		}
		if !errors.Is(err, inuse.ErrNoMapper) {
			return refuse(name.Text, Unable, err)
		}
		reads = true
	}
	if !reads {
		return nil
	}
	if _, err := d.Claim(); err != nil {
		return refuse(name.Text, Unable, err, AllowLive)
	}
	return nil
}

// CheckQuiet refuses a snapshot that came into use while it was read: what was read of it may be of
// several moments.
func (n *Snapshot) CheckQuiet() error {
	if by := n.COW.Device.NewHolders(); n.out == nil && len(by) > 0 && n.COW.Identity.State == look.Valid {
		return cameIntoUse(n.COW.Text, by)
	}
	return checkQuiet(n.Origin.Device)
}

func cameIntoUse(name string, by []string) error {
	return refusef(name, Unable, "came into use by %s while it was read", strings.Join(by, ", "))
}

// checkQuiet refuses a device that came into use while it was read.
func checkQuiet(d *device.Device) error {
	if by := d.NewWriters(); len(by) > 0 {
		return cameIntoUse(d.Path(), by)
	}
	return nil
}

// claimToRead keeps others from writing to a device that is read, and refuses one that somebody may
// write to already.
func claimToRead(d *device.Device) error {
	if by := d.Writers(); len(by) > 0 {
		return inUse(d.Path(), by)
	}
	if _, err := d.Claim(); err != nil {
		return refuse(d.Path(), Unable, err, AllowLive)
	}
	return nil
}

// live reports whether somebody may be writing to what is read.
func (n *Snapshot) live() bool { return len(n.COW.Holders) > 0 || len(n.Origin.Device.Writers()) > 0 }
