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
	*Edits
	Marked bool       // valid already
	Usage  look.Usage // of the store, where it is not

	request RevalidateRequest
}

// PlanRevalidate looks at what is to be marked. The error is a [*Refusal].
func (s *Session) PlanRevalidate(r RevalidateRequest) (*Revalidate, error) {
	p, err := s.openEdits(r.Request, r.Base, r.DryRun)
	if err != nil {
		return nil, err
	}
	v := &Revalidate{Edits: p, request: r}
	if err = v.COW.checkStore("no snapshot to mark"); err == nil {
		err = v.makePlan()
	}
	if err == nil && !v.Marked {
		var survey look.Survey
		survey, err = s.Survey(v.COW)
		v.Usage = survey.Usage
	}
	return orClose(v, err)
}

// makePlan plans to mark the snapshot valid. The error is the refusal of a store that is not sound.
func (v *Revalidate) makePlan() (err error) {
	w := v.session.walking(v.COW)
	defer w.End()
	o := v.COW.checkOptions(v.base)
	o.Visit = w.area
	v.Plan, err = repair.Revalidate(o)
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
		return refuse(v.COW.Text, Unable, errors.New("refused: the COW device does not show whether the origin was written after the snapshot was lost"), Assume)
	case v.request.Undo != "" && !v.request.DryRun:
		if err := v.keep(v.request.Undo); err != nil {
			return err
		}
	}
	v.checked = true
	return nil
}

// Do marks the snapshot. The error is a [*Refusal]; undo names the log that takes back what was written.
func (v *Revalidate) Do() (undo string, err error) {
	if err = checkReal(v.COW.Text, v.request.DryRun); err == nil {
		err = v.Check()
	}
	if err != nil {
		return "", err
	}
	err = v.write()
	return v.undoName(), err
}
