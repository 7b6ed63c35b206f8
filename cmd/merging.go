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
	Force   bool     `help:"Merge an undo log also into a device that has changed since, or is another one; into an origin that begins, or then would, as a COW store does, that loses a partition table or a label by it, or has not the origin's size; and what is left of a store with exceptions past the origin's end."`
	Lose    []string `name:"lose-snapshot" sep:"none" placeholder:"NAME" help:"Give up this other snapshot of the origin, where both are logical volumes: it is marked invalid. May be given several times."`
	writing `embed:""`
}

// job is a merge that was found to be possible.
type job struct {
	*app
	merging
	manner
	*target
	origin  *device.Device
	into    *device.Writable // the origin; nil in a dry run
	others  []*other         // snapshots of the origin, where that is a logical volume
	to      named            // the origin
	isUndo  bool             // the store is an undo log
	report  check.Report     // what a check says of the store
	bears   string           // what the origin bears that a slip would cost; empty for nothing
	plan    *merge.Prospect
	merge   *merge.Merge   // nil in a dry run
	buffers device.Buffers // of merge
	undoing undoing
}

// manner is how a merge is done.
type manner struct {
	steps  uint64 // how many are taken; 0 for all
	rescue bool   // what cannot be read stays in the store, as an earlier one may have left it
	keep   bool   // the list is left as it is
}

// openMerge opens COW device and origin, and refuses whatever would not end well. In
// a dry run both are open for reading only. Where there is no error, the caller
// closes the job.
func (a *app) openMerge(m merging, how manner) (*job, error) {
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
	j := &job{app: a, merging: m, manner: how, target: t, to: into}
	if err = j.openInto(); err == nil {
		err = j.refuse()
	}
	if err == nil && !j.empty() {
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
		return cow, into, usageError{errors.New("missing flags: --into=ORIGIN (of VG/LV, in place of a path, it is known)")}
	}
	origin := cow.volume.Beside(cow.volume.Snapshot.Origin)
	m.Into = path(origin.Name)
	return cow, named{path: origin.Name, volume: origin, where: m.volumes}, nil
}

// refuseOtherOrigin refuses a logical volume that is not the origin of the snapshot
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

// checkSound checks a snapshot of the origin. The error is the failure of a check that came
// to nothing, or lacks something.
func (j *job) checkSound(c *cow) (check.Report, error) {
	p := j.walking(c, true)
	defer p.end()
	r, err := check.Make(check.Options{Device: c.device, Origin: j.sizeOf(c), Content: j.origin, Words: device.Words, Visit: p.area})
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
