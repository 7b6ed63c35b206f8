package dump

import (
	"fmt"
	"strings"

	"dmcow/format"
)

// Table is what the tables of device-mapper for a snapshot say.
type Table struct {
	Device          string // as people name it
	Origin, COW     string // as the tables name them
	Hint            string // what they lack before the kernel takes them
	Snapshot, Whole format.Sectors
	Chunk           format.Sectors
}

// Tables are the tables that load a snapshot and that merge it, each under a comment that says what
// it does. dmsetup reads comments too.
func Tables(t Table) string {
	var b strings.Builder
	for _, x := range []struct {
		comment, target, kind string
		sectors               format.Sectors
	}{
		{"the snapshot, for dmsetup create --readonly", "snapshot", "P", t.Snapshot},
		{"the same; were it writable, a write to it that finds no room would fail and not drop it", "snapshot", "PO", t.Snapshot},
		{"the origin while the snapshot is merged into it", "snapshot-merge", "P", t.Whole},
	} {
		fmt.Fprintf(&b, "# %s: %s%s\n0 %d %s %s %s %s %d\n", t.Device, x.comment, t.Hint, x.sectors, x.target, t.Origin, t.COW, x.kind, t.Chunk)
	}
	return b.String()
}
