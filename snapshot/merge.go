package snapshot

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/volume"
	"dmcow/store"
	"dmcow/store/merge"
)

// MergeRequest says what is to be merged into what, and how.
type MergeRequest struct {
	Request
	Into   string   // the origin; may be empty for VG/LV
	Undo   string   // the file of an undo log; empty for none
	Lost   []string // other snapshots of the origin that are given up
	Force  bool     // merge what is otherwise refused and can be (see [Force] in refusals)
	Rescue bool     // leave what cannot be read in the store, as an earlier merge may have
	Keep   bool     // leave the list as it is
	Sparse bool     // make holes in the origin, an image file, where the data is zero
	Steps  uint64   // how many steps of the kernel's are taken; 0 to merge all at once
	DryRun bool     // open nothing for writing
}

// Merge is a merge that was found to be possible.
type Merge struct {
	merge.Plan
	COW    *COW
	Origin *Origin
	Others []*Other // snapshots of the origin that have to be seen to first
	IsUndo bool     // the store is an undo log
	// Seen says that all snapshots of the origin are known: it is a logical volume.
	Seen bool
	// Bears is what the origin bears that a slip with its name would cost, and Replaced what of
	// that the merge would remove or replace; empty for nothing.
	Bears, Replaced string

	session  *Session
	request  MergeRequest
	report   check.Report
	target   *Target
	into     *device.Writable // the origin; nil in a dry run
	prospect *merge.Prospect
	merge    *merge.Merge // nil in a dry run
	undoing  undoing
}

// PlanMerge opens COW device and origin, and refuses whatever would not end well. In a dry run both
// are open for reading only. The error is a [*Refusal].
func (s *Session) PlanMerge(r MergeRequest) (*Merge, error) {
	cow, into, err := s.findBoth(r)
	if err == nil {
		err = s.checkApart(cow, into)
	}
	if err != nil {
		return nil, err
	}
	t, err := s.target(cow, r.Request, r.DryRun)
	if err != nil {
		return nil, err
	}
	m := &Merge{session: s, request: r, COW: t.COW, target: t, Origin: &Origin{Name: into}}
	if err = m.openInto(); err == nil {
		err = m.check()
	}
	if err == nil && !m.IsEmpty() {
		err = m.openOthers()
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// findBoth finds out which COW device is to be merged into which origin.
func (s *Session) findBoth(r MergeRequest) (cow, into Name, err error) {
	cow, err = s.find(r.COW, !r.DryRun)
	if err == nil {
		err = checkCOWName(cow, r.Part)
	}
	if err != nil {
		return cow, into, err
	}
	if v := cow.Volume; v != nil && v.Active != nil {
		return cow, into, activeMerge(v)
	}
	if r.Into == "" {
		into, err = s.originOf(cow, "")
		return cow, into, err
	}
	into, err = s.find(r.Into, !r.DryRun)
	if err == nil {
		err = checkOtherOrigin(cow, into)
	}
	return cow, into, err
}

// activeMerge refuses to merge a snapshot that is active.
func activeMerge(v *volume.Volume) error {
	err := fmt.Errorf("its COW device is %s", v.Active.Path())
	if by := v.Active.Holders(); len(by) > 0 {
		err = &device.BusyError{By: by}
	}
	return refusef(v.Name, Unable, "%w: first deactivate the snapshot's origin (lvchange -an)", err)
}

// checkApart refuses two devices of which one would be changed with the other.
func (s *Session) checkApart(cow, into Name) error {
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
	return overlapping(into.Text, c, o, cow.Text, "the snapshot's origin")
}

// openInto opens the origin.
func (m *Merge) openInto() (err error) {
	name := m.Origin.Name
	if m.request.DryRun {
		if v := name.Volume; v != nil && v.RefuseWriting() != nil {
			return refuse(name.Text, Unable, v.RefuseWriting())
		}
		m.Origin.Device, err = m.session.open(name)
	} else if m.into, err = name.openToWrite(); err == nil {
		m.Origin.Device = &m.into.Device
	}
	if err != nil {
		return err
	}
	if m.request.Sparse && m.Origin.Device.IsBlock() {
		return refusef(name.Text, WrongUse, "is a block device, expected an image file").about(TheSparse)
	}
	return checkTarget(m.Origin.Device, name.Text)
}

// Close closes all devices.
func (m *Merge) Close() {
	m.undoing.close()
	for _, o := range m.Others {
		o.close()
	}
	if m.Origin.Device != nil {
		m.Origin.Close()
	}
	m.target.Close()
}

// IsEmpty reports whether there is nothing to merge, and nothing to clear.
func (m *Merge) IsEmpty() bool {
	return m.Chunks == 0 && m.Beyond == 0 && (m.Hidden == 0 || m.request.Keep)
}

// Do merges all of it. It may be ended between two batches, and be done again. The error is a
// [*Refusal].
func (m *Merge) Do(o Manner) (merge.Result, error) {
	if err := m.begin(); err != nil {
		return merge.Result{}, err
	}
	result, err := m.run(o)
	return result, m.undoing.end(err)
}

// Manner says how a merge is done.
type Manner struct {
	Memory        format.Bytes // for exceptions and data, at least merge.MinMemory
	SkipIdentical bool         // do not write what the origin holds already
	Verify        bool         // read back what was written
}

// begin opens the undo log, and does to others what has to be done before anything is overwritten.
func (m *Merge) begin() error {
	if err := foretold(m.COW.Text, m.request.DryRun); err != nil {
		return err
	}
	if err := m.undoing.open(m.into); err != nil {
		return err
	}
	if err := m.keepOthers(); err != nil {
		return err
	}
	if !m.IsUndo || m.request.Keep {
		return nil
	}
	return written(m.COW.Text, store.BeginTakingBack(m.target.out))
}

// run is Do when all else is ready.
func (m *Merge) run(manner Manner) (merge.Result, error) {
	r := m.request
	o := merge.Options{
		Memory: manner.Memory, Keep: r.Keep, SkipIdentical: manner.SkipIdentical, Rescue: r.Rescue, Undo: m.undoing.undo, Cached: m.target.out.Cached(),
	}
	if r.Sparse {
		o.Hole = m.into.PunchHole
	}
	if !m.COW.Device.IsBlock() && !m.Origin.Device.IsBlock() {
		o.Share = m.share
	}
	if manner.Verify || r.Keep {
		past, err := m.Origin.Device.PastCache()
		if err != nil {
			return merge.Result{}, refuse(m.Origin.Text, Unable, err)
		}
		defer past.Close()
		o.PastCache = past
	}
	w := m.session.watch(m.Origin.Text, Bytes, uint64(m.Bytes))
	defer w.end()
	o.Copied, o.Pause = w.between()
	result, err := m.merge.Run(o)
	return result, m.failed(err)
}

// share has image files share extents.
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
		if err := told(r); err != nil {
			return toldError{err}
		}
		if steps == m.request.Steps {
			return nil
		}
		return m.session.interrupted()
	})
	return m.undoing.end(m.failed(err))
}

// Preview calls told with the runs that Step would merge. The error is a [*Refusal], or of told.
func (m *Merge) Preview(told func(store.Run) error) error {
	return m.failed(m.prospect.Preview(m.request.Steps, func(r store.Run) error {
		if err := told(r); err != nil {
			return toldError{err}
		}
		return nil
	}))
}

// toldError is an error of whoever is told of steps.
type toldError struct{ error }

// Size is the size of the origin, in whole sectors.
func (m *Merge) Size() format.Bytes { return originBytes(m.Origin.Device) }

// shownBy is the size of a snapshot of the origin: its own may be smaller.
func (m *Merge) shownBy(c *COW) format.Bytes {
	if own := c.ownSize(); own > 0 {
		return min(own, m.Size())
	}
	return m.Size()
}

// UndoKept reports whether the undo log takes back all that was done with it: nothing of the
// snapshot is lost then.
func (m *Merge) UndoKept() bool { return m.undoing.undo.Kept() }

// failed makes a refusal of the error with which a merge ended, if it is one of its own, and says
// which device it is about.
func (m *Merge) failed(err error) error {
	var t *merge.TransferError
	var h *store.HiddenError
	var b *merge.BadExceptionError
	var x toldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &x):
		return x.error
	case errors.Is(err, ErrInterrupted):
		return refusef(m.COW.Text, Interrupted, "%w: run the same command again, and it goes on", err)
	case errors.As(err, &t) && !t.Origin:
		return refuse(m.COW.Text, Unable, fmt.Errorf("%w; the snapshot shows what it did", err), RescueRest)
	case errors.As(err, &t), errors.As(err, new(*merge.SyncError)), errors.As(err, new(*merge.DifferenceError)):
		return refuse(m.Origin.Text, Unable, err)
	case errors.As(err, new(*merge.UndoError)):
		return refuse(m.request.Undo, Unable, err)
	case errors.As(err, &h), errors.As(err, &b):
		return refusef(m.COW.Text, Damaged, "refused: %w", err)
	}
	return written(m.COW.Text, err)
}
