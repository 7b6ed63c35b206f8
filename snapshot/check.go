package snapshot

import (
	"errors"
	"slices"

	"dmcow/check"
	"dmcow/format"
	"dmcow/lvm"
	"dmcow/store/undo"
)

// CheckRequest says which store is to be checked, and what is known of its origin.
type CheckRequest struct {
	Request
	Base BaseRequest
	All  bool // Each shows all findings, not only those that a report keeps
}

// Checked is a store that was checked.
type Checked struct {
	COW     *COW
	Report  check.Report
	Options check.Options // as it was checked
	IsUndo  bool          // the store is an undo log: that it is full and has labels in chunks of its own is as it must be
	all     bool
	base    Base
	session *Session
}

// Check checks a store. The error is a [*Refusal].
func (s *Session) Check(r CheckRequest) (*Checked, error) {
	n, err := s.find(r.COW, false)
	if err != nil {
		return nil, err
	}
	s.readRecord(n)
	base, err := s.baseOf(r.Base, n)
	if err != nil {
		return nil, err
	}
	c, err := s.openToLook(n, r.Request)
	if err != nil {
		base.Close()
		return nil, err
	}
	x := &Checked{COW: c, Options: c.checkOptions(base), all: r.All, base: base, session: s}
	return orClose(x, inTurn(c.checkContainer, func() error { return s.noteMerging(c) }, x.run))
}

func (c *COW) checkOptions(b Base) check.Options {
	return check.Options{
		Device: c.Device, Origin: b.Size, Content: b.content(c), Recorded: format.Sectors(c.Recorded()),
		Live: len(c.Holders) > 0,
	}
}

// checkContainer refuses a file that keeps a disk, but not as that is.
func (c *COW) checkContainer() error {
	if c.Container == "" {
		return nil
	}
	return refuse(c.Text, Foreign, errors.New(c.Container))
}

func (x *Checked) run() (err error) {
	s := x.session
	if x.Report, err = s.check(x.COW, x.Options); err != nil {
		return failed(x.COW.Text, Unreadable, err)
	}
	if x.IsUndo, err = undo.IsLog(x.COW.Device); err != nil {
		x.IsUndo, err = false, nil // what cannot be read was told
	}
	s.findDelta(x.COW)
	if x.IsUndo || x.COW.Delta != nil {
		x.Report.Tallies = slices.DeleteFunc(x.Report.Tallies, func(t check.Tally) bool { return t.Rule == check.Full || t.Rule == check.LeakedChunks })
	}
	if d := x.COW.Delta; d != nil && d.Count != x.Report.Exceptions {
		s.note(x.COW.Text, Fine, "the list has %d exceptions, and the delta had %d: it was merged in part, or written to", x.Report.Exceptions, d.Count)
	}
	for _, err := range x.Report.Unread {
		s.note(x.COW.Text, Unreadable, "%v", err)
	}
	s.noteFormer(x.COW)
	if v := x.COW.Volume; v != nil && v.Gone != nil { // it was told
		x.Report.Unread = append(x.Report.Unread, v.Gone)
	}
	return nil
}

// noteFormer says what of the COW volume lay elsewhere before it was reduced: what the store had there is not in it.
func (s *Session) noteFormer(c *COW) {
	v := c.Volume
	if v != nil && v.Active != nil {
		group, logical, _ := lvm.SplitName(c.Text)
		v, _ = s.recorded(c.Text, group, logical, false) // where it cannot be read, that was told
	}
	if v == nil {
		return
	}
	for _, text := range v.Former() {
		s.note(c.Text, Fine, "%s", text)
	}
}

func (s *Session) check(c *COW, o check.Options) (check.Report, error) {
	w := s.walking(c)
	defer w.End()
	o.Visit = w.area
	return check.Make(o)
}

// checkAll is check, where all of the store has to be read.
func (s *Session) checkAll(c *COW, o check.Options) (check.Report, error) {
	r, err := s.check(c, o)
	if err == nil && len(r.Unread) > 0 {
		err = r.Unread[0]
	}
	return r, err
}

// Each calls show with the findings of a rule. A report does not keep them all: where there are more,
// and all were asked for, the check is done again. The error is show's, or a [*Refusal].
func (x *Checked) Each(t check.Tally, show func(check.Finding) error) error {
	if !x.all || t.Count <= check.Shown {
		for _, f := range t.Findings {
			if err := show(f); err != nil {
				return err
			}
		}
		return nil
	}
	w := x.session.walking(x.COW)
	defer w.End()
	o := x.Options
	o.Visit = w.area
	var failure error
	r, err := check.Run(o, func(f check.Finding) error {
		if f.Rule == t.Rule {
			failure = show(f)
		}
		return failure
	})
	switch {
	case failure != nil:
		return failure
	case err == nil && len(r.Unread) > len(x.Report.Unread):
		err = r.Unread[0]
	}
	return failed(x.COW.Text, Unreadable, err)
}

// Close closes COW device and origin.
func (x *Checked) Close() {
	x.COW.Close()
	x.base.Close()
}
