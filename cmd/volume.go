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
	name string
	// active is the COW device of a snapshot that is active here. Then nothing else is
	// known, but for the origin's size.
	active       *device.Mapping
	origin       format.Bytes // size of a snapshot's origin; else 0
	originNumber string       // of the origin's device, where the snapshot is active

	sight    *sight
	group    *lvm.Group
	logical  *lvm.Logical
	snapshot *lvm.Snapshot // where it is one
}

// volume is the logical volume of a name, nil where that is a path: a name that a file has
// is one, unless it was said where to look for volume groups and its own is there. write is
// for a command that is going to write to it: LVM's lock is taken then. The error is a
// failure.
func (a *app) volume(name string, s volumes, write bool) (*volume, error) {
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
		if !ok || lv != logical || layer != "cow" || vg != group && !lvm.MappedUUID(m.UUID, group) {
			continue
		}
		v := &volume{name: name, active: &all[i]}
		v.origin, v.originNumber = originOf(all, m)
		return v
	}
	return nil
}

// originOf is the size of the origin of the snapshot that has a mapping as COW device, and
// its device's number.
func originOf(all []device.Mapping, cow device.Mapping) (format.Bytes, string) {
	for _, m := range all {
		t, ok := m.Target()
		if !ok || len(t.Args) < 2 || t.Args[1] != cow.Number.String() || !strings.HasPrefix(t.Type, "snapshot") {
			continue
		}
		if n, ok := device.ParseNumber(t.Args[0]); ok {
			return format.Bytes(n.Size()), n.String()
		}
	}
	return 0, ""
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
	v := &volume{name: name, sight: s, group: g, logical: g.Find(logical)}
	if v.logical == nil {
		return nil, &lvm.NoVolumeError{Group: g, Name: logical}
	}
	if snapshot, err := g.Snapshot(logical); err == nil {
		v.snapshot, v.origin = &snapshot, format.Bytes(g.Size(snapshot.Origin))
	}
	if write {
		return v, v.refuseWriting()
	}
	return v, nil
}

// noSuch is the error of a name that is no path either.
func noSuch(name string, pv []path, err error) error {
	if len(pv) > 0 || !errors.As(err, new(*lvm.NoGroupError)) {
		return err
	}
	return fmt.Errorf("no such file or directory, and no logical volume: %w", err)
}

// refuseWriting is the failure of a volume that is not to be written to because of what
// its metadata says.
func (v *volume) refuseWriting() error {
	if v == nil || v.group == nil {
		return nil
	}
	var why string
	switch damaged := v.sight.groups.Damaged(v.group); {
	case len(damaged) > 0:
		why = fmt.Sprintf("the metadata of volume group %s on %v cannot be relied on: %v; vgck --updatemetadata %[1]s writes it anew", v.group.Name, damaged[0].On, damaged[0].Err)
	case v.group.Shared():
		why = fmt.Sprintf("volume group %s is shared by hosts (lock type %s)", v.group.Name, v.group.LockType)
	case v.snapshot != nil && v.snapshot.Merging:
		why = fmt.Sprintf("LVM has begun to merge it into %s/%s, and the kernel goes on with that when the origin is activated", v.group.Name, v.snapshot.Origin.Name)
	default:
		return nil
	}
	return &failure{v.name, statusFailed, errors.New("refused: " + why)}
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
	group, _, _ := strings.Cut(v.name, "/")
	return group + "/" + v.snapshot.Origin.Name
}

// parts are those that the volume is joined from. onDisk is the device that stands for a
// disk. Of a segment on a physical volume that is not there, gone is told.
func (v *volume) parts(onDisk func(*disk) (*device.Device, error), gone func(*lvm.Segment, error)) (all []device.Part, err error) {
	layout, err := v.group.Layout(v.logical)
	if err != nil {
		return nil, err
	}
	for i, l := range layout {
		p := device.Part{Length: l.Length, Chunk: l.Chunk}
		there, cut := l.Length, error(nil) // how much of a linear segment is on its disk
		for _, at := range l.Places {
			s, length, err := v.stripe(at, onDisk)
			if need := l.Length / int64(len(l.Places)); err == nil && s.Gone == nil && length < need {
				there = length / lvm.SectorSize * lvm.SectorSize
				cut = fmt.Errorf("physical volume %s has no more than %d bytes of the %d from its byte %d on", at.On.UUID, length, need, at.Start)
				if len(l.Places) > 1 || there == 0 {
					s, there = device.Stripe{Gone: cut}, l.Length
				}
			}
			if err != nil {
				return nil, err
			}
			if err := cmp.Or(s.Gone, cut); err != nil {
				gone(v.logical.Segments[i], err)
			}
			p.Stripes = append(p.Stripes, s)
		}
		p.Length = there
		all = append(all, p)
		if there < l.Length {
			all = append(all, device.Part{Length: l.Length - there, Stripes: []device.Stripe{{Gone: cut}}})
		}
	}
	return all, nil
}

// stripe is where a stripe begins, and how long its physical volume goes on from there.
func (v *volume) stripe(at lvm.Place, onDisk func(*disk) (*device.Device, error)) (s device.Stripe, length int64, err error) {
	f, missing, err := v.physical(at.On)
	if err != nil || missing != nil {
		return device.Stripe{Gone: missing}, 0, err
	}
	d, err := onDisk(diskOf(f))
	return device.Stripe{On: d, Start: f.Start + at.Start}, max(0, f.Length-at.Start), err
}

// physical is where a physical volume was found. missing says that it was not.
func (v *volume) physical(p *lvm.Physical) (f *lvm.Found, missing, err error) {
	all := v.sight.groups.Found(p.UUID)
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("physical volume %s, which was %s, is missing", p.UUID, p.Device), nil
	case 1:
		return all[0], nil, nil
	}
	return nil, nil, fmt.Errorf("physical volume %s is there %d times: %v and %v; name one with --pv", p.UUID, len(all), all[0], all[1])
}

// open opens the volume for reading. It is open until the run ends.
func (v *volume) open(a *app) (*device.Device, error) {
	if v.active != nil {
		d, err := device.Open(v.active.Path())
		if err != nil {
			return nil, a.unreadable(v.name, err)
		}
		return d, nil
	}
	parts, err := v.parts(func(d *disk) (*device.Device, error) { return d.Device, nil }, func(s *lvm.Segment, missing error) {
		v.tell("%v: its %v are gone, or some of them; the rest is read", missing, s)
	})
	if stale := v.stale(); err == nil && stale != nil {
		v.tell("%v", stale)
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
	var missing error
	parts, err := v.parts((*disk).writable, func(s *lvm.Segment, err error) { missing = fmt.Errorf("%w, and with it %v of the volume", err, s) })
	if err == nil {
		err = missing
	}
	if stale := v.stale(); err == nil && stale != nil {
		err = fmt.Errorf("refused: %w; vgextend --restoremissing takes it back", stale)
	}
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
// together with it: a snapshot, its origin, and the origin's other snapshots.
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
		by = append(by, device.Users(lvm.MappingUUID(v.group, l))...)
		one := *v
		one.logical = l
		parts, err := one.parts(func(d *disk) (*device.Device, error) { return d.Device, nil }, func(*lvm.Segment, error) {})
		if err != nil {
			continue // where it lies cannot be told, and its devices are found by their UUIDs alone
		}
		if d, err := device.Join(v.name, parts); err == nil {
			by = append(by, d.Holders()...)
		}
	}
	slices.Sort(by)
	return slices.Compact(by)
}

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

// tell tells the user, once in a run.
func (v *volume) tell(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !v.sight.told[v.name+text] {
		v.sight.told[v.name+text] = true
		v.sight.app.say(v.name, "%s", text)
	}
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

// lookAt opens a device, or a logical volume, for reading.
func (a *app) lookAt(name string, s volumes) (*device.Device, error) {
	v, err := a.volume(name, s, false)
	switch {
	case err != nil:
		return nil, err
	case v != nil:
		return v.open(a)
	}
	d, err := device.Open(name)
	if err != nil {
		return nil, a.unreadable(name, err)
	}
	return d, nil
}

// again is a name as the command line has it, for a command that is told to the user: of
// a logical volume, with where it was looked for.
func (s volumes) again(name string) string {
	text := printable(name)
	for _, p := range s.PV {
		text += " --pv " + printable(string(p))
	}
	return text
}
