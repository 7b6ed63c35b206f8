package check

import (
	"slices"

	"dmcow/store/look"
)

// Shown is how many findings of a rule a report keeps.
const Shown = 10

// Report is a check's findings, by rule.
type Report struct {
	Result
	Tallies []Tally // of the rules that found something, the worst first
}

// Tally is what one rule found.
type Tally struct {
	*Rule
	Count    uint64
	Findings []Finding // the first of them, no more than Shown
	Meaning  Meaning   // of all of them together
}

// Make checks a device. The error is [Run]'s.
func Make(o Options) (Report, error) {
	var r Report
	var err error
	r.Result, err = Run(o, func(f Finding) error {
		r.Add(f)
		return nil
	})
	r.Sort()
	return r, err
}

// Sort puts the tallies in order, when all findings were added.
func (r *Report) Sort() {
	order := Rules()
	slices.SortFunc(r.Tallies, func(a, b Tally) int { return slices.Index(order, a.Rule) - slices.Index(order, b.Rule) })
}

// Add adds a finding.
func (r *Report) Add(f Finding) {
	t := r.Of(f.Rule)
	if t == nil {
		r.Tallies = append(r.Tallies, Tally{Rule: f.Rule, Meaning: f.Meaning()})
		t = &r.Tallies[len(r.Tallies)-1]
	}
	t.Meaning = t.Meaning.worse(f.Meaning())
	if t.Count++; len(t.Findings) < Shown {
		t.Findings = append(t.Findings, f)
	}
}

// Of is what a rule found, nil where that is nothing.
func (r Report) Of(rule *Rule) *Tally { return r.first(func(t Tally) bool { return t.Rule == rule }) }

// Against is the first rule whose findings do not allow something, nil where all do.
func (r Report) Against(allows func(Meaning) bool) *Tally {
	return r.first(func(t Tally) bool { return !allows(t.Meaning) })
}

func (r Report) first(is func(Tally) bool) *Tally {
	if i := slices.IndexFunc(r.Tallies, is); i >= 0 {
		return &r.Tallies[i]
	}
	return nil
}

// Certain reports whether the report leaves no doubt about any chunk of the snapshot: all
// of the list was read, and no finding speaks against one.
func (r Report) Certain() bool { return len(r.Unread) == 0 && r.Against(Meaning.Certain) == nil }

// HiddenVoid reports whether all of the list was read, and what stands behind its end, if
// anything does, is known to change nothing.
func (r Report) HiddenVoid() bool {
	t := r.Of(HiddenExceptions)
	return len(r.Unread) == 0 && (t == nil || t.Meaning.Certain())
}

// Count is the number of findings of a severity.
func (r Report) Count(s Severity) (n uint64) {
	for _, t := range r.Tallies {
		if t.Severity == s {
			n += t.Count
		}
	}
	return n
}

// Fate is the worst that the kernel does with the store for the errors that were
// found.
func (r Report) Fate() (f Fate) {
	for _, t := range r.Tallies {
		if t.Severity == Error {
			f = max(f, t.Fate)
		}
	}
	return f
}

// Outcome is what a check has come to, in a word.
type Outcome string

// The outcomes, in the words of every output for programs.
const (
	Sound         Outcome = "sound"
	Invalid       Outcome = "invalid" // sound, and marked invalid
	Damaged       Outcome = "damaged"
	Uninitialized Outcome = "uninitialized"
)

// Outcome is what the check has come to. A store that could not be read whole is
// judged by what was read.
func (r Report) Outcome() Outcome {
	switch {
	case r.Count(Error) > 0, r.Identity.State == look.Damaged, r.Identity.State == look.Foreign:
		return Damaged
	case r.Identity.State == look.Uninitialized:
		return Uninitialized
	case r.Identity.State == look.Invalid:
		return Invalid
	}
	return Sound
}
