package cmd

import (
	"errors"
	"fmt"
	"strings"

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
	section   `embed:""`
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
	unsynced   error // why what was written could not be made durable
}

// access is what a snapshot is opened for.
type access int

const (
	toRead     access = iota
	toWrite           // to the store
	toForetell        // whether it could be written to
	toCompare         // as toRead, but the kernel may be at work on it
	toList            // for its list of exceptions alone: the same
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
	if err = s.openCOW(n, v, to); err == nil {
		err = s.openOrigin(origin)
	}
	if err == nil && s.isUndo && (to == toWrite || to == toForetell) {
		err = &failure{s.path, statusFailed, errors.New("refused: is an undo log, which can only be read")}
	}
	if err == nil {
		err = s.openView(v, to)
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
		return named{}, usageError{errors.New("missing flags: --origin=ORIGIN")}
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
	if to != toList && to != toCompare && len(s.holders) > 0 && s.id.State == store.Valid {
		return &failure{s.path, statusFailed, fmt.Errorf("in use by %s: while the kernel adds to it, it cannot be read reliably. "+
			"Read the snapshot's own device, or deactivate the snapshot first", strings.Join(s.holders, ", "))}
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
		return s.refuseForeign(n)
	}
	if err := s.isOrigin(s.origin); err != nil {
		return err
	}
	if v := s.cow.volume; v != nil && v.OriginSize != 0 && v.OriginSize != s.origin.Size() {
		return &failure{n.path, statusFailed, fmt.Errorf("refused: it has %d bytes, and the origin of %s has %d", s.origin.Size(), printable(s.path), v.OriginSize)}
	}
	return nil
}

// refuseForeign is the failure of a device that an undo log does not belong to.
func (s *snapshot) refuseForeign(n named) error {
	err := store.Belongs(s.cow.device, s.origin, true)
	switch {
	case errors.As(err, new(*store.ForeignUndoError)):
		return &failure{n.path, statusFailed, fmt.Errorf("refused: %w", err)}
	case err != nil:
		return s.unreadable(s.path, err)
	}
	return nil
}

// openView opens the snapshot itself, and tells what the check of its store has found.
func (s *snapshot) openView(v viewing, to access) (err error) {
	p := s.walking(s.cow, true)
	defer p.end()
	o := view.Options{
		COW: s.cow.device, Origin: s.origin, InvalidOK: v.InvalidOK, Live: len(s.holders) > 0,
		ListOnly: to == toList, Words: device.Words, Memory: device.LargePages, Visit: p.area,
	}
	if to == toWrite {
		o.To = s.out
	}
	s.view, err = view.Open(o)
	p.end()
	var h *store.HiddenError
	switch {
	case errors.Is(err, errInterrupted):
		return ended(s.path, err)
	case errors.Is(err, view.ErrDamaged), errors.As(err, &h):
		return &failure{s.path, s.outcomes.damaged, fmt.Errorf("refused: %w; dmcow check %s tells more", err, s.again())}
	case err != nil:
		return s.unreadable(s.path, err)
	}
	s.tellDamage()
	return nil
}

// doubtful are findings that tell of more than the chunk that they name.
var doubtful = map[string]string{
	"duplicate-old-chunk":     "; one of the two may be of another chunk, which then shows what the origin has",
	"old-chunk-beyond-origin": "; if it is the right origin, the exception is of another chunk, which then shows what the origin has",
}

// tellDamage says what the check has found, and adds its status.
func (s *snapshot) tellDamage() {
	r := s.view.Report()
	for _, t := range r.Tallies {
		if t.Severity != check.Error {
			continue
		}
		f := t.Findings[0]
		where := f.Where()
		if where != "" {
			where += ": "
		}
		s.say(s.path, "damaged: %s (%s): %s%s%s", t.Name, count(t.Count, "time"), where, f.Message(), doubtful[t.Name])
		s.status |= s.outcomes.damaged
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
	if s.origin != nil {
		s.origin.Close()
	}
	if s.cow != nil {
		s.cow.close()
	}
	return err
}
