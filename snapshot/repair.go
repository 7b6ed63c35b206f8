package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
)

// planned is a plan of edits, and the COW device that it is for.
type planned struct {
	session *Session
	target  *Target
	plan    *repair.Plan
	base    Base
	undoing undoing
}

func (p *planned) close() {
	p.undoing.close()
	p.target.Close()
	p.base.Close()
}

// open opens a COW device to be written, and what is known of its origin.
func (s *Session) openPlanned(r Request, base BaseRequest, dryRun bool) (*planned, error) {
	n, err := s.find(r.COW, !dryRun)
	if err != nil {
		return nil, err
	}
	b, err := s.baseOf(base, n)
	if err != nil {
		return nil, err
	}
	t, err := s.target(n, r, dryRun)
	if err != nil {
		b.Close()
		return nil, err
	}
	return &planned{session: s, target: t, base: b}, nil
}

// options are the options of a check of the store.
func (p *planned) options() check.Options {
	c := p.target.COW
	return check.Options{
		Device: c.Device, Origin: p.base.Size, Content: p.base.content(c), Recorded: format.Sectors(c.Recorded()),
		Live: len(c.Holders) > 0,
	}
}

// keep has what is overwritten be kept in an undo log. Where it has no name, it is named after the
// device. The error is the refusal of one that cannot be.
func (p *planned) keep(name string) error {
	c := p.target.COW
	g := undoGeometry(max(8, format.Bytes(c.Device.LogicalBlockSize()).Sectors()))
	p.undoing = undoing{
		session: p.session, name: name, changed: &p.target.whole.Device, geometry: g,
		chunks: uint64(p.plan.Bytes()/g.ChunkBytes()) + 2*uint64(p.plan.Writes()),
	}
	if name == "" {
		return p.undoing.nameIt(c)
	}
	return p.undoing.check()
}

// write applies the plan to the device, and keeps what it overwrites.
func (p *planned) write() error {
	if err := p.undoing.open(p.target.whole); err != nil {
		return err
	}
	return p.undoing.end(p.apply(p.target.out, "run the same command again, and it goes on"))
}

// apply applies the plan to a device. then says what is to be known when it was interrupted.
func (p *planned) apply(to *device.Writable, then string) error {
	w := p.session.watch(p.target.COW.Text, Steps, uint64(len(p.plan.Steps)))
	defer w.end()
	visit := func() error { return w.visit(w.done + 1) }
	return written(p.target.COW.Text, p.plan.Apply(to, p.capture(), visit), then)
}

// capture keeps what is overwritten in the undo log, nil if there is none. The log is about the
// whole device.
func (p *planned) capture() func(...store.Change) error {
	undo := p.undoing.undo
	if undo == nil {
		return nil
	}
	return func(changes ...store.Change) error {
		whole := make([]store.Change, len(changes))
		for i, c := range changes {
			whole[i] = store.Change{Offset: p.target.COW.Part.Offset + c.Offset, Data: c.Data}
		}
		return ofUndo(p.undoing.name, undo.Capture(whole...))
	}
}

// undoName is the name of the undo log that takes back what was written, empty if there is none.
func (p *planned) undoName() string {
	if p.undoing.isUnused() {
		return ""
	}
	return p.undoing.name
}

// RepairRequest says what is to be mended, and how.
type RepairRequest struct {
	Request
	Base    BaseRequest
	Choices repair.Choices
	Undo    string  // the file of an undo log; empty for one that is named after the device
	NoUndo  bool    // keep nothing of what is overwritten
	CopyTo  string  // mend a copy in this file, and leave the device as it is
	Stream  *Stream // mend a copy that goes to a stream
	DryRun  bool    // open nothing for writing
}

func (r RepairRequest) copies() bool { return r.CopyTo != "" || r.Stream != nil }

// Repair is a repair that was planned.
type Repair struct {
	COW     *COW
	Plan    *repair.Plan
	Options check.Options // as the store was checked

	planned *planned
	request RepairRequest
	options repair.Options
	before  mended // by the plans before this one
	checked bool   // Check has found nothing
}

// mended is what was mended.
type mended struct {
	faults uint64
	loses  bool // something may be lost by it
}

// Mended is what has come of a repair.
type Mended struct {
	Report  check.Report // of what was written
	Written string       // the device, or the copy
	Undo    string       // the undo log, empty if there is none
	Faults  uint64       // that were mended
	Loses   bool         // something may be lost by it
	More    bool         // there is more to mend than one plan holds
}

// PlanRepair plans what mends a store. The error is a [*Refusal].
func (s *Session) PlanRepair(r RepairRequest) (*Repair, error) {
	if err := checkCopyName(r.CopyTo); err != nil {
		return nil, err
	}
	p, err := s.openPlanned(r.Request, r.Base, r.DryRun || r.copies())
	if err != nil {
		return nil, err
	}
	m := &Repair{COW: p.target.COW, Options: p.options(), planned: p, request: r}
	m.options = repair.Options{Options: m.Options, Choices: r.Choices}
	if m.COW.Container != "" {
		err = refuse(m.COW.Text, Foreign, errors.New(m.COW.Container))
	}
	if err == nil {
		err = m.makePlan(m.COW.Device)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	s.mention(m.COW.Text, m.Plan.Before)
	return m, nil
}

// Close closes the device.
func (m *Repair) Close() { m.planned.close() }

// Writes reports whether there is something to be written: by the plan, or a copy of what needs no
// mending.
func (m *Repair) Writes() bool {
	return len(m.Plan.Steps) > 0 || m.request.copies() && m.Plan.Before.Outcome() != check.Damaged
}

// Check refuses what the plan cannot be done to: an undo log that cannot be kept, or a store that
// cannot be copied. Do does it where nobody has.
func (m *Repair) Check() (err error) {
	switch {
	case m.checked:
	case m.request.DryRun:
		err = foretold(m.COW.Text, true)
	case m.request.copies():
		err = m.checkCopy()
	case !m.request.NoUndo:
		err = m.planned.keep(m.request.Undo)
	}
	m.checked = err == nil
	return err
}

// makePlan plans the repair of the device, or of the copy of it.
func (m *Repair) makePlan(d *device.Device) (err error) {
	w := m.planned.session.walking(m.COW)
	defer w.end()
	o := m.options
	o.Device, o.Visit = d, w.area
	m.Plan, err = repair.Make(o)
	m.planned.plan = m.Plan
	if errors.As(err, new(*repair.HeaderError)) {
		return refusef(m.COW.Text, Unable, "refused: %w", err).about(TheHeader)
	}
	return failed(m.COW.Text, Unreadable, err, nothingWritten)
}

// Do applies the plan, and checks what came of it. The error is a [*Refusal], or of the stream. In
// any case the result names the undo log that takes back what was written.
func (m *Repair) Do() (Mended, error) {
	if err := m.Check(); err != nil {
		return Mended{}, err
	}
	switch {
	case m.request.Stream != nil:
		return m.stream()
	case m.request.CopyTo != "":
		return m.mendCopy()
	}
	err := m.planned.write()
	done := Mended{Undo: m.planned.undoName()}
	if err != nil {
		return done, err
	}
	return m.conclude(&m.planned.target.out.Device, m.COW.Text)
}

// sum is what was mended, with the plan.
func (m *Repair) sum() mended {
	all := m.before
	all.loses = all.loses || m.Plan.Loses()
	for _, x := range m.Plan.Repaired {
		all.faults += x.Count
	}
	return all
}

// Faults is how many faults the plan mends.
func (m *Repair) Faults() uint64 { return m.sum().faults }

// conclude checks what was written, and says what has come of the repair.
func (m *Repair) conclude(d store.Device, name string) (Mended, error) {
	all := m.sum()
	done := Mended{Written: name, Undo: m.planned.undoName(), Faults: all.faults, Loses: all.loses, More: m.Plan.More}
	w := m.planned.session.walking(m.COW)
	defer w.end()
	o := m.Options
	o.Device, o.Live, o.Visit = d, false, w.area
	var err error
	done.Report, err = check.Make(o)
	if err == nil && len(done.Report.Unread) > 0 {
		err = done.Report.Unread[0]
	}
	return done, failed(name, Unreadable, err, "all of the plan is written, and what came of it was not checked to the end; run the same command again")
}

// checkCopyName refuses a file in which no copy can be made.
func checkCopyName(name string) error {
	if name == "" {
		return nil
	}
	err := device.Creatable(name)
	if errors.Is(err, fs.ErrExist) {
		err = errors.New("exists, expected the name of a new file")
	}
	return failed(name, Unable, err)
}

// checkCopy refuses what cannot be copied: somebody may write to it meanwhile, or a stream takes one
// plan alone.
func (m *Repair) checkCopy() error {
	if by := m.COW.Device.Writers(); len(by) > 0 {
		return refuse(m.COW.Text, Unable, fmt.Errorf("in use by %s, who may write to it while it is copied", strings.Join(by, ", ")))
	}
	if _, err := m.COW.Device.Claim(); err != nil {
		return refuse(m.COW.Text, Unable, err)
	}
	if m.request.Stream == nil {
		return nil
	}
	read := []*device.Device{m.COW.Device}
	if origin, ok := m.Options.Content.(*device.Device); ok {
		read = append(read, origin)
	}
	if err := m.request.Stream.checkApart(read...); err != nil {
		return err
	}
	if m.Plan.More {
		return refusef(m.COW.Text, Unable, "there is more to mend than one plan holds: expected a file for the copy")
	}
	return nil
}
