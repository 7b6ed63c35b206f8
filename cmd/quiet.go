package cmd

import (
	"errors"
	"fmt"
	"strings"

	"dmcow/internal/device"
	"dmcow/lvm"
	"dmcow/store"
)

// What is read must not be written meanwhile: it would be of several moments, and nobody could
// tell. So whoever may write it stops a command that reads, unless the user says --live; others are
// kept from beginning to, where the kernel can do that; and at the end it is looked at once more.

// inUse refuses a device that somebody has, who may write to it.
func inUse(path string, by []string) error {
	return &failure{path, statusFailed, fmt.Errorf("in use by %s, who may write to it while it is read. "+
		"If a snapshot is active, read its own device, or deactivate it first; --live reads it all the same", strings.Join(by, ", "))}
}

// claim keeps others from writing to what is read, and refuses what somebody may write to
// already.
func (s *snapshot) claim(origin named, to access) error {
	if by := s.origin.Writers(); len(by) > 0 {
		return inUse(origin.path, by)
	}
	if err := s.claimDevice(s.cow.named, s.cow.device, to == toRead); err != nil {
		return err
	}
	return s.claimDevice(origin, s.origin, true)
}

// claimDevice keeps others from one device. LVM is kept from activating a volume; to have the
// physical volumes for oneself would keep it from others on them, too. What is open for writing
// nobody else has.
func (s *snapshot) claimDevice(n named, d *device.Device, reads bool) error {
	v := n.volume
	if v != nil && v.Group != nil && v.OnBlocks() {
		layer := ""
		if v.Snapshot != nil {
			layer = "cow"
		}
		release, err := device.NewGuard(lvm.MapName(v.Group.Name, v.Logical.Name, layer))
		if err == nil {
			s.claims = append(s.claims, release)
			return nil
		}
		if !errors.Is(err, device.ErrNoMapper) {
			return &failure{n.path, statusFailed, err}
		}
		reads = true
	}
	if !reads {
		return nil
	}
	if _, err := d.Claim(); err != nil {
		return &failure{n.path, statusFailed, fmt.Errorf("%w; --live reads it all the same", err)}
	}
	return nil
}

// quiet refuses a snapshot that came into use while it was read: what was read of it may
// be of several moments.
func (s *snapshot) quiet() error {
	if by := s.cow.device.NewHolders(); s.out == nil && len(by) > 0 && s.id.State == store.Valid {
		return &failure{s.path, statusFailed, fmt.Errorf("came into use by %s while it was read", strings.Join(by, ", "))}
	}
	return quietDevice(s.origin)
}

// quietDevice refuses a device that came into use while it was read.
func quietDevice(d *device.Device) error {
	if by := d.NewWriters(); len(by) > 0 {
		return &failure{d.Path(), statusFailed, fmt.Errorf("came into use by %s while it was read", strings.Join(by, ", "))}
	}
	return nil
}

// claimPath keeps others from writing to a device that is read, and refuses one that somebody
// may write to already.
func claimPath(d *device.Device) error {
	if by := d.Writers(); len(by) > 0 {
		return inUse(d.Path(), by)
	}
	if _, err := d.Claim(); err != nil {
		return &failure{d.Path(), statusFailed, fmt.Errorf("%w; --live reads it all the same", err)}
	}
	return nil
}

// live reports whether somebody may be writing to what is read.
func (s *snapshot) live() bool { return len(s.holders) > 0 || len(s.origin.Writers()) > 0 }
