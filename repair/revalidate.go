package repair

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store/look"
)

// ErrNotInvalid says that a snapshot is not marked invalid.
var ErrNotInvalid = errors.New("the snapshot is not marked invalid")

// UnsoundError says that a store has faults that are to be mended before its snapshot is
// marked valid.
type UnsoundError struct{ Report Report }

func (e *UnsoundError) Error() string {
	for _, t := range e.Report.Tallies {
		if t.Severity == check.Error {
			first := t.Findings[0]
			return fmt.Sprintf("damaged (%s): %s", t.Name, join(first.Where(), first.Message()))
		}
	}
	return "damaged"
}

// Revalidate plans to mark a snapshot valid again: all of its store but that mark has to
// be sound. What was written to the origin while it was invalid has no copy; no store tells
// whether anything was.
//
// The error is [ErrNotInvalid], an [*UnsoundError], one of reading, or that of
// Options.Visit.
func Revalidate(o check.Options) (*Plan, error) {
	r, err := check.Make(o)
	switch {
	case err != nil:
		return nil, err
	case len(r.Unread) > 0:
		return nil, r.Unread[0]
	case r.Count(check.Error) > 0:
		return nil, &UnsoundError{r}
	case r.Identity.State != look.Invalid:
		return nil, ErrNotInvalid
	}
	p := planner{Plan: &Plan{Before: r, After: r, image: newImage(o.Device), geometry: r.Identity.Geometry}}
	p.After.Identity.State = look.Valid
	raw := make([]byte, format.HeaderSize)
	h := r.Identity.Header
	h.Valid = 1
	h.Encode(raw)
	var s Step
	if err := p.edit(&s, 0, raw, "the header, marked valid"); err != nil {
		return nil, err
	}
	p.then(s)
	return p.Plan, nil
}
