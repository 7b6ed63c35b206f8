package cmd

import (
	"cmp"
	"fmt"
	"strings"

	"dmcow/dump"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// tables writes device-mapper tables for the stores that are fit to be loaded,
// each under a comment that says what it does. dmsetup reads comments too.
func (a *app) tables(all []*snapshot.Used) error {
	var b strings.Builder
	for _, u := range all {
		origin := cmp.Or(u.Origin.Name, "ORIGIN")
		why := u.Unfit()
		switch {
		case u.Survey.State() != look.Valid:
			why = describe(u.Survey)
		case why == "" && strings.ContainsAny(origin+u.COW.Device.TableName(), " \t\n\\"):
			why = "a table cannot name a file with blanks"
		}
		if why != "" {
			a.say(u.COW.Text, "no table: %s", why)
			continue
		}
		writeVolumeTables(&b, u)
		b.WriteString(dump.Tables(dump.Table{
			Device: words.Printable(u.COW.Text), Origin: origin, COW: u.COW.Device.TableName(), Hint: hint(u, origin),
			Snapshot: u.Origin.Sectors, Whole: u.Origin.Whole, Chunk: u.Survey.Usage.Geometry.ChunkSectors(),
		}))
	}
	return a.print("%s", b.String())
}

// writeVolumeTables writes the tables of the volumes that a snapshot of LVM is made of.
func writeVolumeTables(b *strings.Builder, u *snapshot.Used) {
	v := u.COW.Volume
	if v == nil || v.Snapshot == nil {
		return
	}
	loop := ""
	if !v.OnBlocks() {
		loop = " (put loop devices in place of image files)"
	}
	for _, l := range []*lvm.Logical{v.Snapshot.COW, v.Snapshot.Origin} {
		fmt.Fprintf(b, "# %s, for dmsetup create, --readonly unless it is to be merged%s\n%s", v.InGroup(l), loop, v.Table(l))
	}
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
