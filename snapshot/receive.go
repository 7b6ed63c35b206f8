package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/store/apply"
	"dmcow/store/delta"
	"dmcow/store/save"
	"dmcow/store/undo"
)

// ReceiveRequest says which delta is applied to what, and how.
type ReceiveRequest struct {
	IncomingRequest
	Into      string   // a device, an image file, or VG/LV
	Undo      string   // the file of an undo log, or a directory, where it is named after the target; empty for none
	Lost      []string // snapshots of the target that are given up
	ForceBase bool     // write also where the target does not hold what it must
	DryRun    bool     // open nothing for writing
}

// Receive is a delta that was found to be good for a target: all of both, where the delta can be read more than once, else
// what the beginning says.
type Receive struct {
	Changed
	In *Incoming
	// Compared says that all of the delta was compared with the target, and Foreseen what was found.
	Compared bool
	Foreseen apply.Result
	Creates  bool // the target is made: an image file

	fresh bool // there is nothing of the target yet, or an empty file

	session *Session
	request ReceiveRequest
	undoing undoing
	keepers []*save.Keeper // of the siblings that get their exceptions as the stream comes
	done    apply.Result
	whole   bool // all of it was applied
}

// PlanReceive opens a delta and the target, and refuses whatever would not end well, as far as a look can tell. In a dry
// run both are open for reading only. The error is a [*Refusal].
func (s *Session) PlanReceive(r ReceiveRequest) (*Receive, error) {
	in, err := s.incoming(r.IncomingRequest, nil, false)
	if err != nil {
		return nil, err
	}
	p := &Receive{In: in, session: s, request: r}
	p.Changed = Changed{
		Origin: &Origin{Name: Name{Text: r.Into}}, of: s, change: "the delta", notBegun: "nothing of the target is written yet; run the same command again",
		lost: r.Lost, dryRun: r.DryRun, isOwn: func(lvm.Snapshot) bool { return false }, stretches: p.stretches,
	}
	return orClose(p, inTurn(p.checkDelta, p.openTarget, p.check, p.openSiblings, p.look))
}

// checkDelta refuses a stream that says nothing of what must be there before.
func (p *Receive) checkDelta() error {
	if !p.In.Lvmsync || p.request.ForceBase {
		return nil
	}
	return refuse(p.In.Name, Unable, errors.New("refused: a stream of lvmsync does not say what the target must hold before, or where the stream ends, and has no digests"), ForceBase)
}

// openTarget finds and opens the target. A volume that is active here is written through the kernel's device, which serves
// its snapshots.
func (p *Receive) openTarget() error {
	if p.isMissing() {
		p.Creates, p.fresh = true, true
		p.Origin.Device = device.Nothing()
		return failed(p.request.Into, Unable, device.CheckCreatable(p.request.Into))
	}
	n, err := p.session.find(p.request.Into, !p.request.DryRun)
	if err != nil {
		return err
	}
	if v := n.Volume; v != nil {
		if v.Snapshot != nil || v.Active != nil {
			return refusef(n.Text, Unable, "refused: this is a snapshot; the target must be a device that holds the copy")
		}
		if m := v.Shown(inuse.Mappings()); m != nil {
			n = Name{Text: m.Path()}
			p.session.note(p.request.Into, Fine, "is active: it is written as %s", n.Text)
		}
	}
	p.Origin.Name = n
	if err = p.Changed.open(); err == nil {
		p.fresh = p.In.Head.Kind == delta.Full && n.Volume == nil && !p.Origin.Device.IsBlock() && p.Origin.Device.Size() == 0
	}
	return err
}

// isMissing reports whether the target is a file that a full delta makes.
func (p *Receive) isMissing() bool {
	if p.In.Head.Kind != delta.Full {
		return false
	}
	if _, err := os.Stat(p.request.Into); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return !IsVolume(p.request.Into) || len(p.session.options.Where) == 0 && exists(filepath.Dir(p.request.Into))
}

func (p *Receive) check() error {
	p.request.Undo = p.Origin.undoIn(p.request.Undo)
	steps := []func() error{p.checkSize, p.checkUndo}
	if !p.fresh {
		steps = []func() error{p.Origin.checkTarget, p.checkContent, p.checkIncomingApart, p.checkSize, p.checkUndo}
	}
	return inTurn(steps...)
}

// checkContent refuses a target that holds a store, or what is in another disk format. Whether it holds what it must
// is seen chunk by chunk.
func (p *Receive) checkContent() error {
	err := p.Origin.check()
	if errors.Is(err, errSwapped) {
		err = refuse(p.Origin.Text, Unable, errors.New("refused: it starts with a COW header: is it the delta, or a COW device?"), ForceBase)
		if p.request.ForceBase {
			return nil
		}
	}
	return err
}

// checkSize refuses a target of another size.
func (p *Receive) checkSize() error {
	h := p.In.Head
	if p.fresh || p.In.Lvmsync {
		return nil
	}
	if err := format.CheckChunkSectors(uint32(h.Geometry.ChunkSectors()), format.Bytes(p.Origin.Device.LogicalBlockSize())); err != nil {
		return refusef(p.Origin.Text, Unable, "%d-sector chunks on a device with blocks of %d bytes: %w", h.Geometry.ChunkSectors(), p.Origin.Device.LogicalBlockSize(), err)
	}
	switch {
	case p.Size() == h.Size:
		return nil
	case p.Size() < h.Size:
		return refusef(p.Origin.Text, Unable, "too small: it has %d bytes; the delta is for a device of %d", p.Size(), h.Size)
	case p.request.ForceBase:
		return nil
	}
	return refuse(p.Origin.Text, Unable, fmt.Errorf("refused: it has %d bytes; the delta is for a device of %d", p.Size(), h.Size), ForceBase)
}

func (p *Receive) checkIncomingApart() error {
	if p.In.device == nil {
		return nil
	}
	return checkApart(p.Origin.Text, p.Origin.Device, p.In.device)
}

func (p *Receive) checkUndo() error {
	g := undoGeometry(max(p.In.Head.Geometry.ChunkSectors(), format.Bytes(p.Origin.Device.LogicalBlockSize()).Sectors()))
	chunks := uint64(p.In.Head.Bytes/g.ChunkBytes()) + p.In.Head.Count + 1
	p.undoing = undoing{session: p.session, name: p.request.Undo, changed: p.Origin.Device, geometry: g, chunks: chunks}
	if p.In.device != nil {
		p.undoing.apart = []*device.Device{p.In.device}
	}
	if p.request.Undo != "" && p.fresh {
		return refusef(p.request.Undo, WrongUse, "the target is made: there is nothing to save")
	}
	return p.undoing.check()
}

// comesAlong reports whether it is known only as the stream comes what is going to be overwritten.
func (p *Receive) comesAlong() bool {
	return p.In.IsStream() || p.In.Lvmsync || p.In.Head.Kind == delta.Full && p.request.ForceBase
}

// stretches calls overwritten with what the delta changes, where that can be known.
func (p *Receive) stretches(overwritten func(start, end format.Bytes)) error {
	if p.comesAlong() {
		return nil
	}
	return p.In.each(overwritten)
}

// marked calls overwritten with what is marked: where it is not known, all of the target.
func (p *Receive) marked(overwritten func(start, end format.Bytes)) error {
	if p.comesAlong() {
		overwritten(0, p.Size())
		return nil
	}
	return p.In.each(overwritten)
}

// look compares all of the delta with the target, where it can be read again, or nothing is written.
func (p *Receive) look() error {
	if p.In.IsStream() && !p.request.DryRun {
		return nil
	}
	var target apply.Reader = p.Origin.Device
	o := p.options()
	if p.fresh {
		z := zeros(p.In.Head.Size)
		target, o.NextData = z, z.NextData
	}
	w := p.session.watch(p.Origin.Text, Bytes, uint64(p.In.Head.Bytes))
	defer w.End()
	o.Done, o.Pause = w.between()
	var err error
	if p.Foreseen, err = apply.Look(p.In.source(p.Size()), target, o); err != nil {
		return p.failed(err, apply.Result{})
	}
	p.Compared = true
	return nil
}

func (p *Receive) options() apply.Options {
	o := apply.Options{Full: p.In.Head.Kind == delta.Full, Force: p.request.ForceBase, Blind: p.In.Lvmsync, Explain: p.undoing.explain}
	if o.Full {
		o.NextData = p.Origin.Device.NextData
	}
	return o
}

// IsEmpty reports whether the target holds all of it already.
func (p *Receive) IsEmpty() bool { return p.Compared && !p.fresh && !p.Foreseen.Changed() }

// Close closes all devices.
func (p *Receive) Close() {
	p.undoing.close()
	for _, k := range p.keepers {
		k.Close()
	}
	if p.In != nil {
		p.In.Close()
	}
	if p.Creates && p.into != nil && !p.whole && !p.done.Changed() {
		if err := p.into.Abandon(); err != nil {
			p.session.note(p.Origin.Text, Fine, "it is empty and cannot be removed: %v", err)
		}
		p.Origin.Device = nil
	}
	p.Changed.Close()
}

// Do applies the delta. It may be cut off anywhere, and be done again. The error is a [*Refusal].
func (p *Receive) Do() (apply.Result, error) {
	if err := checkReal(p.Origin.Text, p.request.DryRun); err != nil {
		return apply.Result{}, err
	}
	if err := p.begin(); err != nil {
		return apply.Result{}, err
	}
	err := p.run()
	return p.done, p.undoing.end(p.unmarkCopies(err))
}

// begin does what has to be done before anything is overwritten.
func (p *Receive) begin() error {
	if p.IsEmpty() {
		p.undoing.name = "" // there is nothing to keep
	}
	err := inTurn(p.make, p.again, func() error { return p.undoing.open(p.into) }, p.keepSiblings, p.keepAlong)
	if err == nil {
		p.Changed.stretches = p.marked
		err = p.markCopies()
	}
	return err
}

// make makes the target, where it is not there.
func (p *Receive) make() (err error) {
	if p.Creates {
		var made bool
		if p.into, made, err = device.CreateWritable(p.request.Into); err != nil {
			return failed(p.request.Into, Unable, err)
		}
		p.Origin.Device = &p.into.Device
		if !made {
			return refusef(p.request.Into, Unable, "another program has just made this file")
		}
	}
	if p.fresh {
		return failed(p.request.Into, Unable, p.into.Grow(int64(p.In.Head.Size)))
	}
	return nil
}

// again goes to the beginning of the delta, where it was read.
func (p *Receive) again() error {
	if !p.Compared {
		return nil
	}
	h := p.In.Head
	err := p.In.begin()
	if err == nil && p.In.Head != h {
		err = refusef(p.In.Name, Unable, "it is another delta than it was; %s", nothingWritten)
	}
	return err
}

// keepAlong has the siblings of a target keep what they must as the stream comes, where that could not be known before.
func (p *Receive) keepAlong() error {
	if !p.comesAlong() {
		return nil
	}
	for _, o := range p.Siblings {
		if o.Lost {
			continue
		}
		w := p.session.walking(o.COW)
		k, err := o.saver.Keep(o.out, p.Origin.Device, w.area)
		w.End()
		if err != nil {
			return written(o.COW.Text, err, p.notBegun)
		}
		p.keepers = append(p.keepers, k)
	}
	return nil
}

func (p *Receive) run() error {
	o := p.options()
	o.Undo = p.undoing.undo
	if len(p.keepers) > 0 {
		o.Before = p.keep
	}
	w := p.session.watch(p.Origin.Text, Bytes, uint64(p.In.Head.Bytes))
	defer w.End()
	o.Done, o.Pause = w.between()
	var err error
	p.done, err = apply.Run(p.In.source(p.Size()), p.into, o)
	p.whole = err == nil // a delta of zeros writes nothing, and the target is made all the same
	return p.failed(err, p.done)
}

// keep has the siblings keep what is going to be overwritten.
func (p *Receive) keep(changes []undo.Change) error {
	i := 0
	for _, o := range p.Siblings {
		if o.Lost {
			continue
		}
		for _, c := range changes {
			if err := p.keepers[i].Save(c.Offset, c.Offset+format.Bytes(len(c.Data))); err != nil {
				return p.against(o, err)
			}
		}
		i++
	}
	return nil
}

// UndoName is the name of the undo log, empty for none.
func (p *Receive) UndoName() string { return p.request.Undo }

// GivenUp are the names of the snapshots that are given up, as they were named.
func (p *Receive) GivenUp() []string { return p.request.Lost }

// failed makes a refusal of the error with which a look or the application ended, and says what was done.
func (p *Receive) failed(err error, r apply.Result) error {
	if err == nil {
		return nil
	}
	var foreign *apply.ForeignError
	var refused *Refusal
	then := p.standing(r)
	if t := (*apply.TransferError)(nil); errors.As(err, &t) && t.Write {
		then += "; what was written last may be torn"
	}
	switch {
	case errors.As(err, &refused):
		r := *refused
		r.Err = fmt.Errorf("%w; %s", r.Err, then)
		return &r
	case errors.Is(err, ErrInterrupted):
		return refusef(p.Origin.Text, Interrupted, "%w: %s", ErrInterrupted, then)
	case p.In.isCut(err) && r.Changed():
		return refusef(p.In.Name, Interrupted, "%w; %s", err, then)
	case p.In.isOwn(err):
		return refusef(p.In.Name, Unable, "%w; %s", err, then)
	case errors.As(err, &foreign):
		return refuse(p.Origin.Text, Damaged, fmt.Errorf("refused: %w; %s", foreign, then), ForceBase)
	case errors.As(err, new(*apply.UndoError)):
		return refusef(p.request.Undo, Unable, "%w; %s", err, then)
	case errors.As(err, new(*apply.TransferError)), errors.As(err, new(*apply.SyncError)):
		return refusef(p.Origin.Text, Unable, "%w; %s", err, then)
	}
	return refusef(p.In.Name, Unreadable, "%w; %s", err, then)
}

// standing says what the target is now.
func (p *Receive) standing(r apply.Result) string {
	if !r.Changed() {
		return nothingWritten
	}
	but := ""
	if r.Pending {
		but = fmt.Sprintf(" (but for the chunk at byte %d, which is written last)", r.Last)
	}
	return fmt.Sprintf("%s was written, in whole chunks: up to byte %d, %s is what the delta makes of it%s, and behind that what it was; "+
		"the same command with the delta from its beginning goes on", words.Size(r.Bytes+r.Cleared), r.Upto, words.Printable(p.Origin.Text), but)
}

// zeros is a target of so many bytes that is yet to be made.
type zeros format.Bytes

func (z zeros) Size() int64 { return int64(z) }

// NextData says that all of it is a hole.
func (z zeros) NextData(int64) (start, end int64, err error) { return z.Size(), z.Size(), nil }

func (z zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (z zeros) ReadMany(p [][]byte, _ []int64) (int, error) {
	for _, b := range p {
		clear(b)
	}
	return 0, nil
}

var _ io.ReaderAt = zeros(0)
