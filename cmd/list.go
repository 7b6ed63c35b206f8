package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store"
)

type listCmd struct {
	Output  string `default:"human" enum:"human,csv,json" help:"How to write: ${enum}."`
	volumes `embed:""`
}

func (listCmd) Help() string {
	return `
Lists every COW store in sight: the snapshots of LVM, active or not, as the metadata on
the physical volumes has them, and the snapshots that device-mapper serves on this
machine; with what lvs shows of a snapshot only while it is active.

  dmcow list
  dmcow list --pv disk.img
  dmcow list --output json | jq -r '.[] | select(.percent > 80) | .name'

The exit status is a sum over all of them: 2 where one is marked invalid, 4 where one
is damaged, 8 where one cannot be read. It is 8, too, where no device could be looked at.
`
}

// listed is a store in the list.
type listed struct {
	name    string
	volume  *volume.Volume
	cow     *device.Mapping // the COW device, nil where there is none or it is no mapping
	path    string          // of the COW device, empty where there is none
	active  bool            // the kernel has the snapshot
	origin  string
	sectors format.Sectors // of the snapshot itself, which may be fewer than the origin has
	merging bool

	report *report // nil where it cannot be read
	err    error   // why it cannot
}

func (c *listCmd) Run(a *app) error {
	s, err := a.sight(c.PV)
	if err != nil {
		return a.volumeFailure("list", err)
	}
	all := snapshots(s)
	if len(c.PV) == 0 {
		all = append(all, served(all)...)
	}
	if s.Looked == 0 && len(all) == 0 {
		return &failure{"list", statusFailed, unseen(s)}
	}
	a.tellFaults(s)
	for _, l := range all {
		if err := a.lookAtListed(l); err != nil {
			return err
		}
	}
	switch c.Output {
	case "json":
		return dump.ListJSON(a.stdout, listRecords(all))
	case "csv":
		return dump.ListCSV(a.stdout, listRecords(all))
	}
	if len(all) == 0 {
		a.say("list", "there is no COW store in sight")
		return nil
	}
	return a.table([]string{"name", "state", "active", "full", "size", "chunk", "origin"}, a.listRows(all))
}

// unseen says why no block device was looked at: a list of nothing would say too much then.
func unseen(s *volume.Sight) error {
	if len(s.Closed) == 0 {
		return fmt.Errorf("the kernel shows no block device: is /sys mounted? (%s)", lookHint())
	}
	return fmt.Errorf("%s could not be looked at, and there is no other: %w (%s)", count(uint64(len(s.Closed)), "block device"), s.Closed[0], lookHint())
}

// lookHint says what to do about devices that cannot be looked at.
func lookHint() string {
	if os.Geteuid() != 0 {
		return "root may, and --pv says where to look"
	}
	return "--pv says where to look"
}

// tellFaults tells what could not be seen. Where the metadata has no other copy, the list
// may lack something.
func (a *app) tellFaults(s *volume.Sight) {
	if len(s.Closed) > 0 {
		a.say("list", "%s could not be looked at: %v (%s)", count(uint64(len(s.Closed)), "block device"), s.Closed[0], lookHint())
		if errors.Is(errors.Join(s.Closed...), fs.ErrPermission) {
			a.status |= a.outcomes.unreadable
		}
	}
	for _, err := range s.Empty {
		a.fail(a.volumeFailure("", err))
	}
	for _, err := range s.Faults {
		a.fail(&failure{"list", statusFailed, err})
	}
	for _, c := range s.Groups.Unread() {
		err := fmt.Errorf("%v: %w", c.On, c.Err)
		if slices.ContainsFunc(s.Groups.All, func(g *lvm.Group) bool { return slices.Contains(s.Groups.Damaged(g), c) }) {
			a.say("list", "%v; another copy is whole", err)
		} else {
			a.fail(&failure{"list", statusFailed, err})
		}
	}
}

// snapshots are those that LVM's metadata tells of.
func snapshots(s *volume.Sight) (all []*listed) {
	mappings := device.Mappings()
	for _, g := range s.Groups.All {
		prefix := g.Name
		if _, err := s.Groups.Named(g.Name); err != nil {
			prefix = g.UUID // another group has the same name
		}
		for _, snapshot := range g.Snapshots() {
			v := s.Volume(prefix+"/"+snapshot.COW.Name, g, snapshot.COW)
			l := &listed{name: v.Name, origin: v.OriginName(), sectors: format.Bytes(v.SnapshotSize).Sectors(), merging: v.Merging, volume: v}
			if m := v.Mapping(mappings); m != nil {
				l.cow, l.path, l.active = m, m.Path(), true
			}
			all = append(all, l)
		}
	}
	return all
}

// served are the persistent snapshots that device-mapper serves, but for those that are
// known.
func served(known []*listed) (all []*listed) {
	mappings := device.Mappings()
	for _, m := range mappings {
		t, ok := m.Target()
		if !ok || t.Type != "snapshot" && t.Type != "snapshot-merge" || len(t.Args) < 3 || t.Args[2] == "N" {
			continue
		}
		cow, ok := device.ParseNumber(t.Args[1])
		if !ok || slices.ContainsFunc(known, func(l *listed) bool { return l.path == cow.Name() }) {
			continue
		}
		l := &listed{name: m.Name, path: cow.Name(), active: true, origin: deviceName(t.Args[0]), merging: t.Type == "snapshot-merge"}
		l.sectors = format.Bytes(m.Number.Size()).Sectors()
		if i := slices.IndexFunc(mappings, func(m device.Mapping) bool { return m.Number == cow }); i >= 0 {
			l.cow = &mappings[i]
		}
		l.nameByLVM(mappings, cow, t.Args[0])
		all = append(all, l)
	}
	return all
}

// nameByLVM gives a snapshot and its origin the names that LVM has for them, if they are
// its own.
func (l *listed) nameByLVM(mappings []device.Mapping, cow device.Number, origin string) {
	for _, m := range mappings {
		vg, lv, _, ok := lvm.MappedName(m.Name)
		if !ok || !lvm.Mapped(m.UUID) {
			continue
		}
		switch {
		case m.Number == cow:
			l.name = vg + "/" + lv
		case m.Number.String() == origin:
			l.origin = vg + "/" + lv
		}
	}
}

// lookAtListed finds out about a store, and tells what is wrong with it. The error is the
// failure of an interruption.
func (a *app) lookAtListed(l *listed) error {
	r, err := a.surveyListed(l)
	var f *failure
	switch {
	case errors.As(err, &f) && f.status == a.outcomes.unreadable:
		a.fail(err)
		l.err = f.err
		return nil
	case err != nil:
		return err
	}
	l.report = &r
	return nil
}

func (a *app) surveyListed(l *listed) (report, error) {
	d, err := l.open(a)
	if err != nil {
		return report{}, err
	}
	w := &cow{named: named{path: l.name, volume: l.volume}, device: d}
	defer w.close()
	w.holders = w.device.Holders()
	if err := a.identify(w, section{}, 0); err != nil {
		return report{}, err
	}
	s, err := a.survey(w)
	if err != nil {
		return report{}, err
	}
	a.conclude(w, s)
	return report{w, s, origin{name: l.origin, sectors: l.sectors}}, nil
}

// open opens the COW device, or the volume that would be it.
func (l *listed) open(a *app) (d *device.Device, err error) {
	switch {
	case l.path == "":
		if d, err = l.volume.Open(); err == nil && l.volume.Gone != nil {
			a.status |= a.outcomes.unreadable
		}
	case l.cow != nil:
		d, err = volume.OpenMapping(l.cow)
	default:
		d, err = device.Open(l.path)
	}
	if err != nil {
		return nil, a.unreadable(l.name, err)
	}
	return d, nil
}

// recorded is what is known of a store that cannot be read: LVM's record of it.
func (l *listed) recorded() dump.Usage {
	u := dump.Usage{Device: l.name, State: unreadableState}
	if l.err != nil {
		u.Error = new(l.err.Error())
	}
	if v := l.volume; v != nil {
		u.TotalSectors = new(uint64(format.Bytes(v.Group.Size(v.Logical)).Sectors()))
		u.ChunkSectors = &v.ChunkSectors
	}
	return u
}

func listRecords(all []*listed) (records []dump.Listed) {
	for _, l := range all {
		r := dump.Listed{Name: l.name, Active: l.active, Merging: l.merging}
		if l.origin != "" {
			r.Origin = &l.origin
		}
		if l.path != "" {
			r.COWDevice = &l.path
		}
		if l.sectors > 0 {
			r.OriginSectors = new(uint64(l.sectors))
		}
		r.Usage = l.recorded()
		if l.report != nil {
			r.Usage = l.report.record()
		}
		records = append(records, r)
	}
	return records
}

func (a *app) listRows(all []*listed) (rows [][]string) {
	for i, u := range listRecords(all) {
		l := all[i]
		row := []string{printable(l.name), "cannot be read", "no", "-", "-", "-", printable(l.origin)}
		if u.Active {
			row[2] = "yes"
		}
		if u.TotalSectors != nil {
			row[4] = fmt.Sprintf("%ds", *u.TotalSectors)
		}
		if u.ChunkSectors != nil {
			row[5] = fmt.Sprintf("%ds", *u.ChunkSectors)
		}
		if r := l.report; r != nil {
			row[1] = a.paintState(r.State(), r.State().String())
			if r.Complete() && r.State() != store.Damaged {
				row[3] = a.bar(r, 10)
			}
		}
		if l.merging {
			row[1] += ", merging"
		}
		rows = append(rows, row)
	}
	return rows
}
