package snapshot

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/store"
	"dmcow/store/merge"
	"dmcow/store/undo"
)

// MergeRequest says what is to be merged into what, and how.
type MergeRequest struct {
	Request
	Into   string   // the origin; may be empty for VG/LV
	Undo   string   // the file of an undo log, or a directory, where it is named after the snapshot; empty for none
	Lost   []string // other snapshots of the origin that are given up
	Force  bool     // merge what is otherwise refused and can be (see [Force] in refusals)
	Rescue bool     // leave what cannot be read in the store, as an earlier merge may have
	Keep   bool     // leave the list as it is
	Sparse bool     // make holes in the origin, an image file, where the data is zero
	Steps  uint64   // how many steps of the kernel's are taken; 0 to merge all at once
	DryRun bool     // open nothing for writing

	Memory        format.Bytes // for exceptions and data; merge.MinMemory where it is less
	SkipIdentical bool         // do not write what the origin holds already
	Verify        bool         // read back what was written
}

// Merge is a merge that was found to be possible.
type Merge struct {
	merge.Plan
	*Target
	Changed
	// Bears is what the origin bears that a slip with its name would cost, and Replaced what of
	// that the merge would remove or replace; empty for nothing.
	Bears, Replaced string

	request  MergeRequest
	report   check.Report
	prospect *merge.Prospect
	merge    *merge.Merge // nil in a dry run
	undoing  undoing
}

// PlanMerge opens COW device and origin, and refuses whatever would not end well. In a dry run both
// are open for reading only. The error is a [*Refusal].
func (s *Session) PlanMerge(r MergeRequest) (*Merge, error) {
	cow, into, err := s.findBoth(r)
	if err == nil {
		err = s.checkNotSame(cow, into)
	}
	if err != nil {
		return nil, err
	}
	t, err := s.target(cow, r.Request, r.DryRun)
	if err != nil {
		return nil, err
	}
	r.Undo = cow.undoIn(r.Undo)
	m := &Merge{Target: t, request: r}
	m.Changed = Changed{
		Origin: &Origin{Name: into}, of: s, change: "the merge", notBegun: "nothing is merged yet; run the same command again",
		lost: r.Lost, dryRun: r.DryRun, isOwn: m.isMerged, stretches: m.mark,
	}
	if err = inTurn(m.openInto, m.check); err == nil && !m.IsEmpty() {
		err = m.openSiblings()
	}
	if err == nil {
		m.noteBegun()
	}
	return orClose(m, err)
}

func (s *Session) findBoth(r MergeRequest) (cow, into Name, err error) {
	cow, err = s.find(r.COW, !r.DryRun)
	if err == nil {
		err = checkCOWName(cow, r.Part)
	}
	if err != nil {
		return cow, into, err
	}
	if err = checkInactive(cow.Volume); err == nil {
		into, err = s.originOf(cow, r.Into, !r.DryRun)
	}
	return cow, into, err
}

// checkInactive refuses to merge a snapshot that is active.
func checkInactive(v *volume.Volume) error {
	if v == nil || v.Active == nil {
		return nil
	}
	err := fmt.Errorf("its COW device is %s", v.Active.Path())
	if by := v.Active.Holders(); len(by) > 0 {
		err = &inuse.BusyError{By: by}
	}
	if v.Snapshot == nil {
		return refuse(v.Name, Unable, words.Hint(err, "first deactivate the snapshot's origin"))
	}
	return refuse(v.Name, Unable, words.Hint(err, "first deactivate the snapshot's origin: lvchange -an %s", words.Shell(v.InGroup(v.Snapshot.Origin))))
}

// checkNotSame refuses two devices of which one would be changed with the other.
func (s *Session) checkNotSame(cow, into Name) error {
	c, err := s.open(cow)
	if err != nil {
		return err
	}
	defer c.Close()
	o, err := s.open(into)
	if err != nil {
		return err
	}
	defer o.Close()
	return (&Origin{into, o}).checkApart(cow, c)
}

func (m *Merge) openInto() error {
	if err := m.Changed.open(); err != nil {
		return m.withWayOfKernel(err)
	}
	if m.request.Sparse && m.Origin.Device.IsBlock() {
		return refusef(m.Origin.Text, WrongUse, "is a block device, not an image file").about(TheSparse)
	}
	return m.Origin.checkTarget()
}

// Close closes all devices.
func (m *Merge) Close() {
	m.undoing.close()
	m.Changed.Close()
	m.Target.Close()
}

// IsEmpty reports whether there is nothing to merge, and nothing to clear.
func (m *Merge) IsEmpty() bool {
	return m.Chunks == 0 && m.Beyond == 0 && (m.Hidden == 0 || m.request.Keep)
}

// Do merges all of it. It may be ended between two batches, and be done again. The error is a [*Refusal].
func (m *Merge) Do() (merge.Result, error) {
	if err := m.begin(); err != nil {
		return merge.Result{}, err
	}
	result, err := m.run()
	return result, m.undoing.end(m.unmarkCopies(err))
}

// begin opens the undo log, and does to others what has to be done before anything is overwritten.
func (m *Merge) begin() error {
	if err := checkReal(m.COW.Text, m.request.DryRun); err != nil {
		return err
	}
	if err := m.undoing.open(m.into); err != nil {
		return err
	}
	err := m.keepSiblings()
	if err == nil && m.IsUndo && !m.request.Keep {
		err = written(m.COW.Text, undo.BeginTakingBack(m.out))
	}
	if err == nil {
		err = m.markCopies()
	}
	return err
}

func (m *Merge) run() (merge.Result, error) {
	r := m.request
	o := merge.Options{
		Memory: max(r.Memory, merge.MinMemory), Keep: r.Keep, SkipIdentical: r.SkipIdentical, Rescue: r.Rescue,
		Undo: m.undoing.undo, Cached: m.out.Cached(),
	}
	if r.Sparse {
		o.Hole = m.into.PunchHole
	}
	if !m.COW.Device.IsBlock() && !m.Origin.Device.IsBlock() {
		o.Share = m.share
	}
	if r.Verify || r.Keep {
		past, err := m.Origin.Device.PastCache()
		if err != nil {
			return merge.Result{}, refuse(m.Origin.Text, Unable, err)
		}
		defer past.Close()
		for _, leg := range past.Legs() {
			o.PastCache = append(o.PastCache, leg)
		}
	}
	w := m.session.watch(m.Origin.Text, Bytes, uint64(m.Bytes))
	defer w.End()
	o.Copied, o.Pause = w.between()
	result, err := m.merge.Run(o)
	return result, m.failed(err)
}

func (m *Merge) share(source, offset, length int64) (done bool, err error) {
	err = m.into.Share(m.COW.Device, source, offset, length)
	if errors.Is(err, device.ErrNotShared) {
		return false, nil
	}
	return err == nil, err
}

// Step takes the steps that were asked for, as the kernel takes them. It calls told with each run
// that was merged. The error is a [*Refusal], or of told.
func (m *Merge) Step(told func(store.Run) error) error {
	if err := m.begin(); err != nil {
		return err
	}
	steps := uint64(0)
	_, err := m.merge.Steps(merge.Options{Memory: merge.MinMemory, Undo: m.undoing.undo}, m.request.Steps, func(r store.Run) error {
		steps++
		if err := told(r); err != nil || steps == m.request.Steps {
			return ofCalled(err)
		}
		return m.session.options.Interrupted()
	})
	return m.undoing.end(m.unmarkCopies(m.failed(err)))
}

// Preview calls told with the runs that Step would merge. The error is a [*Refusal], or of told.
func (m *Merge) Preview(told func(store.Run) error) error {
	return m.failed(m.prospect.Preview(m.request.Steps, func(r store.Run) error { return ofCalled(told(r)) }))
}

// mark calls overwritten with the stretches of the origin that are going to be.
func (m *Merge) mark(overwritten func(start, end format.Bytes)) error {
	chunk := m.COW.Identity.Geometry.ChunkBytes()
	if m.request.Steps > 0 {
		return m.Preview(func(r store.Run) error {
			overwritten(format.Bytes(r.Old)*chunk, format.Bytes(r.Old+format.OldChunk(r.Count))*chunk)
			return nil
		})
	}
	w := m.session.walking(m.COW)
	defer w.End()
	_, err := format.Each(m.COW.Walk(), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			overwritten(format.Bytes(x.Old)*chunk, format.Bytes(x.Old+1)*chunk)
		}
		return w.area(b.Area)
	})
	return failed(m.COW.Text, Unreadable, err, nothingWritten)
}

func (m *Merge) isMerged(s lvm.Snapshot) bool {
	own := m.COW.Volume
	return own != nil && own.Group != nil && own.Group.UUID == m.Origin.Volume.Group.UUID && own.Logical.Name == s.COW.Name
}

// UndoName is the name of the undo log, empty for none.
func (m *Merge) UndoName() string { return m.request.Undo }

// GivenUp are the names of the other snapshots that are given up, as they were named.
func (m *Merge) GivenUp() []string { return m.request.Lost }

// UndoKept reports whether the undo log takes back all that was done with it: nothing of the
// snapshot is lost then.
func (m *Merge) UndoKept() bool { return m.undoing.undo.Kept() }

// failed makes a refusal of the error with which a merge ended, if it is one of its own, and says
// which device it is about.
func (m *Merge) failed(err error) error {
	var t *merge.TransferError
	var x calledError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &x):
		return x.error
	case errors.Is(err, ErrInterrupted):
		return refusef(m.COW.Text, Interrupted, "%w: run the same command again to go on", err)
	case errors.As(err, &t) && !t.Origin:
		return refuse(m.COW.Text, Unable, fmt.Errorf("%w; the snapshot reads as before", err), RescueRest)
	case errors.As(err, &t), errors.As(err, new(*merge.SyncError)), errors.As(err, new(*merge.DifferenceError)):
		return refuse(m.Origin.Text, Unable, err)
	case errors.As(err, new(*merge.UndoError)):
		return refuse(m.request.Undo, Unable, err)
	case errors.As(err, new(*store.HiddenError)), errors.As(err, new(*merge.BadExceptionError)):
		return refusef(m.COW.Text, Damaged, "refused: %w", err)
	}
	return written(m.COW.Text, err)
}
