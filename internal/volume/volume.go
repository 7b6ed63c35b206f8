package volume

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/marks"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// Volume is a logical volume.
type Volume struct {
	Name         string // VG/LV, as it was asked for
	SnapshotSize int64  // of a snapshot, its own, in bytes; 0 where it is none, or that is not known
	OriginSize   int64  // of a snapshot's origin, in bytes, which may be larger; 0 as above
	ChunkSectors uint64 // of a snapshot, as LVM has it on record; 0 as above
	Created      uint64 // of a snapshot, when, in seconds since 1970; 0 as above
	Merging      bool   // a snapshot that is being merged into its origin
	Gone         error  // once it was opened: what of it is not there, and why; nil where all is

	// Of a snapshot that is active here: its COW device, and the number of its origin. Then
	// the rest is not known.
	Active       *inuse.Mapping
	OriginNumber string

	Group    *lvm.Group
	Logical  *lvm.Logical
	Snapshot *lvm.Snapshot // where it is one
	sight    *Sight
	marks    marks.Marks
	on       []*lvm.Physical // what it is on, once that was asked for
}

// ActiveSnapshot is a snapshot whose COW device is mapped on this machine, nil where there
// is none.
func ActiveSnapshot(name, group, logical string) *Volume {
	all := inuse.Mappings()
	for i, m := range all {
		vg, lv, layer, ok := lvm.MappedName(m.Name)
		if !ok || lv != logical || layer != "cow" || !lvm.Mapped(m.UUID) || vg != group && !lvm.MappedBy(m.UUID, group) {
			continue
		}
		v := &Volume{Name: name, Active: &all[i]}
		v.findOrigin(all)
		return v
	}
	return nil
}

// findOrigin finds the device that shows an active snapshot, for its size, and the origin: its size,
// its number, and whether the snapshot is being merged into it. Then the device is the origin's,
// and may be larger than the snapshot was.
func (v *Volume) findOrigin(all []inuse.Mapping) {
	for _, m := range all {
		t, ok := m.Target()
		if !ok || len(t.Args) < 2 || t.Args[1] != v.Active.Number.String() || t.Type != "snapshot" && t.Type != "snapshot-merge" {
			continue
		}
		if n, ok := inuse.ParseNumber(t.Args[0]); ok {
			v.SnapshotSize, v.OriginSize, v.OriginNumber, v.Merging = m.Number.Size(), n.Size(), n.String(), t.Type == "snapshot-merge"
		}
	}
}

// Volume is a volume of a group that is seen.
func (s *Sight) Volume(name string, g *lvm.Group, l *lvm.Logical) *Volume {
	v := &Volume{Name: name, sight: s, Group: g, Logical: l}
	if snapshot, err := g.Snapshot(l.Name); err == nil {
		v.Snapshot, v.SnapshotSize, v.OriginSize = &snapshot, snapshot.Size, g.Size(snapshot.Origin)
		v.ChunkSectors, v.Merging, v.Created = snapshot.ChunkSize, snapshot.Merging, snapshot.COW.Created
	}
	return v
}

// Apart reports whether it is known that two volumes have nothing in common, by the metadata of the group that they
// both are of. Where they are on what is computed, none can say so by where they lie.
func (v *Volume) Apart(other *Volume) bool {
	return v != nil && other != nil && v.Group != nil && v.Group == other.Group && v.Group.Apart(v.Logical, other.Logical)
}

// Beside is another volume of the group.
func (v *Volume) Beside(l *lvm.Logical) *Volume { return v.sight.Volume(v.InGroup(l), v.Group, l) }

// InGroup is the name of another volume of the group.
func (v *Volume) InGroup(l *lvm.Logical) string {
	group, _, _ := strings.Cut(v.Name, "/")
	return group + "/" + l.Name
}

// RefuseWriting is the error of a volume that is not to be written to because of what its
// metadata says, or because some of it is not there.
func (v *Volume) RefuseWriting() error {
	if v.Group == nil {
		return nil
	}
	for _, refused := range []func() error{v.unreliable, v.forbidden, v.foreign, v.claimed} {
		if err := refused(); err != nil {
			return fmt.Errorf("refused: %w", err)
		}
	}
	_, err := v.parts((*disk).reading, toWrite, func(from, to uint64, missing error) error {
		return fmt.Errorf("%w; extents %d to %d of the volume are on it", missing, from, to)
	})
	return err
}

// unreliable says why the metadata cannot be relied on; it is nil where it can.
func (v *Volume) unreliable() error {
	for _, p := range v.Group.Physical {
		if len(v.sight.Faults) > 0 && len(v.sight.Groups.Found(p.UUID)) == 0 {
			// It may be its own label that is damaged, and newer metadata may be there.
			return fmt.Errorf("physical volume %s is missing, and %w", p.UUID, v.sight.Faults[0])
		}
	}
	if damaged := v.sight.Groups.Damaged(v.Group); len(damaged) > 0 {
		return words.Hint(fmt.Errorf("the metadata of volume group %s on %v is damaged: %w", v.Group.Name, damaged[0].On, damaged[0].Err), "vgck --updatemetadata %s", v.Group.Name)
	}
	if stale := v.stale(); stale != nil {
		return words.Hint(stale, "vgextend --restoremissing %s DEVICE", v.Group.Name)
	}
	for _, f := range v.sight.on(v.Group) {
		if fixed := diskOf(f).fixed; fixed != nil && v.isOn(f.UUID) {
			return fixed
		}
		if f.ArrayMember && v.isOn(f.UUID) {
			return fmt.Errorf("%v is a member of an md array: writes to it alone are lost when the array is assembled", f)
		}
	}
	return nil
}

// forbidden says why LVM would not have the volume written; it is nil where it would.
func (v *Volume) forbidden() error {
	switch g := v.Group; {
	case g.Shared():
		return fmt.Errorf("volume group %s is shared between hosts (lock type %s)", g.Name, cmp.Or(g.LockType, "clvmd"))
	case g.ReadOnly:
		return fmt.Errorf("volume group %s is read-only", g.Name)
	case v.Snapshot == nil && v.Logical.ReadOnly:
		return words.Hint(errors.New("the volume is read-only"), "lvchange --permission rw %s/%s", g.Name, v.Logical.Name)
	}
	return nil
}

// foreign says that the group belongs to another host, which may have it in use. What is on image
// files alone, none has.
func (v *Volume) foreign() error {
	g := v.Group
	if g.SystemID == "" || g.SystemID == v.sight.options.Foreign || !v.OnBlocks() {
		return nil
	}
	h, err := v.sight.host()
	if err != nil || h.mayUse(g) {
		return err
	}
	return words.Hint(fmt.Errorf("volume group %s belongs to host %s, and %v", g.Name, g.SystemID, h), "--foreign-host %s to write anyway", words.Shell(g.SystemID))
}

// claimed says that a physical volume that the volume is on is one of another group, too: it
// was taken into that while this one's metadata was away.
func (v *Volume) claimed() error {
	for _, other := range v.sight.Groups.All {
		for _, p := range other.Physical {
			if other.UUID != v.Group.UUID && v.isOn(p.UUID) {
				return fmt.Errorf("physical volume %s is also part of volume group %s (%s)", p.UUID, other.Name, other.UUID)
			}
		}
	}
	return nil
}

// isOn reports whether the volume, or what it is made of, is on a physical volume.
func (v *Volume) isOn(uuid string) bool {
	if v.on == nil {
		v.on = v.Group.On(v.Logical)
	}
	return slices.ContainsFunc(v.on, func(p *lvm.Physical) bool { return p.UUID == uuid })
}

// NoSnapshot is the error of a volume that is not a snapshot: it says what it is.
func (v *Volume) NoSnapshot() error {
	if v.Active != nil || v.Snapshot != nil {
		return nil
	}
	_, err := v.Group.Snapshot(v.Logical.Name)
	return err
}

// IsInternal reports whether the name is one that LVM ties a snapshot to its origin by: it has no data.
func (v *Volume) IsInternal() bool {
	return slices.ContainsFunc(v.Logical.Segments, func(s *lvm.Segment) bool { return s.Type == "snapshot" })
}

// Snapshots are the names of the volume's snapshots.
func (v *Volume) Snapshots() (names []string) {
	for _, s := range v.Group.Of(v.Logical) {
		names = append(names, v.InGroup(s.COW))
	}
	return names
}

// IsWithin reports whether the volume is one that another is made of.
func (v *Volume) IsWithin(other *Volume) bool { return v.Group.Within(v.Logical, other.Logical) }

// OriginName is the name of a snapshot's origin, empty where that is not known.
func (v *Volume) OriginName() string {
	if v.Snapshot == nil {
		return ""
	}
	return v.InGroup(v.Snapshot.Origin)
}

// physical is where a physical volume was found. missing says that it was not.
func (v *Volume) physical(p *lvm.Physical) (f *lvm.Found, missing, err error) {
	all := v.sight.Groups.Found(p.UUID)
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("physical volume %s is missing (it was %s)", p.UUID, p.Device), nil
	case 1:
		return all[0], nil, misplaced(p, all[0])
	}
	return nil, nil, words.Hint(fmt.Errorf("physical volume %s exists %d times: %v and %v", p.UUID, len(all), all[0], all[1]), "name one of them with --pv")
}

// misplaced refuses a physical volume whose extents cover its label or a metadata area.
func misplaced(p *lvm.Physical, f *lvm.Found) error {
	start, end := p.Start*lvm.SectorSize, (p.Start+p.Count*p.ExtentSize)*lvm.SectorSize
	for _, a := range append([]lvm.Area{f.LabelArea()}, f.Metadata...) {
		if start < a.Offset+a.Size && a.Offset < end {
			return fmt.Errorf("physical volume %s: its extents start at byte %d and overlap LVM's own area at byte %d", p.UUID, start, a.Offset)
		}
	}
	return nil
}

// OpenMapping opens the device of a mapping for reading, if it can be read now.
func OpenMapping(m *inuse.Mapping) (*device.Device, error) {
	if m.Suspended {
		return nil, fmt.Errorf("%s is suspended: reads wait until it is resumed (dmsetup resume)", m.Path())
	}
	return device.Open(m.Path())
}

// Open opens the volume for reading. It is open until the sight is closed; one that is active is
// the caller's to close.
func (v *Volume) Open() (*device.Device, error) {
	if v.Active != nil {
		return OpenMapping(v.Active)
	}
	parts, err := v.parts((*disk).reading, toRead, func(from, to uint64, missing error) error {
		v.Gone = fmt.Errorf("%w: extents %d to %d cannot be read; the rest can", missing, from, to)
		v.sight.say(v.Name, "%v", v.Gone)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if stale := v.stale(); stale != nil {
		v.sight.say(v.Name, "%v", stale)
	}
	d, err := device.Join(v.Name, parts)
	if err != nil {
		return nil, err
	}
	d.Lock()
	v.sight.joined = append(v.sight.joined, d)
	return d, nil
}

// Shut closes a device that Open has opened, before the sight is closed, which then knows it no more: who goes through
// many volumes keeps one at a time.
func (v *Volume) Shut(d *device.Device) {
	d.Close()
	if v.sight == nil {
		return
	}
	if i := slices.Index(v.sight.joined, d); i >= 0 {
		v.sight.joined = slices.Delete(v.sight.joined, i, i+1)
	}
}

// OpenWritable opens the volume for writing, and makes sure that nobody else has any of
// it, which is a [*inuse.BusyError]. It is open until the sight is closed; one that is active is
// the caller's to close.
func (v *Volume) OpenWritable() (*device.Writable, error) {
	if v.Active != nil {
		return device.OpenWritable(v.Active.Path())
	}
	if err := v.RefuseWriting(); err != nil {
		return nil, err
	}
	parts, records, err := v.partsAndRecords((*disk).writable, toWrite, func(_, _ uint64, missing error) error { return missing })
	if err != nil {
		return nil, err
	}
	w, err := device.JoinWritable(v.Name, parts)
	if err != nil {
		return nil, err
	}
	v.sight.joined = append(v.sight.joined, &w.Device)
	if err := v.openMarks(records); err != nil {
		w.Close()
		return nil, err
	}
	if by := v.usersOnce(); len(by) > 0 {
		w.Close()
		return nil, &inuse.BusyError{By: by}
	}
	return w, nil
}

// usersOnce are the users of the volume's origin and all of its snapshots, found out once:
// there may be many, of which each would look at all others.
func (v *Volume) usersOnce() []string {
	origin := v.Logical
	if v.Snapshot != nil {
		origin = v.Snapshot.Origin
	}
	by, known := v.sight.users[origin]
	if !known {
		by = v.users(origin)
		v.sight.users[origin] = by
	}
	return by
}

// users names the devices of this machine that have any of the volume, or of what belongs
// together with it: a snapshot, its origin, and the origin's other snapshots. By their UUIDs
// those are found whose place is not known.
func (v *Volume) users(origin *lvm.Logical) (by []string) {
	related := []*lvm.Logical{v.Logical, origin}
	for _, s := range v.Group.Of(origin) {
		related = append(related, s.COW)
	}
	for _, l := range related {
		if d, err := v.Beside(l).place(); err == nil {
			by = append(by, d.Holders()...)
		} else if v.OnBlocks() {
			by = append(by, inuse.MappedAs(lvm.MappingUUID(v.Group, l))...)
		}
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// place is the volume as a device that is not for reading, but shows where the volume lies, as far
// as it is there.
func (v *Volume) place() (*device.Device, error) {
	parts, err := v.parts((*disk).reading, toPlace, func(_, _ uint64, _ error) error { return nil })
	if err != nil {
		return nil, err
	}
	return device.Join(v.Name, parts)
}

func (d *disk) reading() (*device.Device, error) { return d.Device, nil }

func (d *disk) writable() (*device.Device, error) {
	if d.fixed != nil {
		return nil, d.fixed
	}
	if d.out == nil {
		w, err := device.OpenShared(d.Path())
		if err != nil {
			return nil, fmt.Errorf("physical volume %s: %w", d.Path(), err)
		}
		d.out = w
	}
	return &d.out.Device, nil
}

// stale says that the volume is on a physical volume that was not there when the group was
// changed; it is nil where it is not.
func (v *Volume) stale() error {
	for _, p := range v.Group.Physical {
		if p.Missing && v.isOn(p.UUID) {
			return fmt.Errorf("physical volume %s may be outdated: it was missing when the volume group was changed", p.UUID)
		}
	}
	return nil
}

// OnBlocks reports whether some of the volume's group is on block devices.
func (v *Volume) OnBlocks() bool { return v.sight.OnBlocks(v.Group) }
