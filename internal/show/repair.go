package show

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/repair"
	"dmcow/snapshot"
)

// Repair is a repair that is planned.
type Repair struct {
	*repair.Plan
	Device   string
	Relisted bool // the header is written anew: it is shown what the list then is
	Verbose  bool // all that is written is shown
}

// Write writes what is wrong, what would be repaired, and how.
func (r *Repair) Write(t *Text) error {
	t.Line("%s: %s", words.Printable(r.Device), t.headline(&r.Before))
	for _, x := range r.Repaired {
		what := "to repair"
		if x.Loses {
			what = "to repair, which may lose " + Loss(x.Lost, x.LostMore)
		}
		t.resolution(what, x)
	}
	for _, x := range r.Undecided {
		t.resolution("to be decided", x)
		t.Line("  choose: %s", x.Advice)
	}
	r.left(t)
	if len(r.Steps) == 0 {
		return t.err
	}
	if r.Relisted {
		r.list(t)
	}
	r.steps(t)
	t.Line("\nthen: %s", t.headline(&r.After))
	if r.More {
		t.Line("One plan cannot hold all repairs: run the same command again afterwards.")
	}
	return t.err
}

// Loss is what may be lost: exceptions, as far as their number is known.
func Loss(exceptions uint64, more bool) string {
	switch {
	case exceptions == 0:
		return "data"
	case more:
		return words.Count(exceptions, "exception") + " or more"
	}
	return words.Count(exceptions, "exception")
}

func (t *Text) resolution(what string, x repair.Resolution) {
	t.Line("\n%s: %s", what, x.Rule.Name)
	for _, line := range x.Lines {
		t.Line("  %s", line)
	}
	if more := x.Count - uint64(len(x.Lines)); more > 0 {
		t.Line("  and %d more", more)
	}
}

// left tells of errors that the plan does not repair, but for those that wait to be decided.
func (r *Repair) left(t *Text) {
	for _, x := range r.After.Tallies {
		waits := slices.ContainsFunc(r.Undecided, func(u repair.Resolution) bool { return u.Rule == x.Rule })
		if x.Severity != check.Error || waits {
			continue
		}
		first := x.Findings[0]
		if len(r.Undecided) > 0 {
			t.Line("\nleft for now: %s (decide the above first)", x.Name)
			t.Line("  %s", first.Told())
			continue
		}
		t.Line("\nleft: %s", x.Name)
		t.Line("  %s", first.Told())
		if first.Remedy() != "" {
			t.Line("  repair: %s", first.Remedy())
		}
	}
}

// fewRows is how many exceptions of a list are shown.
const fewRows = 10

// list shows what the list would be, behind a header that is written anew.
func (r *Repair) list(t *Text) {
	d, g := r.Result(), r.Geometry()
	t.Line("\nthe list would then be:")
	rows := 0
	_, err := format.Each(format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: g}, nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if rows++; rows > fewRows {
				return errEnoughRows
			}
			t.Line("  area %d slot %d: %d -> %d", at.Area, at.Index, x.Old, x.New)
		}
		return nil
	})
	switch {
	case rows == 0:
		t.Line("  empty")
	case errors.Is(err, errEnoughRows):
		t.Line("  and %d more", r.After.Exceptions-fewRows)
	}
}

// errEnoughRows ends a look at a list.
var errEnoughRows = errors.New("enough rows")

// fewEdits is how many edits are shown where -v does not ask for all.
const fewEdits = 6

// steps shows what is written, byte for byte; of many alike, the first.
func (r *Repair) steps(t *Text) {
	t.Line("\nwhat will be written; each step is durable before the next:")
	lines, shown := 0, 0
	g := r.Geometry()
	for i, s := range r.Steps {
		if r.isEnough(lines) {
			break
		}
		t.Line("  step %d", i+1)
		for _, c := range s.Copies {
			t.Line("    byte %d: copy to chunk %d from byte %d, chunk %d: %s", g.Offset(c.To), c.To, g.Offset(c.From), c.From, c.Why)
			lines, shown = lines+1, shown+1
		}
		for rest := s.Edits; len(rest) > 0 && !r.isEnough(lines); lines++ {
			n := r.alike(rest)
			r.edits(t, rest[:n])
			rest, shown = rest[n:], shown+n
		}
	}
	if more := r.Writes() - shown; more > 0 {
		t.Line("  and %s (-v shows them)", words.Count(more, "more write"))
	}
}

// isEnough reports whether so many edits are enough.
func (r *Repair) isEnough(lines int) bool { return lines >= fewEdits && !r.Verbose }

// edits shows edits that are alike.
func (r *Repair) edits(t *Text, all []repair.Edit) {
	e, last := all[0], all[len(all)-1]
	t.Line("    byte %d: %s\n      was %s\n      is  %s", e.Offset, e.Why, r.bytes(e.Old), r.bytes(e.New))
	if len(all) > 1 {
		t.Line("    and %d more like it, to byte %d (-v shows them): %s", len(all)-1, last.Offset, last.Why)
	}
}

// alike is how many edits, from the first on, write the same one behind the other, or the exceptions of a run. With -v
// each is shown.
func (r *Repair) alike(all []repair.Edit) int {
	n := 1
	for !r.Verbose && n < len(all) && goesOn(all[n-1], all[n]) {
		n++
	}
	return n
}

// goesOn reports whether an edit goes on where another one ends.
func goesOn(before, e repair.Edit) bool {
	if e.Offset != before.Offset+format.Bytes(len(before.New)) || len(e.New) != len(before.New) {
		return false
	}
	if bytes.Equal(e.New, before.New) {
		return true
	}
	if len(e.New) != format.ExceptionSize {
		return false
	}
	x, y := format.DecodeException(before.New), format.DecodeException(e.New)
	return y.Old == x.Old+1 && y.New == x.New+1
}

// bytes shows some bytes; of many, the first.
func (r *Repair) bytes(p []byte) string {
	const few = 32
	switch {
	case len(p) > format.ExceptionSize && bytes.Count(p, []byte{0}) == len(p):
		return strconv.Itoa(len(p)) + " zeros"
	case len(p) > few && !r.Verbose:
		return fmt.Sprintf("% x ... (%d bytes)", p[:few], len(p))
	}
	return fmt.Sprintf("% x", p)
}

// Repaired is what has come of a repair.
func Repaired(t *Text, done snapshot.Repaired) error {
	name, now := words.Printable(done.Written), t.headline(&done.Report)
	switch {
	case done.Faults == 0:
		t.Line("%s: a copy; nothing to repair; %s", name, now)
	case done.Loses:
		t.Line("%s: repaired %s, which may have lost %s; now %s", name, words.Count(done.Faults, "finding"), Loss(done.Lost, done.LostMore), now)
	default:
		t.Line("%s: repaired %s; now %s", name, words.Count(done.Faults, "finding"), now)
	}
	return t.err
}
