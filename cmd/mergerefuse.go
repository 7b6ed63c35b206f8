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

// refuse refuses a merge that must not be begun, nil for others. It looks
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
	if err := j.makePlan(); err != nil {
		return err
	}
	if err := j.refuseNested(); err != nil {
		return err
	}
	if err := j.refuseBearing(); err != nil {
		return err
	}
	g := undoGeometry(j.id.Geometry.ChunkSectors()) // each chunk is captured with one write
	j.undoing = undoing{
		app: j.app, name: string(j.Undo), kept: j.keep, changed: j.origin, apart: []*device.Device{j.device},
		geometry: g, chunks: uint64(j.plan.Bytes/g.ChunkBytes()) + 1,
	}
	return j.undoing.refuse()
}

// makePlan opens the merge itself, or in a dry run looks at what it would be.
func (j *job) makePlan() (err error) {
	p := j.walking(j.cow, true)
	defer p.end()
	o := merge.Opening{
		Buffer: j.buffers.New, HiddenVoid: j.report.HiddenVoid(), Shown: j.cow.ownSize(), Beyond: j.Force && j.steps == 0, Visit: p.area,
	}
	if j.DryRun {
		j.plan, err = merge.Look(j.device, j.origin, o)
	} else if j.merge, err = merge.Open(j.out, j.into, o); err == nil {
		j.plan = &j.merge.Prospect
	}
	switch {
	case errors.Is(err, errInterrupted):
		return &failure{j.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case err != nil:
		return j.failed(err)
	}
	return nil
}

// refuseNested refuses a merge that makes of the origin what begins as a COW
// store does: once it was cut off, that could not be told from swapped devices.
func (j *job) refuseNested() error {
	if j.isUndo || j.Force || j.plan.Beginning == 0 {
		return nil
	}
	head := make([]byte, format.HeaderSize)
	if _, err := j.device.ReadAt(head, int64(j.id.Geometry.Offset(j.plan.Beginning))); err != nil {
		return nil // the merge will tell
	}
	if format.DecodeHeader(head).Magic != format.Magic {
		return nil
	}
	return &failure{string(j.Into), statusFailed, errors.New("refused: what the snapshot shows begins as a COW store does, as if the two were swapped; --force merges it all the same")}
}

const invalidMerge = "refused: the snapshot is marked invalid: mostly it ran full, and what was written to the origin after that has no copy, " +
	"so that a merge would mix old and new. Only if the origin was not written since is it good: dmcow revalidate tells more, and marks it valid"

// refuseOrigin refuses an origin that is none, or to which an undo log does
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
	return j.belongs(j.cow, j.origin, false, "; --force merges it all the same")
}

// refuseOtherSize refuses an origin that has not the size of the snapshot's own,
// where that is known.
func (j *job) refuseOtherSize() error {
	v := j.cow.volume
	if v == nil || v.OriginSize == 0 || v.OriginSize == j.origin.Size() || j.Force {
		return nil
	}
	return &failure{string(j.Into), statusFailed, fmt.Errorf("refused: it has %d bytes, and the origin of %s has %d; --force merges it all the same", j.origin.Size(), printable(j.path), v.OriginSize)}
}

// refuseDamaged refuses a store of which a check finds what this merge must not begin
// with. What is worth knowing before one begins it tells.
func (j *job) refuseDamaged() (err error) {
	if j.report, err = j.checkSound(j.cow); err != nil {
		return err
	}
	against := j.report.Against(func(m check.Meaning) bool { return j.mayMerge(m.Merging) })
	if against == nil {
		return nil
	}
	first := against.Findings[0]
	how := fmt.Sprintf("to be done: %s; dmcow check --origin %s %s tells more", remedy(first, j.again()), printable(string(j.Into)), j.again())
	switch against.Meaning.Merging {
	case check.RescueMerge:
		how = "if an interrupted merge --rescue has left it so, --rescue goes on with that; " + how
	case check.ForcedMerge:
		if j.steps == 0 {
			how = "--force merges all that lies on the snapshot, and leaves the rest in the store; " + how
		}
	}
	return &failure{j.path, j.outcomes.damaged, fmt.Errorf("refused: damaged (%s, %s): %s; %s",
		against.Name, count(against.Count, "time"), told(first), how)}
}

// mayMerge reports whether this merge is one that may begin.
func (j *job) mayMerge(m check.Merging) bool {
	switch m {
	case check.AnyMerge:
		return true
	case check.RescueMerge:
		return j.rescue
	case check.ForcedMerge:
		return j.Force && j.steps == 0
	}
	return false
}
