package repair

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/store/look"
)

// ErrNotInvalid says that a snapshot is not marked invalid.
var ErrNotInvalid = errors.New("the snapshot is not marked invalid")

// UnsoundError says that a store has errors that are to be repaired before its snapshot is
// marked valid.
type UnsoundError struct{ Report check.Report }

func (e *UnsoundError) Error() string {
	for _, t := range e.Report.Tallies {
		if t.Severity == check.Error {
			return fmt.Sprintf("damaged (%s): %s", t.Name, t.Findings[0].Told())
		}
	}
	return "damaged"
}

// Revalidate plans to mark a snapshot valid again: all of its store but that mark has to
// be sound. What was written to the origin while it was invalid has no copy; no store tells
// whether anything was.
//
// The error is [ErrNotInvalid], an [*UnsoundError], one of reading, or one of
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
	h := r.Identity.Header
	h.Valid = 1
	if err := p.writeHeader(h, "the header, marked valid"); err != nil {
		return nil, err
	}
	return p.Plan, nil
}
