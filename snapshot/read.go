package snapshot

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/store"
	"dmcow/view"
)

// ViewRequest says which snapshot is to be seen, and what is allowed.
type ViewRequest struct {
	Request
	Origin    string // may be empty for VG/LV
	InvalidOK bool   // also one that is marked invalid
	DamagedOK bool   // also what is not certain: as the list has it, and else as the origin does
	Live      bool   // also what somebody else is using
}

// Snapshot is a snapshot that can be seen: a COW device, and its origin.
type Snapshot struct {
	View   *view.View
	COW    *COW
	Origin *Origin
	IsUndo bool // the store is an undo log: it shows what a device was

	session *Session
	out     *device.Writable // the COW device, where it is written to
	claims  []func()         // give back what was claimed
}

// access is what a snapshot is opened for.
type access int

const (
	toRead     access = iota
	toWrite           // to the store
	toForetell        // whether it could be written to
	toList            // for its list of exceptions alone: the kernel may be at work on it
)

// Read opens a snapshot to be read. The error is a [*Refusal].
func (s *Session) Read(r ViewRequest) (*Snapshot, error) { return s.see(r, toRead) }

// List opens a snapshot for its [view.View.Changes]: it may be active.
func (s *Session) List(r ViewRequest) (*Snapshot, error) { return s.see(r, toList) }

// Write opens a snapshot to be read, and to be written: to its store.
func (s *Session) Write(r ViewRequest) (*Snapshot, error) { return s.see(r, toWrite) }

// TryWrite is Write without opening anything for writing.
func (s *Session) TryWrite(r ViewRequest) (*Snapshot, error) { return s.see(r, toForetell) }

// see opens a snapshot, and notes what is wrong with it.
func (s *Session) see(r ViewRequest, how access) (*Snapshot, error) {
	n, err := s.find(r.COW, how == toWrite)
	if err == nil {
		err = checkCOWName(n, r.Part)
	}
	if err != nil {
		return nil, err
	}
	origin, err := s.originOf(n, r.Origin)
	if err != nil {
		return nil, err
	}
	seen := &Snapshot{session: s}
	if err = seen.openCOW(n, r, how); err == nil {
		err = seen.openOrigin(origin)
	}
	if err == nil && !r.Live && how != toList {
		err = seen.claim(how)
	}
	if err == nil && seen.IsUndo && (how == toWrite || how == toForetell) {
		err = refusef(n.Text, Unable, "refused: is an undo log, which can only be read")
	}
	if err == nil {
		err = seen.openView(r, how)
	}
	if err == nil && how != toList {
		err = seen.checkBearing(r)
	}
	if err != nil {
		seen.Close()
		return nil, err
	}
	return seen, nil
}

// openCOW opens the COW device, and refuses one whose snapshot cannot be shown.
func (n *Snapshot) openCOW(name Name, r ViewRequest, how access) (err error) {
	writes := how == toWrite || how == toForetell
	if writes {
		var t *Target
		if t, err = n.session.target(name, r.Request, how == toForetell); err == nil {
			n.COW, n.out = t.COW, t.out
		}
	} else {
		n.COW, err = n.session.look(name, r.Request)
	}
	if err != nil {
		return err
	}
	switch id := n.COW.Identity; id.State {
	case store.Valid:
	case store.Invalid:
		if writes {
			return refuse(name.Text, Invalid, errors.New("refused: the snapshot is marked invalid, and can only be read"), AllowInvalid)
		}
		if !r.InvalidOK {
			return refuse(name.Text, Invalid, errors.New("the snapshot is marked invalid: mostly it ran full, and what was written to the origin after that has no copy"), AllowInvalid, RunRevalidate)
		}
		n.session.note(name.Text, Fine, "the snapshot is marked invalid: what was written to the origin since it was lost shows in it, and nobody can tell where")
	case store.Uninitialized:
		return refuse(name.Text, Blank, fmt.Errorf("%s: there is no snapshot to be seen", id.State), RunCheck)
	default:
		return refuse(name.Text, CodeOf(id.State), errors.New(id.Fault), RunCheck)
	}
	if how != toList && !r.Live && len(n.COW.Holders) > 0 && n.COW.Identity.State == store.Valid {
		return inUse(name.Text, n.COW.Holders)
	}
	return nil
}

// openOrigin opens the origin, and refuses what is none.
func (n *Snapshot) openOrigin(name Name) error {
	d, err := n.session.open(name)
	if err != nil {
		return err
	}
	n.Origin = &Origin{name, d}
	if err := overlapping(name.Text, n.COW.Device, d, n.COW.Text, "the snapshot's origin"); err != nil {
		return err
	}
	if err := checkTarget(d, name.Text); err != nil {
		return err
	}
	if name.Volume != nil && name.Volume.Snapshot != nil {
		return refusef(name.Text, Unable, "is a snapshot, expected an origin")
	}
	if n.IsUndo, err = store.IsUndo(n.COW.Device); err != nil {
		return refuse(n.COW.Text, Unreadable, err)
	}
	if n.IsUndo {
		return n.session.checkBelongs(n.COW, d, true)
	}
	if err := checkOrigin(d, name.Text); err != nil {
		return err
	}
	if v := n.COW.Volume; v != nil && v.OriginSize != 0 && v.OriginSize != d.Size() {
		return refusef(name.Text, Unable, "refused: it has %d bytes, and the origin of %s has %d", d.Size(), words.Printable(n.COW.Text), v.OriginSize)
	}
	return nil
}

// openView opens the snapshot itself, and notes what the check of its store has found.
func (n *Snapshot) openView(r ViewRequest, how access) (err error) {
	w := n.session.walking(n.COW)
	defer w.end()
	o := view.Options{
		COW: n.COW.Device, Origin: n.Origin.Device, Size: n.COW.ownSize(), InvalidOK: r.InvalidOK, DamagedOK: r.DamagedOK,
		Live: n.live(), ListOnly: how == toList, Visit: w.area,
	}
	if how == toWrite {
		o.To = n.out
	}
	n.View, err = view.Open(o)
	if err == nil && how == toForetell && n.View.Report().Against(func(m check.Meaning) bool { return m.Writable }) != nil {
		err = view.ErrDamaged
	}
	switch {
	case errors.Is(err, view.ErrDamaged):
		return refuse(n.COW.Text, Damaged, fmt.Errorf("refused: %w", err), RunCheck)
	case err != nil:
		return failed(n.COW.Text, Unreadable, err)
	}
	n.noteDamage()
	return nil
}

// noteDamage notes what the check has found, and whether that leaves a doubt.
func (n *Snapshot) noteDamage() {
	s, name, r := n.session, n.COW.Text, n.View.Report()
	s.mention(name, r)
	for _, t := range r.Tallies {
		if t.Severity != check.Error {
			continue
		}
		doubt, code := "; the snapshot shows the same", Fine
		switch m := t.Meaning; {
		case !m.UnlistedCertain:
			doubt = "; an exception may be lost, and nobody knows of which chunk: none without an exception is certain"
		case !m.NamedCertain:
			doubt = ""
		}
		if !t.Meaning.Certain() {
			code = Damaged
		}
		s.note(name, code, "damaged: %s (%s): %s%s", t.Name, words.Count(t.Count, "time"), t.Findings[0].Told(), doubt)
	}
	for _, unread := range r.Unread {
		s.note(name, Unreadable, "%v", unread)
	}
	for _, what := range r.Untested {
		s.detail(name, "not tested: %s", what)
	}
}

// mention notes what is worth knowing of a store before something is begun with it, without what
// one of the rules says.
func (s *Session) mention(name string, r check.Report, but ...*check.Rule) {
	for _, t := range r.Tallies {
		if t.Meaning.Mention && !slices.Contains(but, t.Rule) {
			s.note(name, Fine, "%s: %s", t.Name, t.Findings[0].Told())
		}
	}
}

// checkBearing refuses a snapshot that lacks what its origin bears: then that is mostly no origin,
// but the disk that has it. A logical volume is what it is named, whatever it bears.
func (n *Snapshot) checkBearing(r ViewRequest) error {
	if n.IsUndo || n.Origin.Volume != nil {
		return nil
	}
	before, err := device.Bearings(n.Origin.Device, n.Origin.Device.Size())
	if err != nil || len(before) == 0 {
		return nil
	}
	after, err := device.Bearings(n.View, n.View.Size())
	if err != nil {
		return nil // reading will tell
	}
	lost := slices.DeleteFunc(before, func(b device.Bearing) bool {
		return slices.ContainsFunc(after, func(a device.Bearing) bool { return a.Name == b.Name && a.Offset == b.Offset })
	})
	if len(lost) == 0 {
		return nil
	}
	what := fmt.Sprintf("it bears %s, which the snapshot does not: is it the snapshot's origin, and not the disk or the physical volume that has that?", bearingNames(lost))
	if r.DamagedOK {
		n.session.note(n.Origin.Text, Damaged, "%s", what)
		return nil
	}
	return refuse(n.Origin.Text, Damaged, errors.New("refused: "+what), AllowDamaged)
}

// bearingNames are the names of what is borne, each once.
func bearingNames(all []device.Bearing) string {
	var names []string
	for _, b := range all {
		if !slices.Contains(names, b.Name) {
			names = append(names, b.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Failed makes a refusal of the error with which reading ended, and says which device it is about;
// others it passes on.
func (n *Snapshot) Failed(err error) error {
	var u *view.UncertainError
	var r *view.ReadError
	switch {
	case errors.As(err, &u):
		return refuse(n.COW.Text, Damaged, err)
	case errors.As(err, &r) && r.Origin:
		return refuse(n.Origin.Device.Path(), Unreadable, err)
	case errors.As(err, &r):
		return refuse(n.COW.Text, Unreadable, err)
	}
	return err
}

// WriteUncertain writes the stretches that are not certain, in bytes: a line "offset,length" each.
func (n *Snapshot) WriteUncertain(w io.Writer) error {
	for r := range n.View.Uncertain() {
		if _, err := fmt.Fprintf(w, "%d,%d\n", r.Offset, r.Length); err != nil {
			return err
		}
	}
	return nil
}

// Unlock gives back LVM's lock of the group, for which its commands would wait as long as a
// snapshot is open.
func (n *Snapshot) Unlock() error {
	v := n.COW.Volume
	if v == nil || v.Group == nil {
		return nil
	}
	sight, err := n.session.sees()
	if err == nil {
		sight.Unlock(v.Group)
	}
	return ofVolume(n.COW.Text, err)
}

// Close closes all of it. The error is of making durable what was written.
func (n *Snapshot) Close() (err error) {
	if n.View != nil {
		err = n.View.Close()
	}
	for _, giveBack := range n.claims {
		giveBack()
	}
	if n.Origin != nil {
		n.Origin.Close()
	}
	if n.COW != nil {
		n.COW.Close()
	}
	return err
}

// originBytes is the size of an origin, in whole sectors.
func originBytes(d *device.Device) format.Bytes {
	return format.Bytes(d.Size()) / format.SectorSize * format.SectorSize
}
