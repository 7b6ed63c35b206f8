package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/lvm"
)

// volume is a logical volume that the command line names as VG/LV.
type volume struct {
	name     string
	origin   format.Bytes // size of a snapshot's origin; 0 where it is none, or that is not known
	recorded uint64       // chunk size of a snapshot that LVM has on record, in sectors; else 0
	merging  bool         // a snapshot that is being merged into its origin

	// Of a snapshot that is active here: its COW device, and the number of its origin. Then
	// the rest is not known.
	active       *device.Mapping
	originNumber string

	sight    *sight
	group    *lvm.Group
	logical  *lvm.Logical
	snapshot *lvm.Snapshot // where it is one
}

// findVolume is the logical volume of a name, nil where that is a path:
//   - what has not the form VG/LV is a path;
//   - without --pv, so is what a file has as its name;
//   - with --pv, so is what a file has as its name, where the group is not there.
//
// write is for a command that is going to write to it: LVM's lock is taken then. The error
// is a failure.
func (a *app) findVolume(name string, s volumes, write bool) (*volume, error) {
	group, logical, ok := lvm.SplitName(name)
	if !ok || len(s.PV) == 0 && exists(name) {
		return nil, nil
	}
	if len(s.PV) == 0 {
		if v := activeSnapshot(name, group, logical); v != nil {
			return v, nil
		}
	}
	v, err := a.inactive(name, group, logical, s.PV, write)
	var f *failure
	switch {
	case err == nil || errors.As(err, &f):
		return v, err
	case errors.As(err, new(*lvm.NoGroupError)) && exists(name):
		return nil, nil
	}
	return nil, a.unreadable(name, err)
}

// isVolumeName tells whether a name has the form VG/LV.
func isVolumeName(name string) bool {
	_, _, ok := lvm.SplitName(name)
	return ok
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// activeSnapshot is a snapshot whose COW device is mapped on this machine, nil where there
// is none.
func activeSnapshot(name, group, logical string) *volume {
	all := device.Mappings()
	for i, m := range all {
		vg, lv, layer, ok := lvm.MappedName(m.Name)
		if !ok || lv != logical || layer != "cow" || !lvm.Mapped(m.UUID) || vg != group && !lvm.MappedBy(m.UUID, group) {
			continue
		}
		v := &volume{name: name, active: &all[i]}
		v.findOrigin(all)
		return v
	}
	return nil
}

// findOrigin finds the origin of an active snapshot: its size, its number, and whether the
// snapshot is being merged into it.
func (v *volume) findOrigin(all []device.Mapping) {
	for _, m := range all {
		t, ok := m.Target()
		if !ok || len(t.Args) < 2 || t.Args[1] != v.active.Number.String() || t.Type != "snapshot" && t.Type != "snapshot-merge" {
			continue
		}
		if n, ok := device.ParseNumber(t.Args[0]); ok {
			v.origin, v.originNumber, v.merging = format.Bytes(n.Size()), n.String(), t.Type == "snapshot-merge"
		}
	}
}

// readRecord finds out what LVM has on record of a snapshot that is active, if its metadata
// can be read.
func (a *app) readRecord(n named) {
	if n.volume == nil || n.volume.active == nil {
		return
	}
	group, logical, _ := lvm.SplitName(n.path)
	v, err := a.inactive(n.path, group, logical, nil, false)
	if err != nil {
		a.verbose(n.path, "what LVM has on record of it is not known: %v", err)
		return
	}
	n.volume.recorded = v.recorded
}

// inactive is the volume as the metadata has it.
func (a *app) inactive(name, group, logical string, pv []path, write bool) (*volume, error) {
	s, err := a.sight(pv)
	if err != nil {
		return nil, err
	}
	g, err := s.group(group)
	if err == nil && write {
		if err := s.lock(g); err != nil {
			return nil, err
		}
		g, err = s.group(group)
	}
	if err != nil {
		return nil, noSuch(name, pv, err)
	}
	l := g.Find(logical)
	if l == nil {
		return nil, &lvm.NoVolumeError{Group: g, Name: logical}
	}
	return s.volume(name, g, l), nil
}

// volume is a volume of a group that is seen.
func (s *sight) volume(name string, g *lvm.Group, l *lvm.Logical) *volume {
	v := &volume{name: name, sight: s, group: g, logical: l}
	if snapshot, err := g.Snapshot(l.Name); err == nil {
		v.snapshot, v.origin = &snapshot, format.Bytes(g.Size(snapshot.Origin))
		v.recorded, v.merging = snapshot.ChunkSize, snapshot.Merging
	}
	return v
}

// beside is another volume of the group.
func (v *volume) beside(l *lvm.Logical) *volume { return v.sight.volume(v.inGroup(l), v.group, l) }

// inGroup is the name of another volume of the group.
func (v *volume) inGroup(l *lvm.Logical) string {
	group, _, _ := strings.Cut(v.name, "/")
	return group + "/" + l.Name
}

// noSuch is the error of a name that is no path either.
func noSuch(name string, pv []path, err error) error {
	if len(pv) > 0 || !errors.As(err, new(*lvm.NoGroupError)) {
		return err
	}
	return fmt.Errorf("no such file or directory, and no logical volume: %w", err)
}

// refuseWriting is the failure of a volume that is not to be written to because of what
// its metadata says, or because some of it is not there.
func (v *volume) refuseWriting() error {
	if v.group == nil {
		return nil
	}
	_, err := v.parts((*disk).reading, func(from, to uint64, missing error) error {
		return fmt.Errorf("%w, and with it extents %d to %d of the volume", missing, from, to)
	})
	stale, unseen := v.stale(), v.unseen()
	damaged := v.sight.groups.Damaged(v.group)
	switch {
	case unseen != nil:
		err = fmt.Errorf("refused: %w", unseen)
	case len(damaged) > 0:
		err = fmt.Errorf("refused: the metadata of volume group %s on %v cannot be relied on: %w; vgck --updatemetadata %[1]s writes it anew", v.group.Name, damaged[0].On, damaged[0].Err)
	case v.group.Shared():
		err = fmt.Errorf("refused: volume group %s is shared by hosts (lock type %s)", v.group.Name, cmp.Or(printable(v.group.LockType), "clvmd"))
	case v.merging:
		err = fmt.Errorf("refused: LVM has begun to merge it into %s/%s, and the kernel goes on with that when the origin is activated", v.group.Name, v.snapshot.Origin.Name)
	case err == nil && stale != nil:
		err = fmt.Errorf("refused: %w; vgextend --restoremissing takes it back", stale)
	case err == nil:
		return nil
	}
	return &failure{v.name, statusFailed, err}
}

// refuseNoSnapshot is the failure of a volume that is no snapshot.
func (v *volume) refuseNoSnapshot(a *app) error {
	if v.active != nil || v.snapshot != nil {
		return nil
	}
	_, err := v.group.Snapshot(v.logical.Name)
	return a.unreadable(v.name, err)
}

// originName is the name of a snapshot's origin, empty where that is not known.
func (v *volume) originName() string {
	if v.snapshot == nil {
		return ""
	}
	return v.inGroup(v.snapshot.Origin)
}

// parts are those that the volume is joined from. on is the device that stands for a disk.
// Of extents on a physical volume that is not there, gone makes the error with which they
// are read, or stops with it where it is to.
func (v *volume) parts(on func(*disk) (*device.Device, error), gone func(from, to uint64, missing error) error) (all []device.Part, err error) {
	layout, err := v.group.Layout(v.logical)
	if err != nil {
		return nil, err
	}
	for i, l := range layout {
		segment := v.logical.Segments[i]
		there, stripes, missing, err := v.stripes(l, on)
		if err != nil {
			return nil, err
		}
		if there > 0 {
			all = append(all, device.Part{Length: there, Chunk: l.Chunk, Stripes: stripes})
		}
		if there == l.Length {
			continue
		}
		extent := l.Length / int64(segment.Count)
		if err := gone(segment.Start+uint64(there/extent), segment.Start+segment.Count-1, missing); err != nil {
			return nil, err
		}
		all = append(all, device.Part{Length: l.Length - there, Stripes: []device.Stripe{{Gone: missing}}})
	}
	return all, nil
}

// stripes are those of a part, and how much of it is there, in bytes: all of it, or where
// it is linear, up to the end of its physical volume. missing says what is not.
func (v *volume) stripes(l lvm.Part, on func(*disk) (*device.Device, error)) (there int64, all []device.Stripe, missing, err error) {
	need := l.Length / int64(len(l.Places))
	there = l.Length
	for _, at := range l.Places {
		f, gone, err := v.physical(at.On)
		if err != nil {
			return 0, nil, nil, err
		}
		if gone != nil {
			return 0, nil, gone, nil
		}
		if length := max(0, f.Length-at.Start); length < need {
			missing = fmt.Errorf("physical volume %s has no more than %d bytes of the %d from its byte %d on", at.On.UUID, length, need, at.Start)
			if there = 0; len(l.Places) == 1 {
				there = length / lvm.SectorSize * lvm.SectorSize
			}
		}
		d, err := on(diskOf(f))
		if err != nil {
			return 0, nil, nil, err
		}
		all = append(all, device.Stripe{On: d, Start: f.Start + at.Start})
	}
	return there, all, missing, nil
}

// physical is where a physical volume was found. missing says that it was not.
func (v *volume) physical(p *lvm.Physical) (f *lvm.Found, missing, err error) {
	all := v.sight.groups.Found(p.UUID)
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("physical volume %s, which was %s, is missing", p.UUID, printable(p.Device)), nil
	case 1:
		return all[0], nil, nil
	}
	return nil, nil, fmt.Errorf("physical volume %s is there %d times: %v and %v; name one with --pv", p.UUID, len(all), all[0], all[1])
}

// openMapping opens the device of a mapping for reading.
func (a *app) openMapping(name string, m *device.Mapping) (*device.Device, error) {
	if m.Suspended {
		return nil, a.unreadable(name, fmt.Errorf("%s is suspended: whoever reads it waits until it is resumed (dmsetup resume)", m.Path()))
	}
	d, err := device.Open(m.Path())
	if err != nil {
		return nil, a.unreadable(name, err)
	}
	return d, nil
}

// open opens the volume for reading. It is open until the run ends.
func (v *volume) open(a *app) (*device.Device, error) {
	if v.active != nil {
		return a.openMapping(v.name, v.active)
	}
	parts, err := v.parts((*disk).reading, func(from, to uint64, missing error) error {
		v.sight.tell(v.name, "%v: extents %d to %d of it cannot be read; the rest is", missing, from, to)
		return nil
	})
	if stale := v.stale(); err == nil && stale != nil {
		v.sight.tell(v.name, "%v", stale)
	}
	if err == nil {
		var d *device.Device
		if d, err = device.Join(v.name, parts); err == nil {
			return d, nil
		}
	}
	return nil, a.unreadable(v.name, err)
}

// openWritable opens the volume for writing, and makes sure that nobody else has any of
// it. It is open until the run ends.
func (v *volume) openWritable() (*device.Writable, error) {
	if v.active != nil {
		w, err := device.OpenWritable(v.active.Path())
		if err != nil {
			return nil, &failure{v.name, statusFailed, err}
		}
		return w, nil
	}
	if err := v.refuseWriting(); err != nil {
		return nil, err
	}
	parts, err := v.parts((*disk).writable, func(_, _ uint64, missing error) error { return missing })
	if err != nil {
		return nil, &failure{v.name, statusFailed, err}
	}
	w, err := device.JoinWritable(v.name, parts)
	if err != nil {
		return nil, &failure{v.name, statusFailed, err}
	}
	if by := v.users(); len(by) > 0 {
		return nil, &failure{v.name, statusFailed, &device.BusyError{By: by}}
	}
	return w, nil
}

// users names the devices of this machine that have any of the volume, or of what belongs
// together with it: a snapshot, its origin, and the origin's other snapshots. By their UUIDs
// those are found whose place is not known.
func (v *volume) users() (by []string) {
	origin := v.logical
	if v.snapshot != nil {
		origin = v.snapshot.Origin
	}
	related := []*lvm.Logical{v.logical, origin}
	for _, s := range v.group.Of(origin) {
		related = append(related, s.COW)
	}
	for _, l := range related {
		parts, err := v.beside(l).parts((*disk).reading, func(_, _ uint64, _ error) error { return nil })
		if err == nil {
			if d, err := device.Join(v.name, parts); err == nil {
				by = append(by, d.Holders()...)
				continue
			}
		}
		if v.sight.onBlocks(v.group) {
			by = append(by, device.MappedAs(lvm.MappingUUID(v.group, l))...)
		}
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// reading is the disk, open for reading.
func (d *disk) reading() (*device.Device, error) { return d.Device, nil }

// writable is the disk, open for writing.
func (d *disk) writable() (*device.Device, error) {
	if d.out == nil {
		w, err := device.OpenShared(d.Path())
		if err != nil {
			return nil, fmt.Errorf("physical volume %s: %w", d.Path(), err)
		}
		d.out = w
	}
	return &d.out.Device, nil
}

// unseen says that a physical volume of the group is missing while a label is damaged, which may
// be its own: newer metadata may be on it.
func (v *volume) unseen() error {
	for _, p := range v.group.Physical {
		if len(v.sight.faults) > 0 && len(v.sight.groups.Found(p.UUID)) == 0 {
			return fmt.Errorf("physical volume %s is missing, and %w", p.UUID, v.sight.faults[0])
		}
	}
	return nil
}

// stale says that the volume is on a physical volume that was not there when the group was
// changed; it is nil where it is not.
func (v *volume) stale() error {
	for _, p := range v.group.Physical {
		if p.Missing && slices.ContainsFunc(v.logical.Segments, func(s *lvm.Segment) bool {
			return slices.ContainsFunc(s.Stripes, func(on lvm.Stripe) bool { return on.On == p.Name })
		}) {
			return fmt.Errorf("physical volume %s was missing when the volume group was changed, and may be old", p.UUID)
		}
	}
	return nil
}

// removal says what is left to do of a snapshot that was merged. By the names in an image, LVM
// would act on what this machine has of those names.
func (v *volume) removal() string {
	where := ""
	if !v.sight.onBlocks(v.group) {
		where = " where these physical volumes are in use"
	}
	return fmt.Sprintf("LVM still lists it, and it is empty now: lvremove %s/%s ends it%s, and the origin can be used", v.group.Name, v.logical.Name, where)
}

// table is the device-mapper table of a volume of the group, a line for each segment; a
// comment, where it cannot be told.
func (v *volume) table(l *lvm.Logical) string {
	var b strings.Builder
	layout, err := v.group.Layout(l)
	if err != nil {
		return fmt.Sprintf("# %v\n", err)
	}
	start := format.Bytes(0)
	for _, p := range layout {
		fmt.Fprintf(&b, "%d %d ", start.Sectors(), format.Bytes(p.Length).Sectors())
		if len(p.Places) == 1 {
			b.WriteString("linear")
		} else {
			fmt.Fprintf(&b, "striped %d %d", len(p.Places), format.Bytes(p.Chunk).Sectors())
		}
		for _, at := range p.Places {
			f, missing, err := v.physical(at.On)
			if err != nil || missing != nil {
				return fmt.Sprintf("# %v\n", errors.Join(err, missing))
			}
			fmt.Fprintf(&b, " %s %d", tableName(diskOf(f).Device), format.Bytes(f.Start+at.Start).Sectors())
		}
		b.WriteString("\n")
		start += format.Bytes(p.Length)
	}
	return b.String()
}

// again is a name as a shell takes it on a command line that the user is told, with where
// it was looked for.
func (s volumes) again(name string) string {
	text := shellWord(name)
	for _, p := range s.PV {
		text += " --pv " + shellWord(string(p))
	}
	return text
}
