package cmd

import (
	"errors"
	"fmt"
	"strconv"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
)

type repairCmd struct {
	COW          path          `arg:"" help:"COW device, or an image of one."`
	Hidden       repair.Hidden `enum:",keep,drop" default:"" placeholder:"keep|drop" help:"Exceptions behind the list's end that no torn commit explains: keep closes the gap and brings them back, drop clears them."`
	Drop         bool          `help:"Drop exceptions that point off the device, at metadata or beyond the origin: the snapshot then reads the origin's chunks there."`
	Keep         repair.Keep   `enum:",first,last" default:"" placeholder:"first|last" help:"Of several exceptions of one old chunk, keep the first or the last in the list."`
	Unshare      bool          `help:"Give an exception that shares its chunk with another a copy of its own."`
	TruncateList bool          `help:"End a list that leads past the end of the device on the device: what is behind that is lost."`
	Header       *chunkSize    `placeholder:"CHUNK-SIZE" help:"Write a damaged header anew, with this chunk size; needs --valid."`
	Valid        *int          `placeholder:"0|1" help:"What the new header says: 1 for a snapshot that the kernel serves, 0 for an invalid one."`
	Warnings     bool          `help:"Mend warnings, too."`
	Undo         path          `placeholder:"FILE" help:"Keep what is overwritten in FILE: dmcow merge FILE --into COW takes the repair back. Default: NAME.undo in the current directory."`
	NoUndo       bool          `help:"Keep nothing of what is overwritten."`
	Output       path          `placeholder:"FILE" help:"Mend a copy, in FILE, and leave the device as it is."`
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
  dmcow repair --hidden keep /dev/mapper/vg0-snap-cow
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
	*app
	*repairCmd
	*target
	plan    *repair.Plan
	options repair.Options
	undoing undoing
}

func (c *repairCmd) Run(a *app) error {
	if err := a.permission(c.writing); err != nil {
		return err
	}
	origin, err := a.originBytes(c.theOrigin)
	if err != nil {
		return err
	}
	looking := c.writing
	looking.DryRun = c.DryRun || c.Output != ""
	t, err := a.openTarget(string(c.COW), looking, 0)
	if err != nil {
		return err
	}
	m := &mending{app: a, repairCmd: c, target: t}
	defer m.close()
	m.options = repair.Options{
		Options: check.Options{Device: t.device, Origin: origin, Live: len(t.holders) > 0, Words: device.Words},
		Choices: c.choices(),
	}
	if err := m.makePlan(); err != nil {
		return err
	}
	if err := m.show(); err != nil {
		return err
	}
	if c.DryRun || len(m.plan.Steps) == 0 {
		return m.unchanged()
	}
	return m.mend()
}

func (m *mending) close() {
	m.undoing.close()
	m.target.close()
}

// makePlan plans the repair.
func (m *mending) makePlan() (err error) {
	p := m.walking(m.cow, true)
	defer p.end()
	o := m.options
	o.Visit = p.area
	m.plan, err = repair.Make(o)
	var h *repair.HeaderError
	switch {
	case errors.As(err, &h):
		return &failure{m.path, m.outcomes.damaged, fmt.Errorf("--header: refused: %w", err)}
	case errors.Is(err, errInterrupted):
		return &failure{m.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case err != nil:
		return m.unreadable(m.path, err)
	}
	return nil
}

// unchanged ends a run that writes nothing.
func (m *mending) unchanged() error {
	left := m.left(&m.plan.Before)
	m.status |= left
	switch {
	case m.DryRun:
	case left == m.outcomes.damaged:
		m.say(m.path, "nothing is mended: %s", m.firstFault())
	case m.Output != "":
		m.say(m.path, "there is nothing to mend, and no copy is made")
	}
	return nil
}

// firstFault says what is wrong before all else.
func (m *mending) firstFault() string {
	if fault := m.id.Fault; fault != "" {
		return fault
	}
	first := m.plan.Before.Tallies[0].Findings[0]
	if where := first.Where(); where != "" {
		return where + ": " + first.Message()
	}
	return first.Message()
}

// left is the status for what a check says of faults that are left.
func (m *mending) left(r *check.Report) status {
	switch r.Outcome() {
	case check.Damaged:
		return m.outcomes.damaged
	case check.Uninitialized:
		return m.outcomes.blank
	}
	return m.outcomes.sound
}

// mend applies the plan, and checks what came of it.
func (m *mending) mend() error {
	if err := m.prepare(); err != nil {
		return err
	}
	if err := m.ask(m.path, "mend %s with %s?", count(m.faults(), "fault"), count(uint64(m.plan.Writes()), "write")); err != nil {
		return err
	}
	if m.Output != "" {
		return m.mendCopy()
	}
	if err := m.undoing.open(m.whole); err != nil {
		return err
	}
	if err := m.apply(m.out); err != nil {
		return err
	}
	return m.conclude(&m.out.Device, m.path)
}

// prepare refuses, before anything is asked, what would not end well.
func (m *mending) prepare() error {
	if m.Output != "" {
		return m.refuseOutput()
	}
	if m.NoUndo {
		return nil
	}
	g := undoGeometry(max(8, format.Bytes(m.device.LogicalBlockSize()).Sectors()))
	m.undoing = undoing{
		app: m.app, name: string(m.Undo), changed: &m.whole.Device, geometry: g,
		chunks: uint64(m.plan.Bytes()/g.ChunkBytes()) + 2*uint64(m.plan.Writes()),
	}
	if m.Undo == "" {
		return m.undoing.nameIt(m.path)
	}
	return m.undoing.refuse()
}

// faults is the number of those that are to be mended.
func (m *mending) faults() (n uint64) {
	for _, x := range m.plan.Mended {
		n += x.Count
	}
	return n
}

// apply writes the plan to a device.
func (m *mending) apply(to *device.Writable) error {
	p := m.newProgress(m.path, "step", uint64(len(m.plan.Steps)), true)
	defer p.end()
	done := uint64(0)
	visit := func() error {
		err := p.visit(done)
		done++
		return err
	}
	err := m.plan.Apply(to, m.capture(), visit)
	if errors.Is(err, errInterrupted) {
		return &failure{m.path, statusInterrupted, fmt.Errorf("%w: run the same command again, and it goes on", err)}
	}
	return m.done(m.path, err)
}

// capture keeps what is overwritten in the undo log, nil where there is none. The log is
// about the whole device.
func (m *mending) capture() func(...store.Change) error {
	undo := m.undoing.undo
	if undo == nil {
		return nil
	}
	return func(changes ...store.Change) error {
		whole := make([]store.Change, len(changes))
		for i, c := range changes {
			whole[i] = store.Change{Offset: c.Offset + format.Bytes(m.Offset), Data: c.Data}
		}
		return undoFailure(m.undoing.name, undo.Capture(whole...))
	}
}

// conclude checks what was mended, and says what came of it and what is next.
func (m *mending) conclude(d *device.Device, path string) error {
	o := m.options.Options
	o.Device, o.Live = d, false
	r, err := check.Make(o)
	if err != nil {
		return m.unreadable(path, err)
	}
	v := checked{app: m.app, cow: &cow{path: path, device: d}, Report: &r, options: o}
	m.status |= statusMended | m.left(&r)
	if _, err := fmt.Fprintf(m.stdout, "%s: mended %s; now %s\n", printable(path), count(m.faults(), "fault"), v.headline()); err != nil {
		return err
	}
	if name := m.undoing.name; name != "" {
		m.say(m.path, "dmcow merge %s --into %s takes this back", printable(name), printable(m.path))
	}
	if r.Outcome() == check.Invalid {
		m.say(path, "it is marked invalid: dmcow revalidate tells what it costs to take that back")
	}
	return nil
}

// show writes what is wrong, what is mended, and how.
func (m *mending) show() error {
	w := &lines{w: m.stdout}
	before := checked{app: m.app, cow: m.cow, Report: &m.plan.Before, options: m.options.Options}
	w.line("%s: %s", printable(m.path), before.headline())
	for _, x := range m.plan.Mended {
		m.showMending(w, "mended", x)
	}
	for _, x := range m.plan.Undecided {
		m.showMending(w, "to be decided", x)
		w.line("  choose: %s", x.Advice)
	}
	m.showLeft(w)
	if len(m.plan.Steps) == 0 {
		return w.err
	}
	m.showSteps(w)
	after := checked{app: m.app, cow: m.cow, Report: &m.plan.After, options: m.options.Options}
	w.line("\nthen: %s", after.headline())
	if m.plan.More {
		w.line("There is more to mend than one plan holds: run the same command again.")
	}
	return w.err
}

func (m *mending) showMending(w *lines, what string, x repair.Mending) {
	w.line("\n%s: %s", what, x.Rule)
	for _, line := range x.Lines {
		w.line("  %s", line)
	}
	if more := x.Count - uint64(len(x.Lines)); more > 0 {
		w.line("  and %d more", more)
	}
}

// showLeft tells of errors that nothing here mends.
func (m *mending) showLeft(w *lines) {
	told := map[string]bool{}
	for _, x := range m.plan.Undecided {
		told[x.Rule] = true
	}
	for _, t := range m.plan.After.Tallies {
		if t.Severity != check.Error || told[t.Name] {
			continue
		}
		first := t.Findings[0]
		w.line("\nleft: %s", t.Name)
		if where := first.Where(); where != "" {
			w.line("  %s: %s", where, first.Message())
		} else {
			w.line("  %s", first.Message())
		}
		if len(m.plan.Undecided) > 0 {
			w.line("  it waits for what is to be decided")
		} else if first.Remedy() != "" {
			w.line("  repair: %s", first.Remedy())
		}
	}
}

// fewEdits is how many edits are shown where -v does not ask for all.
const fewEdits = 20

// showSteps shows what is written, byte for byte.
func (m *mending) showSteps(w *lines) {
	w.line("\nwhat is written; each step is durable before the next:")
	left := fewEdits
	for i, s := range m.plan.Steps {
		if left <= 0 && !m.flags.Verbose {
			break
		}
		w.line("  step %d", i+1)
		g := m.plan.Geometry()
		for _, c := range s.Copies {
			w.line("    byte %d: chunk %d is copied here from byte %d, chunk %d: %s", g.Offset(c.To), c.To, g.Offset(c.From), c.From, c.Why)
			left--
		}
		for _, e := range s.Edits {
			if left--; left >= 0 || m.flags.Verbose {
				m.showEdit(w, e)
			}
		}
	}
	if left < 0 && !m.flags.Verbose {
		w.line("  and %d more writes (-v shows them)", -left)
	}
}

// showEdit shows an edit: words, old bytes, new bytes.
func (m *mending) showEdit(w *lines, e repair.Edit) {
	w.line("    byte %d: %s", e.Offset, e.Why)
	w.line("      was %s", m.bytes(e.Old))
	w.line("      is  %s", m.bytes(e.New))
}

// bytes shows some bytes; of many, the first.
func (m *mending) bytes(p []byte) string {
	const few = 32
	zeros := true
	for _, b := range p {
		zeros = zeros && b == 0
	}
	switch {
	case zeros && len(p) > format.ExceptionSize:
		return strconv.Itoa(len(p)) + " zeros"
	case len(p) > few && !m.flags.Verbose:
		return fmt.Sprintf("% x ... (%d bytes)", p[:few], len(p))
	}
	return fmt.Sprintf("% x", p)
}
