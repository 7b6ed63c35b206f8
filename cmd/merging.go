package cmd

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
	"dmcow/store/merge"
)

// merging is the flags of the commands that merge.
type merging struct {
	COW     path     `arg:"" help:"COW device of the snapshot, an image of one, or VG/LV; or an undo log."`
	Into    path     `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it: what is written to. Of VG/LV it is known."`
	Undo    path     `placeholder:"FILE" help:"Keep what is overwritten in FILE, an undo log: dmcow merge FILE --into ORIGIN takes the merge back."`
	Force   bool     `help:"Merge an undo log also into a device that has changed since, or is another one; any store into an origin that begins, or then would, as a COW store does; and a snapshot of LVM into a device that has not its origin's size."`
	Lose    []string `name:"lose-snapshot" sep:"none" placeholder:"NAME" help:"Give up this other snapshot of the origin, where both are logical volumes: it is marked invalid. May be given several times."`
	writing `embed:""`
}

// job is a merge that was found to be possible.
type job struct {
	*app
	merging
	*target
	origin  *device.Device
	into    *device.Writable // the origin; nil in a dry run
	others  []*other         // snapshots of the origin, where that is a logical volume
	steps   uint64           // how many are taken; 0 for all
	to      named            // the origin
	isUndo  bool             // the store is an undo log
	merge   *merge.Merge
	buffers device.Buffers // of merge
	undoing undoing
}

// openMerge opens COW device and origin, and refuses whatever would not end well. It is
// for so many steps of a merge, 0 for all. In
// a dry run both are open for reading only. Where there is no error, the caller
// closes the job.
func (a *app) openMerge(m merging, steps uint64) (*job, error) {
	if err := a.permission(m.writing); err != nil {
		return nil, err
	}
	cow, into, err := a.findBoth(&m)
	if err != nil {
		return nil, err
	}
	if err := a.apart(cow, into); err != nil {
		return nil, err
	}
	t, err := a.openNamedTarget(cow, m.writing, 0)
	if err != nil {
		return nil, err
	}
	j := &job{app: a, merging: m, target: t, steps: steps, to: into}
	if err = j.openInto(); err == nil {
		err = j.refuse()
	}
	if err == nil {
		err = j.openOthers()
	}
	if err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// findBoth finds out which COW device is to be merged into which origin. Of a logical volume
// the origin is known, and need not be named.
func (a *app) findBoth(m *merging) (cow, into named, err error) {
	cow, err = a.named(string(m.COW), m.volumes, !m.DryRun)
	if err == nil {
		err = a.asCOW(cow, m.section)
	}
	if err != nil {
		return cow, into, err
	}
	if v := cow.volume; v != nil && v.Active != nil {
		err := fmt.Errorf("its COW device is %s: first deactivate the snapshot's origin (lvchange -an)", v.Active.Path())
		if by := v.Active.Holders(); len(by) > 0 {
			err = fmt.Errorf("%w: first deactivate the snapshot's origin (lvchange -an)", &device.BusyError{By: by})
		}
		return cow, into, &failure{v.Name, statusFailed, err}
	}
	if m.Into != "" {
		into, err = a.named(string(m.Into), m.volumes, !m.DryRun)
		if err == nil {
			err = refuseOtherOrigin(cow, into)
		}
		return cow, into, err
	}
	if cow.volume == nil {
		return cow, into, usageError{errors.New("missing flags: --into=ORIGIN")}
	}
	origin := cow.volume.Beside(cow.volume.Snapshot.Origin)
	m.Into = path(origin.Name)
	return cow, named{path: origin.Name, volume: origin, where: m.volumes}, nil
}

// refuseOtherOrigin is the failure of a logical volume that is not the origin of the snapshot
// that is to be merged into it.
func refuseOtherOrigin(cow, into named) error {
	v, o := cow.volume, into.volume
	if v == nil || o == nil || v.Snapshot == nil || o.Group == nil || v.Group.UUID == o.Group.UUID && v.Snapshot.Origin.Name == o.Logical.Name {
		return nil
	}
	return &failure{into.path, statusFailed, fmt.Errorf("refused: is not the origin of %s, which is %s", printable(cow.path), v.OriginName())}
}

// apart is the failure of two devices of which one would be changed with the other.
func (a *app) apart(cow, into named) error {
	c, err := a.open(cow)
	if err != nil {
		return err
	}
	defer c.Close()
	o, err := a.open(into)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Overlaps(o) {
		return &failure{into.path, statusFailed, fmt.Errorf("is kept on the same bytes as %s, expected the snapshot's origin", printable(cow.path))}
	}
	return nil
}

// openInto opens the origin.
func (j *job) openInto() (err error) {
	name := string(j.Into)
	if j.DryRun {
		if v := j.to.volume; v != nil && v.RefuseWriting() != nil {
			return &failure{name, statusFailed, v.RefuseWriting()}
		}
		j.origin, err = j.open(j.to)
	} else if j.into, err = j.to.openToWrite(); err == nil {
		j.origin = &j.into.Device
	}
	if err != nil {
		return err
	}
	if t, ok := j.origin.Target(); ok && (t.Type == "snapshot" || t.Type == "snapshot-merge") {
		return &failure{name, statusFailed, fmt.Errorf("is a device of the %s target, expected the snapshot's origin", t.Type)}
	}
	return nil
}

// close closes all devices, and ends the merge's use of memory.
func (j *job) close() {
	j.undoing.close()
	for _, o := range j.others {
		o.close()
	}
	if j.origin != nil {
		j.origin.Close()
	}
	j.target.close()
	j.buffers.Free()
}

// refuse is the failure of a merge that must not be begun, nil for others. It looks
// only.
func (j *job) refuse() error {
	if err := j.refuseOrigin(); err != nil {
		return err
	}
	switch id := j.id; id.State {
	case store.Valid:
	case store.Invalid:
		return &failure{j.path, j.outcomes.invalid, errors.New(invalidMerge)}
	case store.Uninitialized:
		return &failure{j.path, j.outcomes.blank, fmt.Errorf("%s: there is nothing to merge", id.State)}
	default:
		return &failure{j.path, j.outcomes.of(id.State), errors.New(id.Fault)}
	}
	if err := j.refuseDamaged(); err != nil {
		return err
	}
	var err error
	if j.DryRun {
		j.merge, err = merge.Look(j.device, j.origin)
	} else {
		j.merge, err = merge.Open(j.out, j.into, j.buffers.New)
	}
	if err != nil {
		return j.failed(err)
	}
	if err := j.refuseNested(); err != nil {
		return err
	}
	g := undoGeometry(j.id.Geometry.ChunkSectors()) // each chunk is captured with one write
	j.undoing = undoing{
		app: j.app, name: string(j.Undo), changed: j.origin, apart: []*device.Device{j.device},
		geometry: g, chunks: uint64(j.merge.Bytes/g.ChunkBytes()) + 1,
	}
	return j.undoing.refuse()
}

// refuseNested is the failure of a merge that makes of the origin what begins as a COW
// store does: once it was cut off, that could not be told from swapped devices.
func (j *job) refuseNested() error {
	if j.isUndo || j.Force || j.merge.Beginning == 0 {
		return nil
	}
	head := make([]byte, format.HeaderSize)
	if _, err := j.device.ReadAt(head, int64(j.id.Geometry.Offset(j.merge.Beginning))); err != nil {
		return nil // the merge will tell
	}
	if format.DecodeHeader(head).Magic != format.Magic {
		return nil
	}
	return &failure{string(j.Into), statusFailed, errors.New("refused: what the snapshot shows begins as a COW store does, as if the two were swapped; --force merges it all the same")}
}

const invalidMerge = "refused: the snapshot is marked invalid: mostly it ran full, and what was written to the origin after that has no copy, " +
	"so that a merge would mix old and new. Only if the origin was not written since is it good: dmcow revalidate tells more, and marks it valid"

// refuseOrigin is the failure of an origin that is none, or to which an undo log does
// not belong. An undo log may be one of a COW device.
func (j *job) refuseOrigin() (err error) {
	if j.isUndo, err = store.IsUndo(j.device); err != nil {
		return j.unreadable(j.path, err)
	}
	if v := j.to.volume; !j.isUndo && v != nil && (v.Snapshot != nil || v.Active != nil) {
		return &failure{string(j.Into), statusFailed, errors.New("refused: is a snapshot, expected an origin")}
	}
	if !j.isUndo {
		err := j.isOrigin(j.origin)
		if j.Force && errors.Is(err, errSwapped) {
			err = nil
		}
		if err == nil {
			err = j.refuseOtherSize()
		}
		return err
	}
	if j.Force {
		return nil
	}
	err = store.Belongs(j.device, j.origin, false)
	var foreign *store.ForeignUndoError
	switch {
	case errors.As(err, &foreign):
		return &failure{string(j.Into), statusFailed, fmt.Errorf("refused: %w; --force merges it all the same", err)}
	case err != nil:
		return j.unreadable(j.path, err)
	}
	return nil
}

// refuseOtherSize is the failure of an origin that has not the size of the snapshot's own,
// where that is known.
func (j *job) refuseOtherSize() error {
	v := j.cow.volume
	if v == nil || v.OriginSize == 0 || v.OriginSize == j.origin.Size() || j.Force {
		return nil
	}
	return &failure{string(j.Into), statusFailed, fmt.Errorf("refused: it has %d bytes, and the origin of %s has %d; --force merges it all the same", j.origin.Size(), printable(j.path), v.OriginSize)}
}

// overcome are the errors that a merge gets over: what stands in the list twice is
// merged once, and of what hides behind the list's end the merge itself makes sure.
var overcome = map[string]bool{"repeated-exception": true, "hidden-exceptions": true}

// refuseDamaged is the failure of a store that a check finds errors in.
func (j *job) refuseDamaged() error {
	r, err := j.checkSound(j.cow)
	if err != nil {
		return err
	}
	for _, t := range r.Tallies {
		if t.Severity != check.Error || overcome[t.Name] {
			continue
		}
		f := t.Findings[0]
		where := f.Where()
		if where != "" {
			where += ": "
		}
		return &failure{j.path, j.outcomes.damaged, fmt.Errorf("refused: damaged (%s, %s): %s%s; dmcow check --origin %s %s tells more",
			t.Name, count(t.Count, "time"), where, f.Message(), printable(string(j.Into)), j.again())}
	}
	return nil
}

// checkSound checks a snapshot of the origin. The error is the failure of a check that came
// to nothing, or lacks something.
func (j *job) checkSound(c *cow) (check.Report, error) {
	p := j.walking(c, true)
	defer p.end()
	r, err := check.Make(check.Options{Device: c.device, Origin: j.sizeOf(c), Words: device.Words, Visit: p.area})
	switch {
	case errors.Is(err, errInterrupted):
		err = &failure{c.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case err != nil:
		err = j.unreadable(c.path, err)
	case len(r.Unread) > 0:
		err = j.unreadable(c.path, r.Unread[0])
	}
	return r, err
}

// originSize is the size of the origin, in whole sectors.
func (j *job) originSize() format.Bytes {
	return format.Bytes(j.origin.Size()) / format.SectorSize * format.SectorSize
}

// sizeOf is the size of a snapshot of the origin: its own may be smaller.
func (j *job) sizeOf(c *cow) format.Bytes {
	if own := c.ownSize(); own > 0 {
		return min(own, j.originSize())
	}
	return j.originSize()
}

// failed makes a failure of the error with which a merge ended, and says which device
// it is about.
func (j *job) failed(err error) error {
	var t *merge.TransferError
	var s *merge.SyncError
	var d *merge.DifferenceError
	var u *merge.UndoError
	var h *store.HiddenError
	var b *merge.BadExceptionError
	switch {
	case errors.Is(err, errInterrupted):
		return &failure{j.path, statusInterrupted, fmt.Errorf("%w: run the same command again, and it goes on", err)}
	case errors.As(err, &t) && !t.Origin:
		return &failure{j.path, statusFailed, fmt.Errorf("%w; the snapshot shows what it did, and merge --rescue merges the others", err)}
	case errors.As(err, &t), errors.As(err, &s), errors.As(err, &d):
		return &failure{string(j.Into), statusFailed, err}
	case errors.As(err, &u):
		return &failure{string(j.Undo), statusFailed, err}
	case errors.As(err, &h), errors.As(err, &b):
		return &failure{j.path, j.outcomes.damaged, fmt.Errorf("refused: %w", err)}
	}
	return j.done(j.path, err)
}

// announce says in words what will be written to what, and what that means for others.
func (j *job) announce(what string) {
	if j.isUndo {
		j.say(string(j.Into), "%s will be again what it was before the change that %s was kept of", what, printable(j.path))
		j.announceOthers()
		return
	}
	if j.seesOthers() {
		j.say(string(j.Into), "%s will be replaced by what the snapshot %s holds; the file system gets back the UUID that it had",
			what, printable(j.path))
		j.announceOthers()
		return
	}
	others := "Other snapshots of this origin, which cannot be seen from here, would lose what they kept"
	if t, ok := j.origin.Target(); ok && t.Type == "snapshot-origin" {
		others = "Of its other snapshots, those that are active keep what they show, as with any write to this device; others would lose it"
	}
	j.say(string(j.Into), "%s will be replaced by what the snapshot on %s holds. %s; the file system gets back the UUID that it had",
		what, printable(j.path), others)
}
