package cmd

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
)

type repairCmd struct {
	COW          path          `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	Hidden       repair.Hidden `enum:",keep,drop" default:"" placeholder:"keep|drop" help:"Exceptions behind the list's end: keep closes the gap and brings them back, drop clears them. Without it, those that are known to change nothing are cleared, and others wait."`
	Rebuild      bool          `help:"Write lost and damaged exceptions anew, where the entries around them say what they were."`
	Drop         bool          `help:"Drop what cannot be an exception: what points off the device, at metadata or beyond the origin, lost its new chunk, or is garbage. The snapshot then reads the origin's chunks there."`
	Keep         repair.Keep   `enum:",first,last" default:"" placeholder:"first|last" help:"Of several exceptions of one old chunk, keep the first or the last in the list."`
	Unshare      bool          `help:"Give an exception that shares its chunk with another a copy of its own."`
	TruncateList bool          `help:"End a list that leads past the end of the device on the device: what is behind that is lost."`
	Header       *chunkSize    `placeholder:"CHUNK-SIZE" help:"Write a damaged header anew, with this chunk size, like 4K or 8s (sectors); needs --valid."`
	Valid        *int          `placeholder:"0|1" help:"What the new header says: 1 for a snapshot that the kernel serves, 0 for an invalid one."`
	Warnings     bool          `help:"Mend warnings, too."`
	Undo         path          `placeholder:"FILE" help:"Keep what is overwritten in FILE: dmcow merge FILE --into COW takes the repair back. Default: NAME.undo in the current directory, with all of the path for what is elsewhere."`
	NoUndo       bool          `help:"Keep nothing of what is overwritten."`
	CopyTo       path          `placeholder:"FILE" help:"Mend a copy, in FILE, or - for standard output, and leave the device as it is. Needs no undo log, and takes none."`
	Output       string        `default:"human" enum:"human,json" help:"How to write: ${enum}."`
	theOrigin    `embed:""`
	writing      `embed:""`
}

func (repairCmd) Help() string {
	return `
Mends what dmcow check finds: it shows what it would write, asks, writes, and checks
again. What has only one right outcome is mended by itself; for the rest a flag has
your word, and without it the command says what there is to choose and what that
loses. With --origin it knows more: what a torn commit has left is told from what was
lost by what the origin holds.

  dmcow repair --dry-run --origin /dev/vg0/data snap.cow
  dmcow repair --rebuild vg0/snap
  dmcow repair --copy-to mended.cow --keep first --yes evidence.cow
  dmcow merge snap.cow.undo --into snap.cow

The last takes a repair back. It may be cut off at any moment: no exception that is
kept is lost, and the same command goes on.

The exit status is 1 when all faults were mended, 5 when some are left or something may be
lost, 4 when none was mended. -v shows all writes of the plan, and not the first ones alone.
`
}

// Validate tells wrong use that single flags do not show.
func (c *repairCmd) Validate() error {
	switch {
	case (c.Header == nil) != (c.Valid == nil):
		return errors.New("--header and --valid: expected both of them, or none")
	case c.Valid != nil && *c.Valid != 0 && *c.Valid != 1:
		return fmt.Errorf("--valid %d: expected 0 or 1", *c.Valid)
	case c.Undo != "" && c.NoUndo:
		return errors.New("--undo and --no-undo: expected one of them")
	case c.Undo != "" && c.CopyTo != "":
		return errors.New("--undo: cannot go with --copy-to, which leaves the device as it is")
	case c.CopyTo == "-" && c.Output != "human":
		return errors.New("--output: standard output has the copy: expected a file for --copy-to")
	}
	return c.theOrigin.invalid()
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

// mending is a repair on its way.
type mending struct {
	*planned
	*repairCmd
	options repair.Options
	before  mended // by the plans before this one
}

// mended is what was mended.
type mended struct {
	faults uint64
	loses  bool // something may be lost by it
}

func (c *repairCmd) Run(a *app) error {
	if c.CopyTo == "-" && isTerminal(a.stdout.file()) && !c.DryRun {
		return usageError{errors.New("standard output is a terminal: expected a file for --copy-to, or a pipe")}
	}
	if err := a.permission(c.writing); err != nil {
		return err
	}
	if err := c.refuseCopyName(); err != nil {
		return err
	}
	looking := c.writing
	looking.DryRun = c.DryRun || c.CopyTo != ""
	n, err := a.named(string(c.COW), c.volumes, !looking.DryRun)
	if err != nil {
		return err
	}
	base, err := a.baseOf(c.theOrigin, n)
	if err != nil {
		return err
	}
	defer base.close()
	t, err := a.openNamedTarget(n, looking, 0)
	if err != nil {
		return err
	}
	if t.container != "" {
		t.close()
		return &failure{t.path, a.outcomes.foreign, errors.New(t.container)}
	}
	m := &mending{planned: &planned{app: a, target: t, offset: format.Bytes(c.Offset)}, repairCmd: c}
	defer m.close()
	m.options = repair.Options{
		Options: check.Options{
			Device: t.device, Origin: base.size, Content: base.content(t.cow), Recorded: format.Sectors(t.recorded()),
			Live: len(t.holders) > 0, Words: device.Words,
		},
		Choices: c.choices(),
	}
	if err := m.makePlan(m.device); err != nil {
		return err
	}
	return m.run()
}

// run shows the plan, and follows it.
func (m *mending) run() error {
	if err := m.show(); err != nil {
		return err
	}
	switch {
	case len(m.plan.Steps) == 0 && m.CopyTo != "" && !m.DryRun && m.left(&m.plan.Before) != m.outcomes.damaged:
		return m.mend() // a copy of what is sound is as good
	case len(m.plan.Steps) == 0:
		m.nothing()
	case m.DryRun:
		m.status |= m.outcomes.damaged
	default:
		return m.mend()
	}
	return m.record(&m.plan.Before, "")
}

// makePlan plans the repair of the device, or of the copy of it.
func (m *mending) makePlan(d *device.Device) (err error) {
	p := m.walking(m.cow, true)
	defer p.end()
	o := m.options
	o.Device, o.Visit = d, p.area
	m.plan, err = repair.Make(o)
	var h *repair.HeaderError
	switch {
	case errors.As(err, &h):
		return &failure{m.path, statusFailed, fmt.Errorf("--header: refused: %w", err)}
	case errors.Is(err, errInterrupted):
		return &failure{m.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case err != nil:
		return m.unreadable(m.path, err)
	}
	return nil
}

// nothing ends a run that has nothing to write.
func (m *mending) nothing() {
	left := m.left(&m.plan.Before)
	m.status |= left
	if left == m.outcomes.damaged {
		none := ""
		if m.CopyTo != "" {
			none = ", and no copy is made"
		}
		m.say(m.path, "nothing is mended%s: %s", none, m.firstFault())
	}
}

// firstFault says what is wrong before all else.
func (m *mending) firstFault() string {
	if fault := m.id.Fault; fault != "" {
		return fault
	}
	return told(m.plan.Before.Tallies[0].Findings[0])
}

// told is a finding in words, with its place.
func told(f check.Finding) string {
	if where := f.Where(); where != "" {
		return where + ": " + f.Message()
	}
	return f.Message()
}

// left is the status for what a check says of faults that are left. What is marked invalid
// is no fault.
func (m *mending) left(r *check.Report) status {
	switch r.Outcome() {
	case check.Damaged:
		return m.outcomes.damaged
	case check.Uninitialized:
		return m.outcomes.blank
	case check.Invalid:
		return m.outcomes.invalid
	}
	return m.outcomes.sound
}

// mend applies the plan, and checks what came of it.
func (m *mending) mend() error {
	var err error
	switch {
	case m.CopyTo != "":
		err = m.refuseCopy()
	case !m.NoUndo:
		err = m.keep(m.Undo)
	}
	if err != nil {
		return err
	}
	if len(m.plan.Steps) == 0 { // nothing is lost by a copy
		return m.mendCopy()
	}
	if err := m.ask(m.path, "mend %s with %s?", count(m.sum().faults, "fault"), count(uint64(m.plan.Writes()), "write")); err != nil {
		return err
	}
	if m.CopyTo != "" {
		return m.mendCopy()
	}
	if err := m.write(); err != nil {
		return err
	}
	r, err := m.judge(&m.out.Device, m.path)
	if err != nil {
		return err
	}
	return m.conclude(r, m.path)
}

// sum is what was mended, with the plan.
func (m *mending) sum() mended {
	all := m.before
	all.loses = all.loses || m.plan.Loses()
	for _, x := range m.plan.Mended {
		all.faults += x.Count
	}
	return all
}

// judge checks what was mended. The error is a failure.
func (m *mending) judge(d store.Device, path string) (check.Report, error) {
	p := m.walking(m.cow, true)
	defer p.end()
	o := m.options.Options
	o.Device, o.Live, o.Visit = d, false, p.area
	r, err := check.Make(o)
	if err == nil && len(r.Unread) > 0 {
		err = r.Unread[0]
	}
	switch {
	case errors.Is(err, errInterrupted):
		err = &failure{path, statusInterrupted, fmt.Errorf("%w: all of the plan is written, and what came of it was not checked to the end; run the same command again", err)}
	case err != nil:
		err = m.unreadable(path, err)
	}
	return r, err
}

// conclude says what has come of the repair.
func (m *mending) conclude(r check.Report, path string) error {
	all, lost := m.sum(), ""
	if m.status |= m.left(&r); all.faults > 0 {
		m.status |= statusMended
	}
	if all.loses {
		m.status |= statusDamaged
		lost = ", by which something may be lost"
	}
	v := checked{app: m.app, cow: m.cow, Report: &r, options: m.options.Options}
	w := &lines{w: m.text()}
	if all.faults > 0 {
		w.line("%s: mended %s%s; now %s", printable(path), count(all.faults, "fault"), lost, v.headline())
	} else {
		w.line("%s: a copy, with nothing to mend; %s", printable(path), v.headline())
	}
	if w.err != nil {
		return w.err
	}
	if r.Outcome() == check.Invalid {
		m.say(path, "it is marked invalid: dmcow revalidate tells what it costs to take that back")
	}
	if m.plan.More {
		m.say(path, "there is more to mend than one plan holds: run the same command again")
	}
	return m.record(&r, path)
}
