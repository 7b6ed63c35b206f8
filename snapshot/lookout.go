package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"dmcow/format"
	"dmcow/internal/inuse"
	"dmcow/store/look"
)

// Seen is how a snapshot is at a moment.
type Seen struct {
	Name    string // VG/LV, or what device-mapper calls it, or as it was named
	Origin  string // its name; empty where that is not known
	Active  bool   // the kernel has it; what is known is from its status line
	Merging bool   // it is being merged into its origin
	State   string // valid, invalid, overflow, merge failed, uninitialized, damaged or unreadable
	Usage   look.Usage
	Known   bool  // Usage is
	Err     error // why it cannot be read
}

// Lost reports whether the snapshot is lost already. One whose merge has failed is not: the merge can go on.
func (s Seen) Lost() bool { return s.State == "invalid" || s.State == "overflow" }

// Percent is how full the store is, as lvs shows it: 100 for a snapshot that is lost. known is false where nothing
// is known of that.
func (s Seen) Percent() (percent float64, known bool) {
	if s.Lost() {
		return 100, true
	}
	return s.Usage.Percent(), s.Known
}

// How often a lookout looks for what no change of the devices tells of: for changed tables, and for snapshots that are
// not active. That reads the metadata of all volume groups, so it is never done more often than that after a change.
const (
	tablesEvery  = time.Minute
	recordsEvery = 10 * time.Minute
	recordsAfter = time.Minute
)

// Lookout looks at snapshots again and again: at those that are active by device-mapper's status alone, so that no
// store is read and no lock of LVM's taken; at the others by their stores. It is not for several goroutines.
type Lookout struct {
	Options Options
	Names   []string // VG/LV, names of device-mapper, paths of snapshots, of COW devices or of images; patterns of these; all in sight if it is empty

	mapper   *inuse.Mapper
	devices  string // that there were
	active   []*Listed
	tables   time.Duration // when they were looked at
	inactive []Seen
	records  time.Duration
	stale    bool // there were changes since
	began    bool

	unseen [3]error // what keeps snapshots from being seen: of names, of devices, of LVM's records; nil for nothing

	files map[string][]lookedFor // that the names stand for, at this look
	found map[string]bool        // names that stand for a snapshot that was found, at this look
	taken map[inuse.Number]bool  // devices of active snapshots that were found, at this look
	stood map[string]bool        // names that have stood for an active snapshot
}

// lookedFor is a file that a name stands for.
type lookedFor struct {
	path   string
	number inuse.Number // the zero value if it is not a block device
}

// Unseen is what could not be seen, when it was looked for last.
func (l *Lookout) Unseen() (all []error) {
	for _, err := range l.unseen {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// What keeps snapshots from being seen.
const (
	ofNames = iota
	ofDevices
	ofRecords
)

// Close closes what is open.
func (l *Lookout) Close() {
	if l.mapper != nil {
		l.mapper.Close()
	}
}

// Look looks at all snapshots, at a moment of a clock that never jumps. The error is a [*Refusal], of an interruption
// too.
func (l *Lookout) Look(now time.Duration) ([]Seen, error) {
	l.resolve()
	fresh, changed := !l.began, l.devicesChanged()
	if fresh || changed || now-l.tables >= tablesEvery {
		l.findActive()
		l.tables = now
	}
	l.stale = l.stale || changed
	var all []Seen
	for _, of := range l.active {
		if !l.wants(of) {
			continue
		}
		if s, there := l.status(of); there {
			all = append(all, s)
		}
	}
	if fresh || now-l.records >= recordsEvery || l.stale && now-l.records >= recordsAfter {
		if err := l.findInactive(); err != nil {
			return nil, err
		}
		l.records, l.stale = now, false
	}
	l.began = true
	for _, s := range l.inactive {
		if !hasSeen(all, s.Name) {
			all = append(all, s)
		}
	}
	named, err := l.named(all)
	return append(all, named...), err
}

// devicesChanged reports whether there are other devices than there were, or something has happened to one.
func (l *Lookout) devicesChanged() bool {
	if l.mapper == nil {
		return false
	}
	devices, err := l.mapper.Devices()
	changed := err == nil && devices != l.devices
	l.devices = devices
	return changed
}

func (l *Lookout) findActive() {
	l.unseen[ofDevices] = nil
	if l.mapper == nil {
		m, err := inuse.OpenMapper()
		if err != nil {
			images := len(l.Names) > 0 && !slices.ContainsFunc(l.Names, func(n string) bool { return !isFile(n) })
			if !errors.Is(err, inuse.ErrNoMapper) && !images {
				l.unseen[ofDevices] = fmt.Errorf("cannot ask device-mapper, so that active snapshots are not seen: %w", err)
			}
			return
		}
		l.mapper = m
		l.devices, _ = m.Devices()
	}
	tables, err := l.mapper.Tables()
	if err != nil {
		l.unseen[ofDevices] = fmt.Errorf("cannot ask device-mapper for its devices: %w", err)
		return
	}
	l.active = servedByTables(tables)
}

// servedByTables are the persistent snapshots among these devices.
func servedByTables(tables []inuse.Loaded) []*Listed {
	var mappings []inuse.Mapping
	targets := map[inuse.Number]inuse.Target{}
	for _, x := range tables {
		mappings, targets[x.Number] = append(mappings, x.Mapping), x.Target
	}
	return servedBy(mappings, func(m inuse.Mapping) (inuse.Target, bool) {
		t, ok := targets[m.Number]
		return t, ok
	}, nil)
}

// resolve finds the files that the names stand for now.
func (l *Lookout) resolve() {
	l.files, l.found, l.taken = map[string][]lookedFor{}, map[string]bool{}, map[inuse.Number]bool{}
	if l.stood == nil {
		l.stood = map[string]bool{}
	}
	l.unseen[ofNames] = nil
	for _, name := range l.Names {
		paths := []string{name}
		if IsPattern(name) {
			var err error
			if paths, err = FilesLike(name); err != nil && !couldBeVolumes(name) {
				l.unseen[ofNames] = err
			}
		}
		for _, p := range paths {
			l.files[name] = append(l.files[name], lookedFor{p, numberOf(p)})
		}
	}
}

// wants reports whether an active snapshot is one of those that are looked at, and notes by which name.
func (l *Lookout) wants(of *Listed) bool {
	if len(l.Names) == 0 {
		return len(l.Options.Where) == 0
	}
	wanted := false
	for _, name := range l.Names {
		if matches(name, of.Name) || matches(name, of.serves.Name) || slices.ContainsFunc(l.files[name], of.isOn) {
			l.found[name], l.stood[name], wanted = true, true, true
		}
	}
	if wanted {
		l.taken[of.serves.Number] = true
		if of.mapping != nil {
			l.taken[of.mapping.Number] = true
		}
	}
	return wanted
}

// isOn reports whether a file is the device of an active snapshot, or of its store.
func (of *Listed) isOn(f lookedFor) bool {
	return f.number != (inuse.Number{}) && (f.number == of.serves.Number || of.mapping != nil && f.number == of.mapping.Number)
}

// numberOf is the number of the block device at a path, and the zero value if there is none.
func numberOf(path string) inuse.Number {
	info, err := os.Stat(path)
	if err != nil {
		return inuse.Number{}
	}
	return inuse.NumberOf(info)
}

// matches reports whether a name, or a pattern of names such as vg0/*, is a snapshot's.
func matches(pattern, name string) bool {
	if pattern == name {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// couldBeVolumes reports whether a name is a pattern of VG/LV.
func couldBeVolumes(name string) bool {
	return IsPattern(name) && strings.Count(name, "/") == 1 && !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, ".")
}

// isFile reports whether a name is a file's, which device-mapper knows nothing of.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// status is how an active snapshot is; there is false where it is gone.
func (l *Lookout) status(of *Listed) (s Seen, there bool) {
	s = Seen{Name: of.Name, Origin: of.Origin, Active: true}
	name, t, err := l.mapper.Status(of.serves.Number)
	if err != nil || name != of.serves.Name {
		return s, false
	}
	allocated, total, metadata, word, ok := t.SnapshotStatus()
	if !ok {
		return s, false // its table is another one now
	}
	s.Merging = t.Type == "snapshot-merge"
	if word != "" {
		s.State = strings.ToLower(word)
		return s, true
	}
	s.State = look.Valid.String()
	g, err := format.NewGeometry(uint32(of.chunk))
	if err == nil {
		s.Usage, s.Known = look.StatusUsage(g, format.Sectors(allocated), format.Sectors(total), format.Sectors(metadata))
	}
	return s, true
}

// findInactive looks at the snapshots that LVM has on record, that are not active, and that are not named one by one.
func (l *Lookout) findInactive() error {
	l.inactive = nil
	if len(l.Names) > 0 && !slices.ContainsFunc(l.Names, couldBeVolumes) {
		return nil
	}
	session := Open(l.Options)
	defer session.Close()
	i, err := session.Inventory()
	if err != nil {
		return err
	}
	l.unseen[ofRecords] = nil
	if all := slices.Concat(i.Closed, i.Empty, i.Faults, i.Unread); len(all) > 0 {
		l.unseen[ofRecords] = all[0] // one says enough
	}
	for _, of := range i.All {
		if of.Active && len(l.Options.Where) == 0 || !l.wantsRecorded(of) {
			continue
		}
		if err := session.Examine(of); err != nil {
			return err
		}
		l.inactive = append(l.inactive, seen(of.Name, of.Used(), of.Err))
	}
	return nil
}

func (l *Lookout) wantsRecorded(of *Listed) bool {
	return len(l.Names) == 0 || !slices.Contains(l.Names, of.Name) && slices.ContainsFunc(l.Names, func(n string) bool { return matches(n, of.Name) })
}

// named are the stores that were named, and are not active: VG/LV, COW devices and images.
func (l *Lookout) named(all []Seen) (more []Seen, err error) {
	for _, name := range l.Names {
		if !IsPattern(name) && (l.found[name] || l.stood[name] && !IsVolume(name) && !exists(name)) {
			continue // it is seen; or it has stood for a snapshot that is gone, and stands for nothing now
		}
		for _, f := range l.files[name] {
			if l.taken[f.number] || hasSeen(all, f.path) || hasSeen(more, f.path) {
				continue
			}
			s, err := l.read(f.path)
			if err != nil {
				return nil, err
			}
			more = append(more, s)
		}
	}
	return more, nil
}

func hasSeen(all []Seen, name string) bool {
	return slices.ContainsFunc(all, func(s Seen) bool { return s.Name == name })
}

// read reads a store. The error is the refusal of an interruption, or of wrong use.
func (l *Lookout) read(name string) (Seen, error) {
	session := Open(l.Options)
	defer session.Close()
	u, err := session.Usage(Request{COW: name}, OriginFacts{})
	var r *Refusal
	switch {
	case err == nil:
		return seen(name, u, u.Unread()), nil
	case errors.As(err, &r) && (r.Code == WrongUse || r.Code == Interrupted):
		return Seen{}, err
	}
	return seen(name, nil, err), nil
}

// seen is how a store is that was read; u is nil where it could not be.
func seen(name string, u *Used, err error) Seen {
	s := Seen{Name: name, State: "unreadable", Err: err}
	if u == nil {
		return s
	}
	s.Origin, s.Merging = u.Origin.Name, u.Merging
	if err == nil {
		s.State = u.Survey.State().String()
		s.Usage, s.Known = u.Survey.Usage, u.Survey.Complete() && u.Survey.State() != look.Damaged
	}
	return s
}
