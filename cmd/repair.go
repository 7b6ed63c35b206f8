package cmd

import (
	"errors"
	"fmt"
	"io"

	"dmcow/check"
	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/repair"
	"dmcow/snapshot"
)

type repairCmd struct {
	COW          path                `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	Hidden       repair.Hidden       `enum:",keep,drop" default:"" placeholder:"keep|drop" help:"Exceptions behind the end of the list: keep closes the gap and brings them back, drop clears them. Default: clear those that change nothing, leave the others."`
	Rebuild      bool                `help:"Write lost and damaged exceptions again, if their neighbours show what they were."`
	Drop         bool                `help:"Drop impossible exceptions: those that point past the device, at metadata or past the origin, lost their new chunk, or are garbage. The snapshot then reads the origin's chunks there."`
	Keep         repair.Keep         `enum:",first,last" default:"" placeholder:"first|last" help:"Of several exceptions of an old chunk, keep the first or the last in the list."`
	Unshare      bool                `help:"Give exceptions that share a chunk their own copies."`
	TruncateList bool                `help:"End a list that leads past the end of the device at that end; what follows is lost."`
	Header       *units.ChunkSectors `placeholder:"CHUNK-SIZE" help:"Write a damaged header again, with this chunk size (like 4K, or 8s for sectors); needs --valid."`
	Valid        *int                `placeholder:"0|1" help:"Mark of the new header: 1 for valid (the kernel serves the snapshot), 0 for invalid."`
	Warnings     bool                `help:"Repair warnings, too."`
	Undo         path                `placeholder:"FILE" help:"Save what is overwritten in FILE: dmcow merge FILE --into COW undoes the repair. Default: NAME.undo in the current directory; for a COW device elsewhere, NAME is its whole path with dashes for slashes."`
	NoUndo       bool                `help:"Do not save what is overwritten."`
	CopyTo       path                `placeholder:"FILE" help:"Repair a copy in FILE, or - for standard output; the device stays as it is, and there is no undo log."`
	theOrigin    `embed:""`
	writing      `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *repairCmd) Validate() error {
	switch {
	case (c.Header == nil) != (c.Valid == nil):
		return errors.New("--header and --valid go together")
	case c.Valid != nil && *c.Valid != 0 && *c.Valid != 1:
		return fmt.Errorf("--valid must be 0 or 1, not %d", *c.Valid)
	case c.Undo != "" && c.NoUndo:
		return errors.New("--undo and --no-undo cannot be combined")
	case c.Undo != "" && c.CopyTo != "":
		return errors.New("--copy-to cannot be combined with --undo: it leaves the device as it is")
	case c.CopyTo == "-" && c.isJSON():
		return errors.New("--output json needs a file for --copy-to: standard output has the copy")
	}
	return c.theOrigin.check()
}

// choices are the user's word.
func (c *repairCmd) choices() repair.Choices {
	all := repair.Choices{
		Warnings: c.Warnings, Hidden: c.Hidden, Rebuild: c.Rebuild, Drop: c.Drop, Keep: c.Keep, Unshare: c.Unshare, Truncate: c.TruncateList,
	}
	if c.Header != nil {
		g, err := format.NewGeometry(uint32(*c.Header))
		if err != nil {
			panic(err) // the flag was parsed
		}
		all.Header = &repair.Header{Geometry: g, Valid: *c.Valid == 1}
	}
	return all
}

// given are the flags that were given, for a command line that adds one to them.
func (c *repairCmd) given() (all string) {
	for _, flag := range []struct {
		given bool
		text  string
	}{
		{c.Warnings, "--warnings"}, {c.Rebuild, "--rebuild"}, {c.Drop, "--drop"}, {c.Unshare, "--unshare"}, {c.TruncateList, "--truncate-list"},
		{c.Hidden != "", "--hidden " + string(c.Hidden)}, {c.Keep != "", "--keep " + string(c.Keep)}, {c.CopyTo != "", "--copy-to " + words.Shell(string(c.CopyTo))},
	} {
		if flag.given {
			all += " " + flag.text
		}
	}
	if c.OriginSize != nil {
		all += fmt.Sprintf(" --origin-size %ds", format.Bytes(*c.OriginSize).Sectors())
	}
	return all + originFlag(string(c.Origin))
}

// repairing is a repair on its way, in words.
type repairing struct {
	app    *app
	flags  *repairCmd
	repair *snapshot.Repair
	name   string
}

func (c *repairCmd) Run(a *app) error {
	if c.CopyTo == "-" && isTerminal(a.stdout.File()) && !c.DryRun {
		return misused("repair", "refusing to write a store to a terminal: redirect standard output, or name a file for --copy-to")
	}
	r := snapshot.RepairRequest{
		Request: c.request(c.COW), Base: c.base(), Choices: c.choices(), Undo: string(c.Undo), NoUndo: c.NoUndo, DryRun: c.DryRun,
	}
	if c.CopyTo == "-" {
		r.Stream = a.stream()
	} else {
		r.CopyTo = string(c.CopyTo)
	}
	p, err := plan(a, c.writing, r, (*snapshot.Session).PlanRepair)
	if err != nil {
		return err
	}
	defer p.Close()
	a.found(p.COW.Text, &p.Plan.Before)
	m := &repairing{app: a, flags: c, repair: p, name: p.COW.Text}
	planned := show.Repair{Plan: p.Plan, Device: m.name, Relisted: c.Header != nil, Verbose: a.flags.Verbose}
	if err := planned.Write(m.text()); err != nil {
		return err
	}
	switch {
	case !p.Writes():
		m.nothing()
	case !c.DryRun:
		return m.apply()
	case len(p.Plan.Steps) > 0:
		a.status |= a.outcomes.damaged
	}
	return m.record(&p.Plan.Before, snapshot.Repaired{})
}

func (m *repairing) nothing() {
	left := m.left(&m.repair.Plan.Before)
	m.app.status |= left
	switch outcome := m.repair.Plan.Before.Outcome(); {
	case left == m.app.outcomes.damaged:
		none := ""
		if m.flags.CopyTo != "" {
			none = ", and no copy is written"
		}
		m.app.say(m.name, "nothing is repaired%s: %s", none, m.firstFault())
		m.app.tellHints(m.next()...)
	case outcome == check.Invalid:
		m.app.say(m.name, "nothing to repair")
		m.tellRevalidate(m.name, "")
	case outcome == check.Sound:
		m.app.say(m.name, "nothing to repair")
	}
}

// next is what can be done where nothing is repaired: the choices for what is to be seen to first, each as a command line.
func (m *repairing) next() (all []string) {
	if all = m.app.hints(m.repair.COW.Text, m.repair.COW.Remedies); len(all) > 0 {
		return all
	}
	for _, u := range m.repair.Plan.Undecided {
		if len(u.Flags) == 0 {
			continue
		}
		if begin := m.repair.Plan.Before.Of(u.Rule); begin != nil && begin.Findings[0].First() != "" {
			all = append(all, begin.Findings[0].First())
		}
		for _, flag := range u.Flags {
			all = append(all, "dmcow repair"+m.flags.given()+" "+flag+" "+m.app.again(m.name))
		}
		return all
	}
	return nil
}

// tellRevalidate says how a snapshot that is marked invalid is marked valid, so that an undo log takes in that, too.
func (m *repairing) tellRevalidate(name, undo string) {
	command := "dmcow revalidate --dry-run --assume-origin-unchanged "
	if undo != "" {
		command += "--undo " + words.Shell(undo) + " "
	}
	m.app.tellHints(command + m.app.again(name) + " to see what it costs to mark it valid again")
}

// firstFault says what is wrong before all else.
func (m *repairing) firstFault() string {
	if fault := m.repair.COW.Identity.Fault; fault != "" {
		return fault
	}
	return m.repair.Plan.Before.Tallies[0].Findings[0].Told()
}

// left is the status for what a check says of faults that are left. The mark as invalid does not count.
func (m *repairing) left(r *check.Report) status {
	o := m.app.outcomes
	return map[check.Outcome]status{
		check.Sound: o.sound, check.Invalid: o.invalid, check.Damaged: o.damaged, check.Uninitialized: o.blank,
	}[r.Outcome()]
}

// apply asks, and applies the plan.
func (m *repairing) apply() error {
	p := m.repair
	if err := p.Check(); err != nil {
		return err
	}
	if len(p.Plan.Steps) > 0 {
		if err := m.app.ask(m.name, "%s", m.question()); err != nil {
			return err
		}
	}
	done, err := p.Do()
	m.app.tellUndo(m.name, done.Undo)
	if err != nil {
		return err
	}
	return m.conclude(done)
}

// question is what is asked, with what may be lost, and what is kept.
func (m *repairing) question() string {
	p := m.repair
	text := fmt.Sprintf("repair %s with %s?", words.Count(p.Faults(), "finding"), words.Count(p.Plan.Writes(), "write"))
	if p.Plan.Loses() {
		text += " It may lose " + show.Loss(p.Lost()) + "."
	}
	switch {
	case p.Undo() != "":
		text += " " + words.Printable(p.Undo()) + " keeps what is overwritten."
	case m.flags.CopyTo == "":
		text += " This cannot be undone."
	}
	return text
}

// text is where the words go: to standard error, where standard output has something else.
func (m *repairing) text() *show.Text {
	switch {
	case m.flags.CopyTo == "-":
		return show.On(m.app.stderr, m.app.takesColours())
	case m.flags.isJSON():
		return show.On(io.Discard, false)
	}
	return m.app.text()
}

// conclude says what has come of the repair.
func (m *repairing) conclude(done snapshot.Repaired) error {
	a := m.app
	if a.status |= m.left(&done.Report); done.Faults > 0 {
		a.status |= statusMended
	}
	if done.Loses {
		a.status |= statusDamaged
	}
	if m.flags.CopyTo != "" && m.flags.CopyTo != "-" {
		a.made(done.Written, "a copy", m.repair.COW.Size())
	}
	if err := show.Repaired(m.text(), done); err != nil {
		return err
	}
	if done.Report.Outcome() == check.Invalid {
		a.say(done.Written, "the snapshot is marked invalid")
		m.tellRevalidate(done.Written, done.Undo)
	}
	if done.More {
		a.say(done.Written, "one plan cannot hold all repairs: run the same command again")
	}
	return m.record(&done.Report, done)
}

func (m *repairing) record(r *check.Report, done snapshot.Repaired) error {
	if !m.flags.isJSON() {
		return nil
	}
	return dump.RepairJSON(m.app.stdout, dump.Repair{
		Device: m.name, Plan: m.repair.Plan, Result: r.Outcome(), Written: done.Written, Undo: undoOf(done.Undo), Loses: done.Loses,
	})
}
