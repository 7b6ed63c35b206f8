package repair

import (
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
)

// Options say what to repair, and how.
type Options struct {
	// Options are those of the checks.
	check.Options
	Choices
}

// What a plan holds at most, so that its memory does not grow with the damage: when it
// has so much, it is applied, and the rest is for the next one. Tests have less.
var (
	mostSingles = 1 << 20 // looked at in one round
	mostEdits   = 1 << 18
	mostSectors = 1 << 17 // that are changed
)

// mostRounds is how often the image is checked and repaired: each round repairs
// something, and few findings show only when others are gone.
const mostRounds = 1000

type planner struct {
	Options
	*Plan
	single bool // findings are told exception by exception, of garbage too
	headed bool // the header was replaced
	// unproven: it is the list alone that speaks for a store with that header.
	unproven bool
	evidence *check.Evidence // for a store, when the header was replaced
	listed   bool            // its list was looked at
	blocked  bool            // something is to be decided before the rest can be repaired
	// ours are the positions of exceptions that the plan itself has made: true for
	// what fills a gap, false for others that became one of two that are alike.
	ours  map[uint64]bool
	edits int // planned so far
	// copied is where the data of chunks comes from that are yet to be written.
	copied map[format.NewChunk]format.NewChunk
	free   format.NewChunk // the next one that can be given out; 0 where it was not looked for
}

// Make plans the repair of a device. The error is one of reading, a [*HeaderError],
// or Options.Visit's.
func Make(o Options) (*Plan, error) {
	if o.Visit == nil {
		o.Visit = func(format.AreaIndex) error { return nil }
	}
	p := &planner{
		Options: o,
		Plan:    &Plan{image: newImage(o.Device)},
		ours:    map[uint64]bool{},
		copied:  map[format.NewChunk]format.NewChunk{},
	}
	for round := 0; ; round++ {
		f, err := p.look()
		if err != nil {
			return nil, err
		}
		p.After = f.Report
		if round == 0 {
			p.Before = f.Report
		}
		p.Undecided, p.blocked, p.More = nil, false, f.more
		if p.isFull() || round == mostRounds {
			p.More = true
			return p.Plan, p.lastLook()
		}
		changed, err := p.repair(f)
		if err != nil {
			return nil, err
		}
		if !changed {
			return p.Plan, p.lastLook()
		}
	}
}

// lastLook looks as a check does, where the last look was a closer one.
func (p *planner) lastLook() error {
	if !p.single {
		return nil
	}
	p.single = false
	f, err := p.look()
	p.After = f.Report
	return err
}

func (p *planner) isFull() bool {
	return p.edits >= mostEdits || len(p.image.sectors) >= mostSectors
}

// repair plans to repair some of what was found, first what the rest hangs on, and
// reports whether it did.
func (p *planner) repair(f *findings) (changed bool, err error) {
	p.geometry = f.Identity.Geometry
	for _, repair := range []func(*findings) (bool, error){
		p.repairHeader, p.rebuild, p.clearGarbage, p.repairHidden, p.repairTerminator, p.repairList, p.repairWarnings,
	} {
		if changed, err = repair(f); changed || err != nil || p.blocked {
			return changed, err
		}
	}
	return false, nil
}

func (p *planner) repaired(rule *check.Rule, where, what string) {
	p.Repaired = note(p.Repaired, Resolution{Rule: rule, Lines: []string{join(where, what)}})
}

// lost notes that a finding is repaired, which may lose so many exceptions.
func (p *planner) lost(rule *check.Rule, where, what string, exceptions uint64) {
	p.Repaired = note(p.Repaired, Resolution{Rule: rule, Lines: []string{join(where, what)}, Loses: true, Lost: exceptions})
}

// lostMore is lost, where nothing shows how many there are beside those.
func (p *planner) lostMore(rule *check.Rule, where, what string, exceptions uint64) {
	p.Repaired = note(p.Repaired, Resolution{Rule: rule, Lines: []string{join(where, what)}, Loses: true, Lost: exceptions, LostMore: true})
}

// undecided notes that a finding waits for the user's word.
func (p *planner) undecided(f *check.Finding, what string) {
	all := flags[f.Rule]
	if header := strings.TrimPrefix(f.Fix(), "repair "); strings.HasPrefix(header, "--header ") {
		all = []string{header}
	}
	p.ask(f, what, advice[f.Rule], all...)
}

// ask is undecided with advice of its own, and the flags that it speaks of.
func (p *planner) ask(f *check.Finding, what, advice string, flags ...string) {
	switch {
	case f.Suggests != nil:
		advice, flags = rebuildAdvice+advice, append([]string{"--rebuild"}, flags...)
	case p.Rebuild && slices.ContainsFunc(flags, func(flag string) bool { return flag == "--drop" || flag == "--hidden drop" }):
		advice = fmt.Sprintf("--rebuild finds nothing by which it could be rebuilt (of more than %d slots, nothing is looked for); ", check.MostSuggested) + advice
	}
	p.Undecided = note(p.Undecided, Resolution{Rule: f.Rule, Lines: []string{join(f.Where(), what)}, Advice: advice, Flags: flags})
}

func join(where, what string) string {
	if where == "" {
		return what
	}
	return where + ": " + what
}

func (p *planner) edit(s *Step, offset format.Bytes, new []byte, why string) error {
	old, err := p.image.change(offset, new)
	if err == nil {
		p.edits++
		s.Edits = append(s.Edits, Edit{Offset: offset, Old: old, New: new, Why: why})
	}
	return err
}

// editAlone is edit as a step of its own.
func (p *planner) editAlone(offset format.Bytes, new []byte, why string) error {
	var s Step
	err := p.edit(&s, offset, new, why)
	p.then(s)
	return err
}

// mostInStep is how much a step holds, so that what is written at a time is bounded: in
// whatever order they are written, edits of one step may as well be in several.
const mostInStep = 1 << 12

// then adds a step to the plan. What it changes is there from now on.
func (p *planner) then(s Step) {
	for len(s.Edits) > mostInStep {
		p.Steps = append(p.Steps, Step{Copies: s.Copies, Edits: s.Edits[:mostInStep]})
		s = Step{Edits: s.Edits[mostInStep:]}
	}
	if len(s.Edits) > 0 || len(s.Copies) > 0 {
		p.Steps = append(p.Steps, s)
	}
}

func where(at format.Place) string { return fmt.Sprintf("area %d slot %d", at.Area, at.Index) }

type findings struct {
	check.Report
	singles []check.Finding    // of one exception each
	more    bool               // there are more of these
	garbage []format.AreaIndex // that are implausible
	end     *format.End
}

// look checks the device as it will be.
func (p *planner) look() (*findings, error) {
	f := &findings{}
	o := p.Options.Options
	o.Device, o.Single = p.image.current(), p.single
	var err error
	f.Result, err = check.Run(o, func(found check.Finding) error {
		f.Add(found)
		if found.Rule == check.ImplausibleArea && len(f.garbage) < mostSingles {
			f.garbage = append(f.garbage, found.Area)
		}
		if found.Scope != check.OfException || found.Severity == check.Info || found.Rule == check.OddTerminator {
			return nil
		}
		if f.more = f.more || len(f.singles) == mostSingles; !f.more {
			f.singles = append(f.singles, found)
		}
		return nil
	})
	f.Sort()
	if g := f.Identity.Geometry; f.has(check.AreaBeyondDevice) != nil { // what there is of an area that is cut off is lost
		whole := format.AreaIndex(g.Areas(g.Chunks(format.Bytes(p.image.Size()))))
		f.singles = slices.DeleteFunc(f.singles, func(x check.Finding) bool { return x.Area >= whole })
	}
	if err == nil && len(f.Unread) > 0 {
		err = f.Unread[0]
	}
	return f, err
}

func (f *findings) has(rule *check.Rule) *check.Finding {
	if t := f.Of(rule); t != nil {
		return &t.Findings[0]
	}
	return nil
}

// listEnd is where the list ends, as it will be.
func (p *planner) listEnd(f *findings) (format.End, error) {
	if f.end == nil {
		end, err := format.Scan(f.Identity.Walk(p.image.current()), p.Visit)
		if err != nil {
			return end, err
		}
		f.end = &end
	}
	return *f.end, nil
}

func (p *planner) chunks() uint64 { return p.geometry.Chunks(format.Bytes(p.image.Size())) }
