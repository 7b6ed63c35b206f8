package snapshot

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store/look"
)

// Listed is a COW store in sight.
type Listed struct {
	Name      string         // VG/LV, or what device-mapper calls the snapshot
	COWDevice string         // its path, empty if there is none
	Active    bool           // the kernel has the snapshot
	Merging   bool           // it is being merged into its origin
	Origin    string         // its name
	Sectors   format.Sectors // of the snapshot itself, which may be fewer than the origin has

	COW    *COW // closed, and without its device; nil where it cannot be read
	Survey look.Survey
	Err    error // why it cannot be read

	volume  *volume.Volume
	mapping *inuse.Mapping // the COW device, if it is one
	serves  inuse.Mapping  // what shows the snapshot, or merges it, where that was found
	chunk   uint64         // of its table, in sectors
}

// Recorded is what LVM has on record of a snapshot, zero where it has nothing: its size, and the
// sectors of a chunk.
func (l *Listed) Recorded() (size format.Bytes, chunk uint64) {
	if v := l.volume; v != nil && v.Group != nil {
		return format.Bytes(v.Group.Size(v.Logical)), v.ChunkSectors
	}
	return 0, 0
}

// Created is when LVM made a snapshot, zero where that is not known.
func (l *Listed) Created() time.Time { return created(l.volume) }

// Inventory is every COW store in sight, and what could not be seen.
type Inventory struct {
	All []*Listed
	// Looked is how many devices were looked at, and Closed are the errors of those that could not be.
	Looked int
	Closed []error
	Empty  []error // of devices that were given and have no physical volume
	Bare   []error // of those that have one without metadata, and the group's others are missing
	Faults []error // of labels
	Unread []error // of metadata that could not be read
	Copies []error // of metadata of which another copy is whole
}

// Inventory looks for COW stores: snapshots of LVM, active or not, and others that device-mapper
// serves. [Session.Examine] looks at one. The error is a [*Refusal].
func (s *Session) Inventory() (*Inventory, error) {
	sight, err := s.sees()
	if err != nil {
		return nil, ofVolume("list", err)
	}
	s.showing = inuse.LookAtShowing() // once for all that are examined
	i := &Inventory{All: recordedSnapshots(sight), Looked: sight.Looked, Closed: sight.Closed, Faults: sight.Faults, Bare: sight.Bare()}
	if len(s.options.Where) == 0 {
		i.All = append(i.All, servedSnapshots(i.All)...)
	}
	for _, err := range sight.Empty {
		i.Empty = append(i.Empty, ofVolume("", err))
	}
	for _, c := range sight.Groups.Unread() {
		whole := slices.ContainsFunc(sight.Groups.All, func(g *lvm.Group) bool { return slices.Contains(sight.Groups.Damaged(g), c) })
		err := &volume.Error{About: c.On.String(), Err: c.Err}
		if whole {
			i.Copies = append(i.Copies, err)
		} else {
			i.Unread = append(i.Unread, err)
		}
	}
	return i, nil
}

// recordedSnapshots are those that LVM's metadata tells of.
func recordedSnapshots(sight *volume.Sight) (all []*Listed) {
	mappings := inuse.Mappings()
	for _, g := range sight.Groups.All {
		sight.TellOf(g)
		prefix := g.Name
		if _, err := sight.Groups.Named(g.Name); err != nil {
			prefix = g.UUID // another group has the same name
		}
		for _, snapshot := range g.Snapshots() {
			v := sight.Volume(prefix+"/"+snapshot.COW.Name, g, snapshot.COW)
			l := &Listed{Name: v.Name, Origin: v.OriginName(), Sectors: format.Bytes(v.SnapshotSize).Sectors(), Merging: v.Merging, volume: v}
			if m := v.Mapping(mappings); m != nil {
				l.mapping, l.COWDevice, l.Active = m, m.Path(), true
			}
			all = append(all, l)
		}
	}
	return all
}

// servedSnapshots are the persistent snapshots that device-mapper serves, but for those that are known.
func servedSnapshots(known []*Listed) []*Listed {
	return servedBy(inuse.Mappings(), inuse.Mapping.Target, known)
}

// servedBy are those that are among these devices; target tells the target of one.
func servedBy(mappings []inuse.Mapping, target func(inuse.Mapping) (inuse.Target, bool), known []*Listed) (all []*Listed) {
	for _, m := range mappings {
		t, _ := target(m)
		if t.Type != "snapshot" && t.Type != "snapshot-merge" || len(t.Args) < 3 || t.Args[2] == "N" {
			continue
		}
		cow, ok := inuse.ParseNumber(t.Args[1])
		if !ok || slices.ContainsFunc(known, func(l *Listed) bool { return l.COWDevice == cow.Path() }) {
			continue
		}
		l := &Listed{Name: m.Name, COWDevice: cow.Path(), Active: true, Origin: deviceName(t.Args[0]), Merging: t.Type == "snapshot-merge"}
		l.Sectors, l.serves = format.Bytes(m.Number.Size()).Sectors(), m
		if len(t.Args) > 3 {
			l.chunk, _ = strconv.ParseUint(t.Args[3], 10, 32)
		}
		if i := slices.IndexFunc(mappings, func(m inuse.Mapping) bool { return m.Number == cow }); i >= 0 {
			l.mapping = &mappings[i]
		}
		l.nameByLVM(mappings, cow, t.Args[0])
		all = append(all, l)
	}
	return all
}

// nameByLVM gives a snapshot and its origin the names that LVM has for them, if they are its own.
func (l *Listed) nameByLVM(mappings []inuse.Mapping, cow inuse.Number, origin string) {
	for _, m := range mappings {
		vg, lv, _, ok := lvm.MappedName(m.Name)
		if !ok || !lvm.Mapped(m.UUID) {
			continue
		}
		switch {
		case m.Number == cow:
			l.Name = vg + "/" + lv
		case m.Number.String() == origin:
			l.Origin = vg + "/" + lv
		}
	}
}

// Examine finds out about a store that is listed. The error is the refusal of an interruption; why
// the store cannot be read stands in it.
func (s *Session) Examine(l *Listed) error {
	err := s.examine(l)
	if r := (*Refusal)(nil); errors.As(err, &r) && r.Code == Unreadable {
		l.Err = r
		return nil
	}
	return err
}

func (s *Session) examine(l *Listed) error {
	d, err := l.open()
	if err != nil {
		return refuse(l.Name, Unreadable, err)
	}
	defer l.shut(d)
	if l.COWDevice == "" && l.volume.Gone != nil {
		s.note(l.Name, Unreadable, "")
	}
	c := &COW{Name: Name{Text: l.Name, Volume: l.volume}, Device: d, Holders: d.HoldersAmong(s.showing)}
	if err := s.identify(c, 0); err != nil {
		return err
	}
	survey, err := s.Survey(c)
	if err != nil {
		return err
	}
	if l.Merging {
		s.noteLeft(c, survey, l.Origin, l.Active, FinishMerge)
	}
	c.Device = nil // of many stores, as many devices
	l.COW, l.Survey = c, survey
	return nil
}

// open opens the COW device, or the volume that would be it.
func (l *Listed) open() (*device.Device, error) {
	switch {
	case l.COWDevice == "":
		return l.volume.Open()
	case l.mapping != nil:
		return volume.OpenMapping(l.mapping)
	}
	return device.Open(l.COWDevice)
}

// shut closes what open has opened.
func (l *Listed) shut(d *device.Device) {
	if l.COWDevice == "" {
		l.volume.Shut(d)
		return
	}
	d.Close()
}
