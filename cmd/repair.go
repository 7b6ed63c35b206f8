package cmd

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
)

type repairCmd struct {
	COW          path          `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	Hidden       repair.Hidden `enum:",keep,drop" default:"" placeholder:"keep|drop" help:"Exceptions behind the list's end: keep closes the gap and brings them back, drop clears them. Without it, those that a torn commit explains are cleared, and others wait."`
	Drop         bool          `help:"Drop exceptions that point off the device, at metadata or beyond the origin: the snapshot then reads the origin's chunks there."`
	Keep         repair.Keep   `enum:",first,last" default:"" placeholder:"first|last" help:"Of several exceptions of one old chunk, keep the first or the last in the list."`
	Unshare      bool          `help:"Give an exception that shares its chunk with another a copy of its own."`
	TruncateList bool          `help:"End a list that leads past the end of the device on the device: what is behind that is lost."`
	Header       *chunkSize    `placeholder:"CHUNK-SIZE" help:"Write a damaged header anew, with this chunk size, like 4K or 8s (sectors); needs --valid."`
	Valid        *int          `placeholder:"0|1" help:"What the new header says: 1 for a snapshot that the kernel serves, 0 for an invalid one."`
	Warnings     bool          `help:"Mend warnings, too."`
	Undo         path          `placeholder:"FILE" help:"Keep what is overwritten in FILE: dmcow merge FILE --into COW takes the repair back. Default: NAME.undo in the current directory, with all of the path for what is elsewhere."`
	NoUndo       bool          `help:"Keep nothing of what is overwritten."`
	Output       path          `placeholder:"FILE" help:"Mend a copy, in FILE, and leave the device as it is. Needs no undo log, and takes none."`
	theOrigin    `embed:""`
	writing      `embed:""`
}

func (repairCmd) Help() string {
	return `
Mends what dmcow check finds: it shows what it would write, asks, writes, and checks
again. What has only one right outcome is mended by itself; for the rest a flag has
your word, and without it the command says what there is to choose and what that
loses.

  dmcow repair --dry-run snap.cow
  dmcow repair --hidden keep vg0/snap
  dmcow repair --output mended.cow --keep first --yes evidence.cow
  dmcow merge snap.cow.undo --into snap.cow

The last takes a repair back. It may be cut off at any moment: no exception that is
kept is lost, and the same command goes on.

The exit status is 1 when all faults were mended, 5 when some were, 4 when none.
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
	case c.Undo != "" && c.Output != "":
		return errors.New("--undo: cannot go with --output, which leaves the device as it is")
	}
	return c.theOrigin.invalid()
}

// choices are the user's word.
func (c *repairCmd) choices() repair.Choices {
	all := repair.Choices{
		Warnings: c.Warnings, Hidden: c.Hidden, Drop: c.Drop, Keep: c.Keep, Unshare: c.Unshare, Truncate: c.TruncateList,
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
	before  uint64 // faults that were mended by the plans before
}

func (c *repairCmd) Run(a *app) error {
	if err := a.permission(c.writing); err != nil {
		return err
	}
	looking := c.writing
	looking.DryRun = c.DryRun || c.Output != ""
	n, err := a.named(string(c.COW), c.volumes, !looking.DryRun)
	if err != nil {
		return err
	}
	origin, err := a.originBytes(c.theOrigin, n)
	if err != nil {
		return err
	}
	t, err := a.openNamedTarget(n, looking, 0)
	if err != nil {
		return err
	}
	m := &mending{planned: &planned{app: a, target: t, offset: format.Bytes(c.Offset)}, repairCmd: c}
	defer m.close()
	m.options = repair.Options{
		Options: check.Options{Device: t.device, Origin: origin, Live: len(t.holders) > 0, Words: device.Words},
		Choices: c.choices(),
	}
	if err := m.makePlan(m.device); err != nil {
		return err
	}
	if err := m.show(); err != nil {
		return err
	}
	switch {
	case len(m.plan.Steps) == 0:
		m.nothing()
		return nil
	case c.DryRun:
		m.status |= m.outcomes.damaged
		return nil
	}
	return m.mend()
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
	switch {
	case left == m.outcomes.damaged:
		m.say(m.path, "nothing is mended: %s", m.firstFault())
	case m.Output != "":
		m.say(m.path, "there is nothing to mend, and no copy is made")
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
	case m.Output != "":
		err = m.refuseOutput()
	case !m.NoUndo:
		err = m.keep(m.Undo)
	}
	if err != nil {
		return err
	}
	if err := m.ask(m.path, "mend %s with %s?", count(m.faults(), "fault"), count(uint64(m.plan.Writes()), "write")); err != nil {
		return err
	}
	if m.Output != "" {
		return m.mendCopy()
	}
	if err := m.write(); err != nil {
		return err
	}
	return m.conclude(&m.out.Device, m.path)
}

// faults is the number of those that are to be mended.
func (m *mending) faults() (n uint64) {
	for _, x := range m.plan.Mended {
		n += x.Count
	}
	return n
}

// conclude checks what was mended, and says what came of it.
func (m *mending) conclude(d *device.Device, path string) error {
	o := m.options.Options
	o.Device, o.Live = d, false
	r, err := check.Make(o)
	if err == nil && len(r.Unread) > 0 {
		err = r.Unread[0]
	}
	if err != nil {
		return m.unreadable(path, err)
	}
	v := checked{app: m.app, cow: &cow{named: named{path: path, volume: m.volume, where: m.where}, device: d}, Report: &r, options: o}
	m.status |= statusMended | m.left(&r)
	if _, err := fmt.Fprintf(m.stdout, "%s: mended %s; now %s\n", printable(path), count(m.before+m.faults(), "fault"), v.headline()); err != nil {
		return err
	}
	if r.Outcome() == check.Invalid {
		m.say(path, "it is marked invalid: dmcow revalidate tells what it costs to take that back")
	}
	if m.plan.More {
		m.say(path, "there is more to mend than one plan holds: run the same command again")
	}
	return nil
}
