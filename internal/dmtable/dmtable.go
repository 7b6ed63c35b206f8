// Package dmtable makes of a store's usage the device-mapper tables that load it, and the script that does.
package dmtable

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dmcow/dump"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/snapshot"
)

// Tables are the tables that load a store and that merge it, each under a comment that says what it does. dmsetup
// reads comments too. The error says why there are none.
func Tables(u *snapshot.Used) (string, error) {
	origin := cmp.Or(u.Origin.Name, "ORIGIN")
	if strings.ContainsAny(origin+u.COW.Device.TableName(), " \t\n\\") {
		return "", errors.New("a table cannot name a file with blanks")
	}
	return volumeTables(u) + dump.Tables(dump.Table{
		Device: words.Printable(u.COW.Text), Origin: origin, COW: u.COW.Device.TableName(), Hint: hint(u, origin),
		Snapshot: u.Origin.Sectors, Whole: u.Origin.Whole, Chunk: u.Survey.Usage.Geometry.ChunkSectors(),
	}), nil
}

// volumeTables are the tables of the volumes that a snapshot of LVM is made of.
func volumeTables(u *snapshot.Used) string {
	v := u.COW.Volume
	if v == nil || v.Snapshot == nil {
		return ""
	}
	loop := ""
	if !v.OnBlocks() {
		loop = " (put loop devices in place of image files)"
	}
	var b strings.Builder
	for _, l := range []*lvm.Logical{v.Snapshot.COW, v.Snapshot.Origin} {
		fmt.Fprintf(&b, "# %s, for dmsetup create, --readonly unless it is to be merged%s\n%s", v.InGroup(l), loop, v.Table(l))
	}
	return b.String()
}

// hint says what a table lacks before the kernel takes it.
func hint(u *snapshot.Used, origin string) string {
	switch {
	case u.COW.Volume != nil && u.COW.Volume.Snapshot != nil:
		return fmt.Sprintf(" (put devices of the tables above in place of %s and %s)", origin, u.COW.Text)
	case u.Origin.Name == "":
		return " (put the origin in place of ORIGIN)"
	case !u.COW.Device.IsBlock():
		return " (put loop devices in place of image files)"
	}
	return ""
}

// script is a script on its way.
type script struct {
	dump.Script
	err error
}

// Script is the script that loads a store, read-only. The error says why there is none.
func Script(u *snapshot.Used) (string, error) {
	s := &script{Script: dump.Script{
		Device: words.Printable(u.COW.Text), Name: mappedName(u.COW.Text),
		Snapshot: u.Origin.Sectors, Chunk: u.Survey.Usage.Geometry.ChunkSectors(),
	}}
	switch v := u.COW.Volume; {
	case v == nil:
		s.COW = s.name(u.COW.Device)
	case v.Active != nil:
		return "", errors.New("it is active: the kernel shows it already")
	default:
		s.COW = s.volume("cow", u, v.Snapshot.COW)
	}
	switch v := u.COW.Volume; {
	case u.Origin.Device != nil:
		s.Origin = s.name(u.Origin.Device)
	case v == nil:
		return "", errors.New("the origin is not known")
	default:
		s.Origin = s.volume("origin", u, v.Snapshot.Origin)
	}
	return s.String(), s.err
}

// volume has a volume of LVM be made, and is its name.
func (s *script) volume(suffix string, u *snapshot.Used, l *lvm.Logical) string {
	table, err := u.COW.Volume.TableOn(l, s.name)
	s.err = errors.Join(s.err, err)
	s.Volumes = append(s.Volumes, dump.ScriptVolume{Suffix: suffix, Table: table})
	return "/dev/mapper/$name-" + suffix
}

// name is how a table names a device: by its path, or by the loop device of an image.
func (s *script) name(d *device.Device) string {
	path, err := filepath.Abs(d.Path())
	s.err = errors.Join(s.err, err)
	if d.IsBlock() {
		if strings.ContainsAny(path, " \t\n\\\"$`") {
			s.err = errors.Join(s.err, errors.New("a table cannot name a device with blanks"))
		}
		return path
	}
	at := slices.Index(s.Files, path)
	if at < 0 {
		at = len(s.Files)
		s.Files = append(s.Files, path)
	}
	return fmt.Sprintf("$loop%d", at+1)
}

// mappedName is a name for the device of a snapshot.
func mappedName(of string) string {
	if !snapshot.IsVolume(of) {
		of = filepath.Base(of)
	}
	return "dmcow-" + strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, of)
}
