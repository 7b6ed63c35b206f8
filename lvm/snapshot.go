package lvm

import (
	"fmt"
	"slices"
	"strings"
)

// Snapshot is a snapshot of the old kind: a COW store beside its origin.
type Snapshot struct {
	COW, Origin *Logical
	// Size is the snapshot's own, in bytes. It is smaller than the origin's where that was extended
	// when the snapshot was there already.
	Size      int64
	ChunkSize uint64 // in sectors, as LVM has it on record
	Merging   bool   // LVM has begun to merge it into its origin
}

// snapshots are those of a group, found out once: there may be very many, of each of which others ask.
type snapshots struct {
	all    []Snapshot
	of     map[*Logical][]Snapshot // by origin
	byName map[string]Snapshot     // by the COW store's
}

// ties finds the volumes that tie snapshots to origins, and wants them to be such as LVM makes them
// (_snap_text_import, vg_add_snapshot): with one segment each, no two for one COW store, and no
// origin that is a COW store itself.
func (p *parser) ties(g *Group) error {
	ties := map[string]*Logical{} // by the name of the COW store
	known := snapshots{of: map[*Logical][]Snapshot{}, byName: map[string]Snapshot{}}
	for _, v := range g.Logical {
		for _, s := range v.Segments {
			if s.Type != "snapshot" {
				continue
			}
			switch other := ties[s.COW]; {
			case len(v.Segments) > 1:
				return p.fails("snapshot %s: %d segments, expected one", v.Name, len(v.Segments))
			case g.logical[s.Origin] == nil || g.logical[s.COW] == nil:
				return p.fails("snapshot %s: origin %q or COW store %q is missing", v.Name, s.Origin, s.COW)
			case s.ChunkSize == 0:
				return p.fails("snapshot %s: expected a chunk_size", v.Name)
			case s.Origin == s.COW:
				return p.fails("snapshot %s: %q is both its origin and its COW store", v.Name, s.COW)
			case other != nil:
				return p.fails("snapshot %s: its COW store %q also belongs to %s", v.Name, s.COW, other.Name)
			}
			ties[s.COW] = v
			known.add(Snapshot{g.Find(s.COW), g.Find(s.Origin), g.Size(v), s.ChunkSize, s.Merging})
		}
	}
	for _, s := range known.all {
		if other := ties[s.Origin.Name]; other != nil {
			return p.fails("snapshot %s: its origin %q is the COW store of %s", ties[s.COW.Name].Name, s.Origin.Name, other.Name)
		}
	}
	g.snapshots = known
	return nil
}

func (k *snapshots) add(s Snapshot) {
	k.all = append(k.all, s)
	k.of[s.Origin] = append(k.of[s.Origin], s)
	k.byName[s.COW.Name] = s
}

// Snapshots are those of the group, in the order of the metadata.
func (g *Group) Snapshots() []Snapshot { return slices.Clone(g.snapshots.all) }

// Snapshot is the snapshot of a name. The error, a [*NoSnapshotError] or a [*NoVolumeError], says what else has that name.
func (g *Group) Snapshot(name string) (Snapshot, error) {
	if s, ok := g.snapshots.byName[name]; ok {
		return s, nil
	}
	v := g.Find(name)
	if v == nil {
		return Snapshot{}, &NoVolumeError{Group: g, Name: name}
	}
	return Snapshot{}, &NoSnapshotError{g, v}
}

// Of are the snapshots of an origin.
func (g *Group) Of(origin *Logical) []Snapshot { return slices.Clone(g.snapshots.of[origin]) }

// NoSnapshotError says that a volume is not a snapshot, but something else.
type NoSnapshotError struct {
	Group  *Group
	Volume *Logical
}

func (e *NoSnapshotError) Error() string { return "not a snapshot, but " + e.Group.describe(e.Volume) }

// describe says what a logical volume is, if not a snapshot.
func (g *Group) describe(v *Logical) string {
	var names []string
	for _, s := range g.snapshots.of[v] {
		names = append(names, g.Name+"/"+s.COW.Name)
	}
	s := v.Segments[0]
	switch {
	case len(names) > 0:
		return "the origin of " + strings.Join(names, ", ")
	case s.Type == "thin" && s.Origin != "":
		return "a thin snapshot, which has no COW store"
	case s.Type == "snapshot":
		return fmt.Sprintf("LVM's internal name for %s", g.Name+"/"+s.COW)
	}
	return "a volume of type " + v.kind()
}

// NoVolumeError says that a group has no logical volume of a name.
type NoVolumeError struct {
	Group *Group
	Name  string
	Any   bool // any volume would do, and not only a snapshot
}

func (e *NoVolumeError) Error() string {
	text := fmt.Sprintf("no %s in volume group %s", e.Name, e.Group.Name)
	snapshots, origins, others := e.Group.names()
	if len(snapshots) > 0 {
		text += "; its snapshots: " + strings.Join(snapshots, ", ") + "; their origins: " + strings.Join(origins, ", ")
	}
	switch {
	case e.Any && len(others) > 0:
		what := "; its volumes: "
		if len(snapshots) > 0 {
			what = "; its other volumes: "
		}
		return text + what + strings.Join(others, ", ")
	case len(snapshots) == 0:
		return text + ", which has no snapshots"
	}
	return text
}

// names are those of the snapshots, of their origins, and of other volumes that are not a part of one.
func (g *Group) names() (snapshots, origins, others []string) {
	seen := map[*Logical]bool{}
	for _, s := range g.snapshots.all {
		snapshots, seen[s.COW] = append(snapshots, s.COW.Name), true
		if !seen[s.Origin] {
			origins, seen[s.Origin] = append(origins, s.Origin.Name), true
		}
	}
	for _, v := range g.Logical {
		if v.Visible && !seen[v] && v.Segments[0].Type != "snapshot" { // which is a name alone
			others = append(others, v.Name)
		}
	}
	return snapshots, origins, others
}
