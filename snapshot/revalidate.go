package snapshot

import (
	"errors"
	"fmt"

	"dmcow/repair"
	"dmcow/store/look"
)

// RevalidateRequest says which snapshot is to be marked valid again.
type RevalidateRequest struct {
	Request
	Base BaseRequest
	Undo string // the file of an undo log; empty for none
	// OriginUnchanged says that the origin was not written since the snapshot was lost, which
	// nothing on the COW device tells.
	OriginUnchanged bool
	DryRun          bool // open nothing for writing
}

// Revalidate is a snapshot that is to be marked valid.
type Revalidate struct {
	COW    *COW
	Marked bool       // valid already
	Usage  look.Usage // of the store, where it is not

	planned *planned
	request RevalidateRequest
	checked bool // Check has found nothing
}

// PlanRevalidate looks at what is to be marked. The error is a [*Refusal].
func (s *Session) PlanRevalidate(r RevalidateRequest) (*Revalidate, error) {
	p, err := s.openPlanned(r.Request, r.Base, r.DryRun)
	if err != nil {
		return nil, err
	}
	v := &Revalidate{COW: p.target.COW, planned: p, request: r}
	if err := v.look(); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// look finds out whether the snapshot may be marked, and what there is to know before.
func (v *Revalidate) look() error {
	name := v.COW.Text
	switch id := v.COW.Identity; id.State {
	case look.Valid, look.Invalid:
	case look.Uninitialized:
		return refusef(name, Blank, "%s: there is no snapshot to mark", id.State)
	default:
		return refuse(name, CodeOf(id.State), errors.New(id.Fault))
	}
	if err := v.makePlan(); err != nil || v.Marked {
		return err
	}
	survey, err := v.planned.session.Survey(v.COW)
	v.Usage = survey.Usage
	return err
}

// makePlan plans to mark the snapshot valid. The error is the refusal of a store that is not sound.
func (v *Revalidate) makePlan() (err error) {
	w := v.planned.session.walking(v.COW)
	defer w.end()
	o := v.planned.options()
	o.Visit = w.area
	v.planned.plan, err = repair.Revalidate(o)
	switch {
	case errors.Is(err, repair.ErrNotInvalid):
		v.Marked = true
		return nil
	case errors.As(err, new(*repair.UnsoundError)):
		return refuse(v.COW.Text, Damaged, fmt.Errorf("refused: %w", err), RunRepair)
	}
	return failed(v.COW.Text, Unreadable, err)
}

// Check refuses to mark it where the caller has not said what nobody else can know, or where no
// undo log can be kept. Do does it where nobody has.
func (v *Revalidate) Check() error {
	switch {
	case v.checked:
		return nil
	case !v.request.OriginUnchanged:
		return refuse(v.COW.Text, Unable, errors.New("refused: nothing on the COW device tells whether the origin was written after the snapshot was lost"), Assume)
	case v.request.Undo != "" && !v.request.DryRun:
		if err := v.planned.keep(v.request.Undo); err != nil {
			return err
		}
	}
	v.checked = true
	return nil
}

// Close closes the device.
func (v *Revalidate) Close() { v.planned.close() }

// Do marks the snapshot. The error is a [*Refusal]; undo names the log that takes back what was
// written.
func (v *Revalidate) Do() (undo string, err error) {
	if err = foretold(v.COW.Text, v.request.DryRun); err == nil {
		err = v.Check()
	}
	if err != nil {
		return "", err
	}
	err = v.planned.write()
	return v.planned.undoName(), err
}
