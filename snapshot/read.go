package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/signature"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/store/look"
	"dmcow/store/undo"
	"dmcow/view"
)

// ViewRequest says which snapshot is to be seen, and what is allowed.
type ViewRequest struct {
	Request
	Origin    string // may be empty for VG/LV
	InvalidOK bool   // also one that is marked invalid
	DamagedOK bool   // also what is not certain: as the list has it, and else as the origin does
	Live      bool   // also what somebody else is using
	Store     bool   // the COW device itself, whatever is on it ([Session.See] alone)
}

// Snapshot is a snapshot that can be seen: a COW device, and its origin.
type Snapshot struct {
	View   *view.View
	COW    *COW
	Origin *Origin
	IsUndo bool // the store is an undo log: it shows what a device was

	session *Session
	request ViewRequest
	how     access
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

// writes reports whether that is more than to read.
func (how access) writes() bool { return how == toWrite || how == toForetell }

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
	cow, err := s.find(r.COW, how == toWrite)
	if err == nil {
		err = checkCOWName(cow, r.Part)
	}
	if err != nil {
		return nil, err
	}
	origin, err := s.originOf(cow, r.Origin, false)
	if err != nil {
		return nil, err
	}
	n := &Snapshot{session: s, request: r, how: how}
	if err = inTurn(func() error { return n.openCOW(cow) }, func() error { return n.openOrigin(origin) }, n.claim, n.openView, n.checkBearing); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// openCOW opens the COW device, and refuses one whose snapshot cannot be shown.
func (n *Snapshot) openCOW(name Name) (err error) {
	r := n.request
	if n.how.writes() {
		if err = name.checkNotMerging(); err != nil {
			return err
		}
		var t *Target
		if t, err = n.session.target(name, r.Request, n.how == toForetell); err == nil {
			n.COW, n.out = t.COW, t.out
		}
	} else {
		n.COW, err = n.session.look(name, r.Request)
	}
	if err != nil {
		return err
	}
	if err := n.session.checkHolds(n.COW, n.request.Origin, "no snapshot to read", RunCheck); err != nil {
		return err
	}
	switch valid := n.COW.Identity.State == look.Valid; {
	case valid && (r.Live || n.how == toList):
		return nil
	case valid:
		return checkUnused(name.Text, n.COW.Holders)
	case n.how.writes():
		return refuse(name.Text, Invalid, errors.New("refused: the snapshot is marked invalid and can only be read"), AllowInvalid)
	case !r.InvalidOK:
		return refuse(name.Text, Invalid, errors.New("the snapshot is marked invalid. Most often it ran full: later writes to the origin have no copy"), AllowInvalid, RunRevalidate)
	}
	n.session.note(name.Text, Fine, "the snapshot is marked invalid: only the chunks with an exception are certain; the others also show data written to the origin after that")
	return nil
}

func (n *Snapshot) openOrigin(name Name) error {
	d, err := n.session.open(name)
	if size := name.recordedSize(); err != nil && n.how == toList && size > 0 {
		n.session.detail(name.Text, "cannot be read, which a list does not need: %v", err)
		d, err = device.Computed(name.Text, size, unreadable{err}), nil
	}
	if err != nil {
		return err
	}
	n.Origin = &Origin{name, d}
	if err := n.Origin.checkApart(n.COW.Name, n.COW.Device); err != nil {
		return err
	}
	if err := n.Origin.checkTarget(); err != nil {
		return err
	}
	if name.Volume != nil && name.Volume.Snapshot != nil {
		return refusef(name.Text, Unable, "this is a snapshot, not an origin")
	}
	if n.IsUndo, err = undo.IsLog(n.COW.Device); err != nil {
		return refuse(n.COW.Text, Unreadable, err)
	}
	if n.IsUndo {
		return n.session.checkBelongs(n.COW, d, true)
	}
	if err := n.Origin.check(); err != nil {
		return err
	}
	if n.session.findDelta(n.COW); n.COW.Delta != nil {
		return n.COW.checkDelta(n.Origin.Text, d)
	}
	return n.Origin.checkSize(n.COW)
}

// unreadable has a size, but no content that can be had.
type unreadable struct{ why error }

func (u unreadable) ReadAt([]byte, int64) (int, error) { return 0, u.why }

// openView opens the snapshot itself, and notes what the check of its store has found.
func (n *Snapshot) openView() (err error) {
	switch {
	case n.IsUndo && n.how.writes():
		return refusef(n.COW.Text, Unable, "refused: an undo log can only be read")
	case n.COW.Delta != nil && n.how.writes():
		return refusef(n.COW.Text, Unable, "refused: a delta can only be read")
	}
	w := n.session.walking(n.COW)
	defer w.End()
	o := view.Options{
		COW: n.COW.Device, Origin: n.Origin.Device, Size: n.COW.ownSize(), InvalidOK: n.request.InvalidOK, DamagedOK: n.request.DamagedOK,
		Live: n.isLive(), ListOnly: n.how == toList, Visit: w.area,
	}
	if n.how == toWrite {
		o.To = n.out
	}
	n.View, err = view.Open(o)
	if err == nil && n.how == toForetell && n.View.Report().Against(func(m check.Meaning) bool { return m.Writable }) != nil {
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
	if n.COW.Delta != nil {
		s.mention(name, r, check.Full, check.LeakedChunks)
	} else {
		s.mention(name, r)
	}
	for _, t := range r.Tallies {
		if t.Severity != check.Error {
			continue
		}
		doubt, code := "; the snapshot reads the same", Fine
		switch m := t.Meaning; {
		case !m.UnlistedCertain:
			doubt = "; an exception may be lost, so every chunk without one is uncertain"
		case !m.NamedCertain:
			doubt = ""
		}
		if !t.Meaning.Certain() {
			code = Damaged
		}
		if t.Meaning.DoubtsOrigin {
			doubt += n.Origin.question()
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
func (n *Snapshot) checkBearing() error {
	if n.how == toList || n.IsUndo || n.Origin.Volume != nil {
		return nil
	}
	before, err := signature.Bearings(n.Origin.Device, n.Origin.Device.Size())
	if err != nil || len(before) == 0 {
		return nil
	}
	after, err := signature.Bearings(n.View, n.View.Size())
	if err != nil {
		return nil // reading will tell
	}
	lost := slices.DeleteFunc(before, func(b signature.Bearing) bool {
		return slices.ContainsFunc(after, func(a signature.Bearing) bool { return a.Name == b.Name && a.Offset == b.Offset })
	})
	if len(lost) == 0 {
		return nil
	}
	what := fmt.Sprintf("it holds %s, which the snapshot does not: is it the origin, or the disk or physical volume that holds the origin?", bearingNames(lost))
	if n.request.DamagedOK {
		n.session.note(n.Origin.Text, Damaged, "%s", what)
		return nil
	}
	return refuse(n.Origin.Text, Damaged, errors.New("refused: "+what), AllowDamaged)
}

func bearingNames(all []signature.Bearing) string {
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
	var r *view.ReadError
	switch {
	case errors.As(err, new(*view.UncertainError)):
		return refuse(n.COW.Text, Damaged, err)
	case errors.As(err, &r) && r.Origin:
		return refuse(n.Origin.Device.Path(), Unreadable, err)
	case errors.As(err, &r):
		return refuse(n.COW.Text, Unreadable, err)
	}
	return err
}

// Unlock gives back LVM's lock of the group, for which its commands would wait as long as a snapshot is open.
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

// What is read must not be written meanwhile: it would be of several moments, and nobody could
// tell. So whoever may write it stops who reads, unless that is allowed; others are kept from
// beginning to, where the kernel can do that; and at the end it is looked at once more.

// checkUnused refuses a device that somebody has, who may write to it.
func checkUnused(name string, by []string) error {
	if len(by) == 0 {
		return nil
	}
	err := fmt.Errorf("in use by %s, which may write to it while dmcow reads", strings.Join(by, ", "))
	return refuse(name, Unable, words.Hint(err, "if a snapshot is active, read its own device or deactivate it"), AllowLive)
}

// claimToRead keeps others from writing to a device that is read, and refuses one that somebody may
// write to already.
func claimToRead(d *device.Device) error {
	if err := checkUnused(d.Path(), d.Writers()); err != nil {
		return err
	}
	return claimAlone(d.Path(), d)
}

func claimAlone(name string, d *device.Device) error {
	if _, err := d.Claim(); err != nil {
		return refuse(name, Unable, err, AllowLive)
	}
	return nil
}

// claim keeps others from writing to what is read, and refuses what somebody may write to already.
func (n *Snapshot) claim() error {
	if n.request.Live || n.how == toList {
		return nil
	}
	if err := checkUnused(n.Origin.Text, n.Origin.Device.Writers()); err != nil {
		return err
	}
	if err := n.claimDevice(n.COW.Name, n.COW.Device, n.how == toRead); err != nil {
		return err
	}
	return n.claimDevice(n.Origin.Name, n.Origin.Device, true)
}

func (n *Snapshot) claimDevice(name Name, d *device.Device, reads bool) error {
	release, err := claimDevice(name, d, reads)
	if release != nil {
		n.claims = append(n.claims, release)
	}
	return err
}

// claimDevice keeps others from one device. LVM is kept from activating a volume; to have the physical volumes
// for oneself would keep it from others on them, too. What is open for writing nobody else has. What release gives
// back, where it is not nil, is to be given back.
func claimDevice(name Name, d *device.Device, reads bool) (release func(), err error) {
	if v := name.Volume; v != nil && v.Group != nil && v.OnBlocks() {
		layer := ""
		if v.Snapshot != nil {
			layer = "cow"
		}
		release, err := inuse.Guard(lvm.MapName(v.Group.Name, v.Logical.Name, layer))
		if err == nil {
			return release, nil
		}
		if !errors.Is(err, inuse.ErrNoMapper) {
			return nil, refuse(name.Text, Unable, err)
		}
		reads = true
	}
	if !reads {
		return nil, nil
	}
	return nil, claimAlone(name.Text, d)
}

// CheckQuiet refuses a snapshot that came into use while it was read: what was read of it may be of
// several moments.
func (n *Snapshot) CheckQuiet() error {
	if n.out == nil && n.COW.Identity.State == look.Valid {
		if err := checkStillUnused(n.COW.Text, n.COW.Device.ActiveHolders()); err != nil {
			return err
		}
	}
	return checkQuiet(n.Origin.Device)
}

// checkQuiet refuses devices that came into use while they were read.
func checkQuiet(all ...*device.Device) error {
	for _, d := range all {
		if err := checkStillUnused(d.Path(), d.ActiveWriters()); err != nil {
			return err
		}
	}
	return nil
}

func checkStillUnused(name string, by []string) error {
	if len(by) == 0 {
		return nil
	}
	return refusef(name, Unable, "came into use by %s while dmcow read it", strings.Join(by, ", "))
}

// isLive reports whether somebody may be writing to what is read.
func (n *Snapshot) isLive() bool { return len(n.COW.Holders) > 0 || len(n.Origin.Device.Writers()) > 0 }
