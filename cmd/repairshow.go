package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/repair"
)

// text is where the words go: to standard error, where standard output has something else.
func (m *repairing) text() *lines {
	switch {
	case m.flags.CopyTo == "-":
		return linesTo(m.app.stderr)
	case m.flags.isJSON():
		return linesTo(io.Discard)
	}
	return linesTo(m.app.stdout)
}

// show writes what is wrong, what is mended, and how.
func (m *repairing) show() error {
	w := m.text()
	w.line("%s: %s", words.Printable(m.name), m.app.headline(&m.repair.Plan.Before))
	for _, x := range m.repair.Plan.Repaired {
		what := "repaired"
		if x.Loses {
			what = "repaired, with possible loss"
		}
		m.showResolution(w, what, x)
	}
	for _, x := range m.repair.Plan.Undecided {
		m.showResolution(w, "to be decided", x)
		w.line("  choose: %s", x.Advice)
	}
	m.showLeft(w)
	if len(m.repair.Plan.Steps) == 0 {
		return w.err
	}
	if m.flags.Header != nil {
		m.showList(w)
	}
	m.showSteps(w)
	w.line("\nthen: %s", m.app.headline(&m.repair.Plan.After))
	if m.repair.Plan.More {
		w.line("One plan cannot hold all repairs: then run the same command again.")
	}
	return w.err
}

func (m *repairing) showResolution(w *lines, what string, x repair.Resolution) {
	w.line("\n%s: %s", what, x.Rule.Name)
	for _, line := range x.Lines {
		w.line("  %s", line)
	}
	if more := x.Count - uint64(len(x.Lines)); more > 0 {
		w.line("  and %d more", more)
	}
}

// showLeft tells of errors that nothing here mends, but for those that wait to be decided.
func (m *repairing) showLeft(w *lines) {
	plan := m.repair.Plan
	for _, t := range plan.After.Tallies {
		waits := slices.ContainsFunc(plan.Undecided, func(x repair.Resolution) bool { return x.Rule == t.Rule })
		if t.Severity != check.Error || waits {
			continue
		}
		first := t.Findings[0]
		w.line("\nleft: %s", t.Name)
		w.line("  %s", first.Told())
		if len(plan.Undecided) > 0 {
			w.line("  it waits for the decisions above")
		} else if first.Remedy() != "" {
			w.line("  repair: %s", first.Remedy())
		}
	}
}

// fewRows is how many exceptions of a list are shown.
const fewRows = 10

// showList shows what the list would be, behind a header that is written anew.
func (m *repairing) showList(w *lines) {
	d, g := m.repair.Plan.Result(), m.repair.Plan.Geometry()
	w.line("\nthe list would then be:")
	rows := 0
	_, err := format.Each(format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: g}, nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if rows++; rows > fewRows {
				return errEnoughRows
			}
			w.line("  area %d slot %d: %d -> %d", at.Area, at.Index, x.Old, x.New)
		}
		return nil
	})
	switch {
	case rows == 0:
		w.line("  empty")
	case errors.Is(err, errEnoughRows):
		w.line("  and %d more", m.repair.Plan.After.Exceptions-fewRows)
	}
}

// errEnoughRows ends a look at a list.
var errEnoughRows = errors.New("enough rows")

// fewEdits is how many edits are shown where -v does not ask for all.
const fewEdits = 20

// showSteps shows what is written, byte for byte.
func (m *repairing) showSteps(w *lines) {
	w.line("\nwhat will be written; each step is durable before the next:")
	left := fewEdits
	g := m.repair.Plan.Geometry()
	for i, s := range m.repair.Plan.Steps {
		if left <= 0 && !m.app.flags.Verbose {
			break
		}
		w.line("  step %d", i+1)
		for _, c := range s.Copies {
			w.line("    byte %d: copy to chunk %d from byte %d, chunk %d: %s", g.Offset(c.To), c.To, g.Offset(c.From), c.From, c.Why)
			left--
		}
		for _, e := range s.Edits {
			if left--; left >= 0 || m.app.flags.Verbose {
				w.line("    byte %d: %s\n      was %s\n      is  %s", e.Offset, e.Why, m.bytes(e.Old), m.bytes(e.New))
			}
		}
	}
	if left < 0 && !m.app.flags.Verbose {
		w.line("  and %d more writes (-v shows them)", -left)
	}
}

// bytes shows some bytes; of many, the first.
func (m *repairing) bytes(p []byte) string {
	const few = 32
	switch {
	case len(p) > format.ExceptionSize && bytes.Count(p, []byte{0}) == len(p):
		return strconv.Itoa(len(p)) + " zeros"
	case len(p) > few && !m.app.flags.Verbose:
		return fmt.Sprintf("% x ... (%d bytes)", p[:few], len(p))
	}
	return fmt.Sprintf("% x", p)
}
