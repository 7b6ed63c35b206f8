package cmd

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/internal/device"
	"dmcow/store"
	"dmcow/view"
)

// viewing is the flags of the commands that show what a snapshot holds.
type viewing struct {
	COW       path `arg:"" help:"COW device of the snapshot, an image of one, or VG/LV; or an undo log."`
	Origin    path `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it. Of VG/LV it is known."`
	InvalidOK bool `name:"invalid-ok" help:"Show a snapshot that is marked invalid, too: what was written to the origin since it was lost shows in it."`
	DamagedOK bool `name:"damaged-ok" help:"Show also what is not certain, for the store is damaged or the origin does not fit: as the list has it, and else as the origin does. The exit status is 4."`
	Uncertain path `placeholder:"FILE" help:"Write a list of the stretches that are not certain, as CSV."`
	Live      bool `help:"Read also what somebody else is using: what is written meanwhile shows in part."`
	section   `embed:""`

	dryRun bool   `kong:"-"` // nothing is written
	output []path `kong:"-"` // files that the command writes
}

// snapshot is a snapshot that was opened: a COW device, and its origin.
type snapshot struct {
	*app
	*cow
	out    *device.Writable // the COW device, where it is written to
	origin *device.Device
	view   *view.View
	isUndo bool // the store is an undo log

	originName string
	claims     []func() // give back what was claimed
	unsynced   error    // why what was written could not be made durable
}

// access is what a snapshot is opened for.
type access int

const (
	toRead     access = iota
	toWrite           // to the store
	toForetell        // whether it could be written to
	toList            // for its list of exceptions alone: the kernel may be at work on it
)

// openSnapshot opens a snapshot, and tells what is wrong with it. The error is a failure, or
// one of use.
func (a *app) openSnapshot(v viewing, to access) (*snapshot, error) {
	n, err := a.named(string(v.COW), v.volumes, to == toWrite)
	if err != nil {
		return nil, err
	}
	if err := a.asCOW(n, v.section); err != nil {
		return nil, err
	}
	origin, err := a.originOf(n, v)
	if err != nil {
		return nil, err
	}
	s := &snapshot{app: a, originName: origin.path}
	if err := s.uncertain(v.Uncertain).refuse(append(v.output, path(n.path), path(origin.path))...); err != nil {
		return nil, err
	}
	if err = s.openCOW(n, v, to); err == nil {
		err = s.openOrigin(origin)
	}
	if err == nil && !v.Live && to != toList {
		err = s.claim(origin, to)
	}
	if err == nil && s.isUndo && (to == toWrite || to == toForetell) {
		err = &failure{s.path, statusFailed, errors.New("refused: is an undo log, which can only be read")}
	}
	if err == nil {
		err = s.openView(v, to)
	}
	if err == nil && to != toList {
		err = s.refuseLacking(v, origin)
	}
	if err == nil && !v.dryRun {
		err = s.writeUncertain(v.Uncertain)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// originOf finds out which origin a snapshot has: that of a logical volume is known.
func (a *app) originOf(n named, v viewing) (named, error) {
	switch {
	case v.Origin != "":
		origin, err := a.named(string(v.Origin), v.volumes, false)
		if err == nil {
			err = refuseOtherOrigin(n, origin)
		}
		return origin, err
	case n.volume == nil:
		return named{}, usageError{errors.New("missing flags: --origin=ORIGIN (of VG/LV, in place of a path, it is known)")}
	case n.volume.Active != nil:
		return named{path: deviceName(n.volume.OriginNumber), where: v.volumes}, nil
	}
	origin := n.volume.Beside(n.volume.Snapshot.Origin)
	return named{path: origin.Name, volume: origin, where: v.volumes}, nil
}

// openCOW opens the COW device, and refuses one whose snapshot cannot be shown.
func (s *snapshot) openCOW(n named, v viewing, to access) (err error) {
	writes := to == toWrite || to == toForetell
	if writes {
		var t *target
		if t, err = s.openNamedTarget(n, writing{section: v.section, DryRun: to == toForetell}, 0); err == nil {
			s.cow, s.out = t.cow, t.out
		}
	} else {
		s.cow, err = s.openNamed(n, v.section, 0)
	}
	if err != nil {
		return err
	}
	switch id := s.id; id.State {
	case store.Valid:
	case store.Invalid:
		if writes {
			return &failure{s.path, s.outcomes.invalid, errors.New("refused: the snapshot is marked invalid, and can only be read (--invalid-ok)")}
		}
		if !v.InvalidOK {
			return &failure{s.path, s.outcomes.invalid, errors.New(invalidView)}
		}
		s.say(s.path, "the snapshot is marked invalid: what was written to the origin since it was lost shows in it, and nobody can tell where")
	case store.Uninitialized:
		return &failure{s.path, s.outcomes.blank, fmt.Errorf("%s: there is no snapshot to be seen; dmcow check %s tells more", id.State, s.again())}
	default:
		return &failure{s.path, s.outcomes.of(id.State), fmt.Errorf("%s; dmcow check %s tells more", id.Fault, s.again())}
	}
	if to != toList && !v.Live && len(s.holders) > 0 && s.id.State == store.Valid {
		return inUse(s.path, s.holders)
	}
	return nil
}

const invalidView = "the snapshot is marked invalid: mostly it ran full, and what was written to the origin after that has no copy. " +
	"--invalid-ok shows it all the same, old and new mixed; dmcow revalidate tells more"

// openOrigin opens the origin, and refuses what is none.
func (s *snapshot) openOrigin(n named) (err error) {
	if s.origin, err = s.open(n); err != nil {
		return err
	}
	if s.cow.device.Overlaps(s.origin) {
		return &failure{n.path, statusFailed, fmt.Errorf("is kept on the same bytes as %s, expected the snapshot's origin", printable(s.path))}
	}
	if t, ok := s.origin.Target(); ok && (t.Type == "snapshot" || t.Type == "snapshot-merge") {
		return &failure{n.path, statusFailed, fmt.Errorf("is a device of the %s target, expected the snapshot's origin", t.Type)}
	}
	if n.volume != nil && n.volume.Snapshot != nil {
		return &failure{n.path, statusFailed, errors.New("is a snapshot, expected an origin")}
	}
	if s.isUndo, err = store.IsUndo(s.cow.device); err != nil {
		return s.unreadable(s.path, err)
	}
	if s.isUndo {
		return s.belongs(s.cow, s.origin, true, "")
	}
	if err := s.isOrigin(s.origin); err != nil {
		return err
	}
	if v := s.cow.volume; v != nil && v.OriginSize != 0 && v.OriginSize != s.origin.Size() {
		return &failure{n.path, statusFailed, fmt.Errorf("refused: it has %d bytes, and the origin of %s has %d", s.origin.Size(), printable(s.path), v.OriginSize)}
	}
	return nil
}

// openView opens the snapshot itself, and tells what the check of its store has found.
func (s *snapshot) openView(v viewing, to access) (err error) {
	p := s.walking(s.cow, true)
	defer p.end()
	o := view.Options{
		COW: s.cow.device, Origin: s.origin, Size: s.ownSize(), InvalidOK: v.InvalidOK, DamagedOK: v.DamagedOK,
		Live: s.live(), ListOnly: to == toList, Words: device.Words, Memory: device.LargePages, Visit: p.area,
	}
	if to == toWrite {
		o.To = s.out
	}
	s.view, err = view.Open(o)
	if err == nil && to == toForetell && s.view.Report().Against(func(m check.Meaning) bool { return m.Writable }) != nil {
		err = view.ErrDamaged
	}
	p.end()
	switch {
	case errors.Is(err, errInterrupted):
		return ended(s.path, err)
	case errors.Is(err, view.ErrDamaged):
		return &failure{s.path, s.outcomes.damaged, fmt.Errorf("refused: %w; dmcow check %s tells more", err, s.again())}
	case err != nil:
		return s.unreadable(s.path, err)
	}
	s.tellDamage()
	return nil
}

// tellDamage says what the check has found, and adds its status where that leaves a doubt.
func (s *snapshot) tellDamage() {
	r := s.view.Report()
	s.mention(s.path, r)
	for _, t := range r.Tallies {
		if t.Severity != check.Error {
			continue
		}
		doubt := "; the snapshot shows the same"
		switch m := t.Meaning; {
		case !m.UnlistedCertain:
			doubt = "; an exception may be lost, and nobody knows of which chunk: none without an exception is certain"
		case !m.NamedCertain:
			doubt = ""
		}
		s.say(s.path, "damaged: %s (%s): %s%s", t.Name, count(t.Count, "time"), told(t.Findings[0]), doubt)
		if !t.Meaning.Certain() {
			s.status |= s.outcomes.damaged
		}
	}
	for _, unread := range r.Unread {
		s.fail(s.unreadable(s.path, unread))
	}
	for _, what := range r.Untested {
		s.verbose(s.path, "not tested: %s", what)
	}
}

// failed makes a failure of the error with which reading the snapshot ended, and says which
// device it is about.
func (s *snapshot) failed(err error) error {
	var u *view.UncertainError
	var r *view.ReadError
	switch {
	case errors.As(err, &u):
		return &failure{s.path, s.outcomes.damaged, err}
	case errors.As(err, &r) && r.Origin:
		return &failure{s.origin.Path(), s.outcomes.unreadable, err}
	case errors.As(err, &r):
		return s.unreadable(s.path, err)
	}
	return err
}

// close closes all of it. The error is that of making durable what was written.
func (s *snapshot) close() (err error) {
	if s.view != nil {
		err = s.view.Close()
	}
	for _, giveBack := range s.claims {
		giveBack()
	}
	if s.origin != nil {
		s.origin.Close()
	}
	if s.cow != nil {
		s.cow.close()
	}
	return err
}
