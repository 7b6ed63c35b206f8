package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/draft"
	"dmcow/internal/raw"
	"dmcow/internal/words"
	"dmcow/repair"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// Edits is a plan of edits, and the COW device that it is for.
type Edits struct {
	*Target
	Plan    *repair.Plan
	base    Base
	undoing undoing
	checked bool // Check has found nothing
}

// Close closes all of it.
func (p *Edits) Close() {
	p.undoing.close()
	p.Target.Close()
	p.base.Close()
}

// openEdits opens a COW device to be written, and what is known of its origin.
func (s *Session) openEdits(r Request, base BaseRequest, dryRun bool) (*Edits, error) {
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
	return orClose(&Edits{Target: t, base: b}, s.noteMerging(t.COW))
}

// keep has what is overwritten be kept in an undo log. Where it has no name, it is named after the
// device. The error is the refusal of one that cannot be.
func (p *Edits) keep(name string) error {
	g := undoGeometry(max(8, format.Bytes(p.COW.Device.LogicalBlockSize()).Sectors()))
	p.undoing = undoing{
		session: p.session, name: name, changed: &p.whole.Device, geometry: g,
		chunks: uint64(p.Plan.Bytes()/g.ChunkBytes()) + 2*uint64(p.Plan.Writes()),
	}
	if name == "" {
		return p.undoing.nameIt(p.COW)
	}
	return p.undoing.check()
}

func (p *Edits) write() error {
	if err := p.undoing.open(p.whole); err != nil {
		return err
	}
	return p.undoing.end(p.apply(p.out, "run the same command again to go on"))
}

// apply applies the plan to a device. then says what is to be known when it was interrupted.
func (p *Edits) apply(to *device.Writable, then string) error {
	w := p.session.watch(p.COW.Text, Steps, uint64(len(p.Plan.Steps)))
	defer w.End()
	visit := func() error { return w.visit(w.done + 1) }
	return written(p.COW.Text, p.Plan.Apply(to, p.capture(), visit), then)
}

// capture keeps what is overwritten in the undo log, nil if there is none. The log is about the whole device.
func (p *Edits) capture() func(...undo.Change) error {
	log := p.undoing.undo
	if log == nil {
		return nil
	}
	return func(changes ...undo.Change) error {
		whole := make([]undo.Change, len(changes))
		for i, c := range changes {
			whole[i] = undo.Change{Offset: p.COW.Part.Offset + c.Offset, Data: c.Data}
		}
		return failed(p.undoing.name, Unable, log.Capture(whole...))
	}
}

// undoName is the name of the undo log that takes back what was written, empty if there is none.
func (p *Edits) undoName() string {
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
	*Edits
	Options check.Options // as the store was checked

	request RepairRequest
	faults  uint64 // that were mended by the plans before this one
	loses   bool   // something may be lost by those
	lost    uint64 // exceptions
	more    bool   // or more
}

// Repaired is what has come of a repair.
type Repaired struct {
	Report   check.Report // of what was written
	Written  string       // the device, or the copy
	Undo     string       // the undo log, empty if there is none
	Faults   uint64       // that were mended
	Loses    bool         // something may be lost by it:
	Lost     uint64       // so many exceptions; 0 where that is not known
	LostMore bool         // or more
	More     bool         // there is more to mend than one plan holds
}

// PlanRepair plans what mends a store. The error is a [*Refusal].
func (s *Session) PlanRepair(r RepairRequest) (*Repair, error) {
	if err := checkCopyName(r.CopyTo); err != nil {
		return nil, err
	}
	p, err := s.openEdits(r.Request, r.Base, r.DryRun || r.copies())
	if err != nil {
		return nil, err
	}
	m := &Repair{Edits: p, Options: p.COW.checkOptions(p.base), request: r}
	if err = p.COW.checkContainer(); err == nil {
		err = m.makePlan(m.COW.Device)
	}
	if err == nil {
		s.mention(m.COW.Text, m.Plan.Before)
	}
	return orClose(m, err)
}

// Writes reports whether there is something to be written: by the plan, or a copy of what needs no mending.
func (m *Repair) Writes() bool {
	return len(m.Plan.Steps) > 0 || m.request.copies() && m.Plan.Before.Outcome() != check.Damaged
}

// Check refuses what the plan cannot be done to: an undo log that cannot be kept, or a store that
// cannot be copied. Do does it where nobody has.
func (m *Repair) Check() (err error) {
	switch {
	case m.checked:
	case m.request.DryRun:
		err = checkReal(m.COW.Text, true)
	case m.request.copies():
		err = m.checkCopy()
	case !m.request.NoUndo:
		err = m.keep(m.request.Undo)
	}
	m.checked = err == nil
	return err
}

// makePlan plans the repair of the device, or of the copy of it.
func (m *Repair) makePlan(d *device.Device) (err error) {
	w := m.session.walking(m.COW)
	defer w.End()
	o := repair.Options{Options: m.Options, Choices: m.request.Choices}
	o.Device, o.Visit = d, w.area
	m.Plan, err = repair.Make(o)
	if errors.As(err, new(*repair.HeaderError)) {
		return refusef(m.COW.Text, Unable, "refused: %w", err).about(TheHeader)
	}
	return failed(m.COW.Text, Unreadable, err, nothingWritten)
}

// Do applies the plan, and checks what came of it. The error is a [*Refusal], or of the stream. In
// any case the result names the undo log that takes back what was written.
func (m *Repair) Do() (Repaired, error) {
	if err := m.Check(); err != nil {
		return Repaired{}, err
	}
	switch {
	case m.request.Stream != nil:
		return m.stream()
	case m.request.CopyTo != "":
		return m.repairCopy()
	}
	if err := m.write(); err != nil {
		return Repaired{Undo: m.undoName()}, err
	}
	return m.conclude(&m.out.Device, m.COW.Text)
}

// Faults is how many faults are mended, by the plan and those before it.
func (m *Repair) Faults() uint64 {
	all := m.faults
	for _, x := range m.Plan.Repaired {
		all += x.Count
	}
	return all
}

// Lost is how many exceptions may be lost, by the plan and those before it; more says that there may be more.
func (m *Repair) Lost() (n uint64, more bool) {
	n, more = m.Plan.Lost()
	return m.lost + n, m.more || more
}

// Undo is the undo log that will keep what is overwritten, empty for none. Check has found out its name.
func (m *Repair) Undo() string { return m.undoing.name }

// conclude checks what was written, and says what has come of the repair.
func (m *Repair) conclude(d look.Device, name string) (done Repaired, err error) {
	done = Repaired{Written: name, Undo: m.undoName(), Faults: m.Faults(), Loses: m.loses || m.Plan.Loses(), More: m.Plan.More}
	done.Lost, done.LostMore = m.Lost()
	o := m.Options
	o.Device, o.Live = d, false
	done.Report, err = m.session.checkAll(m.COW, o)
	return done, failed(name, Unreadable, err, "the whole plan is written, but the final check did not finish; run the same command again")
}

// checkCopyName refuses a file in which no copy can be made.
func checkCopyName(name string) error {
	if name == "" {
		return nil
	}
	err := device.CheckCreatable(name)
	if errors.Is(err, fs.ErrExist) {
		err = errors.New("already exists: name a new file")
	}
	return failed(name, Unable, err)
}

// checkCopy refuses what cannot be copied: somebody may write to it meanwhile, or a stream takes one
// plan alone.
func (m *Repair) checkCopy() error {
	if by := m.COW.Device.Writers(); len(by) > 0 {
		return refuse(m.COW.Text, Unable, fmt.Errorf("in use by %s, which may write to it during the copy", strings.Join(by, ", ")))
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
		return refusef(m.COW.Text, Unable, "one plan cannot hold all repairs: name a file for the copy")
	}
	return nil
}

// Private is the mode of a file that holds what a volume did.
const Private fs.FileMode = 0o600

const nothingLeft = "no part of the copy is kept"

// repairCopy makes a copy of the store, and mends that. It gets its name when it is whole and durable;
// cut off, nothing is left of it.
func (m *Repair) repairCopy() (Repaired, error) {
	name := m.request.CopyTo
	d, err := draft.New(name, m.COW.Device.Size(), Private)
	if err != nil {
		return Repaired{}, refuse(name, Unable, err)
	}
	defer d.Close()
	err = m.copyData(m.COW.Device, func(b []byte, at int64) error {
		if raw.IsZero(b) {
			return nil
		}
		_, err := d.WriteMany([][]byte{b}, []int64{at})
		return failed(name, Unable, words.Pathless(err))
	})
	if err != nil {
		return Repaired{}, err
	}
	return m.repairDraft(d)
}

// stream writes what the store would be, mended, to a stream.
func (m *Repair) stream() (Repaired, error) {
	err := m.copyData(m.Plan.Result(), func(b []byte, _ int64) error {
		_, err := m.request.Stream.Write(b)
		return err
	})
	if err == nil {
		err = checkQuiet(m.COW.Device)
	}
	if err != nil {
		return Repaired{}, err
	}
	return m.conclude(m.Plan.Result(), "-")
}

// repairDraft mends a copy, which then gets its name.
func (m *Repair) repairDraft(draft *draft.Draft) (done Repaired, err error) {
	name := m.request.CopyTo
	d, err := draft.Writable()
	if err != nil {
		return done, refuse(name, Unable, err)
	}
	for {
		if err := m.apply(d, nothingLeft); err != nil {
			return done, err
		}
		if !m.Plan.More {
			break
		}
		m.faults, m.loses = m.Faults(), m.loses || m.Plan.Loses()
		m.lost, m.more = m.Lost()
		if err := m.makePlan(&d.Device); err != nil {
			return done, err
		}
		if len(m.Plan.Steps) == 0 {
			break
		}
	}
	if done, err = m.conclude(&d.Device, name); err != nil {
		return done, err
	}
	if err := checkQuiet(m.COW.Device); err != nil {
		return done, err
	}
	return done, failed(name, Unable, draft.KeepNew())
}

// copyData hands out all of a store, piece by piece, in order. The error is a refusal, or deliver's.
func (m *Repair) copyData(from io.ReaderAt, deliver func(b []byte, at int64) error) error {
	const most = 64 << 10
	w := m.session.watch(m.COW.Text, Bytes, uint64(m.COW.Size()))
	defer w.End()
	buf, size := make([]byte, most), m.COW.Device.Size()
	for at := int64(0); at < size; {
		b := buf[:min(most, size-at)]
		if err := raw.ReadWhere(from, b, at); err != nil {
			return refuse(m.COW.Text, Unreadable, err)
		}
		if err := deliver(b, at); err != nil {
			return err
		}
		at += int64(len(b))
		if err := w.bytes(format.Bytes(at)); err != nil {
			return failed(m.COW.Text, Unable, err, nothingLeft)
		}
	}
	return nil
}
