package snapshot

import (
	"errors"
	"strings"

	"dmcow/internal/device"
	"dmcow/lvm"
	"dmcow/store"
)

// What is read must not be written meanwhile: it would be of several moments, and nobody could
// tell. So whoever may write it stops who reads, unless that is allowed; others are kept from
// beginning to, where the kernel can do that; and at the end it is looked at once more.

// checkUnused refuses a device that somebody has, who may write to it.
func checkUnused(name string, by []string) error {
	if len(by) == 0 {
		return nil
	}
	return refusef(name, Unable, "in use by %s, who may write to it while it is read. "+
		"If a snapshot is active, read its own device, or deactivate it first", strings.Join(by, ", ")).with(AllowLive)
}

// claimToRead keeps others from writing to a device that is read, and refuses one that somebody may
// write to already.
func claimToRead(d *device.Device) error {
	if err := checkUnused(d.Path(), d.Writers()); err != nil {
		return err
	}
	return claimAlone(d.Path(), d)
}

func claimAlone(name string, d *device.Device) error {
	if _, err := d.Claim(); err != nil {
		return refuse(name, Unable, err, AllowLive)
	}
	return nil
}

// claim keeps others from writing to what is read, and refuses what somebody may write to already.
func (n *Snapshot) claim(how access) error {
	if err := checkUnused(n.Origin.Text, n.Origin.Device.Writers()); err != nil {
		return err
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
		release, err := device.NewGuard(lvm.MapName(v.Group.Name, v.Logical.Name, layer))
		if err == nil {
			n.claims = append(n.claims, release)
			return nil
		}
		if !errors.Is(err, device.ErrNoMapper) {
			return refuse(name.Text, Unable, err)
		}
		reads = true
	}
	if !reads {
		return nil
	}
	return claimAlone(name.Text, d)
}

// CheckQuiet refuses a snapshot that came into use while it was read: what was read of it may be of
// several moments.
func (n *Snapshot) CheckQuiet() error {
	if n.out == nil && n.COW.Identity.State == store.Valid {
		if err := checkStillUnused(n.COW.Text, n.COW.Device.NewHolders()); err != nil {
			return err
		}
	}
	return checkQuiet(n.Origin.Device)
}

// checkQuiet refuses devices that came into use while they were read.
func checkQuiet(all ...*device.Device) error {
	for _, d := range all {
		if err := checkStillUnused(d.Path(), d.NewWriters()); err != nil {
			return err
		}
	}
	return nil
}

func checkStillUnused(name string, by []string) error {
	if len(by) == 0 {
		return nil
	}
	return refusef(name, Unable, "came into use by %s while it was read", strings.Join(by, ", "))
}

// live reports whether somebody may be writing to what is read.
func (n *Snapshot) live() bool { return len(n.COW.Holders) > 0 || len(n.Origin.Device.Writers()) > 0 }
