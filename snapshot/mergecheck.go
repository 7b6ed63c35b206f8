package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/signature"
	"dmcow/internal/words"
	"dmcow/store/look"
	"dmcow/store/merge"
	"dmcow/store/undo"
)

// check refuses a merge that must not be begun. It looks only.
func (m *Merge) check() error {
	if err := inTurn(m.checkOrigin, m.checkValid, m.checkSound, m.look, m.checkNested, m.checkBearing); err != nil {
		return err
	}
	var but []*check.Rule
	if m.IsUndo || m.COW.Delta != nil { // it has labels in chunks that no exception names
		but = append(but, check.LeakedChunks)
	}
	m.session.mention(m.COW.Text, m.report, but...)
	g := undoGeometry(m.COW.Identity.Geometry.ChunkSectors()) // each chunk is captured with one write
	m.undoing = undoing{
		session: m.session, name: m.request.Undo, kept: m.request.Keep, changed: m.Origin.Device, apart: []*device.Device{m.COW.Device},
		geometry: g, chunks: uint64(m.Bytes/g.ChunkBytes()) + 1,
	}
	if m.request.Rescue && !m.request.Keep && m.IsUndo {
		return refuse(m.COW.Text, WrongUse, errors.New("a partly merged undo log can no longer be told from a snapshot"), Keep).about(TheRescue)
	}
	return m.undoing.check()
}

// checkValid refuses a device without a store, and a snapshot that is marked invalid.
func (m *Merge) checkValid() error {
	if m.COW.Identity.State != look.Invalid {
		return m.COW.checkStore("nothing to merge")
	}
	return refuse(m.COW.Text, Invalid, errors.New("refused: the snapshot is marked invalid. Most often it ran full: later writes to the origin have no copy, "+
		"and a merge would mix old and new data"), RunRevalidate)
}

// look opens the merge itself, or in a dry run looks at what it would be.
func (m *Merge) look() (err error) {
	w := m.session.walking(m.COW)
	defer w.End()
	o := merge.Opening{
		HiddenVoid: m.report.HiddenVoid(), Shown: m.COW.ownSize(),
		Beyond: m.request.Force && m.request.Steps == 0, Visit: w.area,
	}
	if m.request.DryRun {
		m.prospect, err = merge.Look(m.COW.Device, m.Origin.Device, o)
	} else if m.merge, err = merge.Open(m.out, m.into, o); err == nil {
		m.prospect = &m.merge.Prospect
	}
	if errors.Is(err, ErrInterrupted) {
		return failed(m.COW.Text, Unable, err, nothingWritten)
	}
	if err == nil {
		m.Plan = m.prospect.Plan
	}
	return m.failed(err)
}

// checkNested refuses a merge that makes of the origin what begins as a COW store does: once it was
// cut off, that could not be told from swapped devices.
func (m *Merge) checkNested() error {
	if m.IsUndo || m.request.Force || m.Beginning == 0 {
		return nil
	}
	if !beginsAsStore(m.COW.Device, m.COW.Identity.Geometry.Offset(m.Beginning)) { // what cannot be read, the merge will tell
		return nil
	}
	return refuse(m.Origin.Text, Unable, errors.New("refused: chunk 0 of the snapshot starts with a COW header: are COW and ORIGIN swapped?"), Force)
}

// checkOrigin refuses an origin that is none, or to which an undo log does not belong. An undo log
// may be one of a COW device.
func (m *Merge) checkOrigin() (err error) {
	if m.IsUndo, err = undo.IsLog(m.COW.Device); err != nil {
		return refuse(m.COW.Text, Unreadable, err)
	}
	if m.IsUndo {
		if m.request.Force {
			return nil
		}
		return m.session.checkBelongs(m.COW, m.Origin.Device, false, Force)
	}
	if v := m.Origin.Volume; v != nil && (v.Snapshot != nil || v.Active != nil) {
		return refusef(m.Origin.Text, Unable, "refused: this is a snapshot, not an origin")
	}
	err = m.Origin.check()
	if err != nil && !(m.request.Force && errors.Is(err, errSwapped)) {
		return err
	}
	m.session.findDelta(m.COW)
	if m.request.Force {
		return nil
	}
	if m.COW.Delta != nil {
		return m.COW.checkDelta(m.Origin.Text, m.Origin.Device, Force)
	}
	return m.Origin.checkSize(m.COW, Force)
}

// checkSound refuses a store of which a check finds what this merge must not begin with.
func (m *Merge) checkSound() (err error) {
	if m.report, err = m.judge(m.COW); err != nil {
		return err
	}
	against := m.report.Against(func(x check.Meaning) bool { return m.mayBegin(x.Merging) })
	if against == nil {
		return nil
	}
	question := ""
	if against.Meaning.DoubtsOrigin {
		question = m.Origin.question()
	}
	r := refusef(m.COW.Text, Damaged, "refused: damaged (%s, %s): %s%s", against.Name, words.Count(against.Count, "time"), against.Findings[0].Told(), question)
	merging := against.Meaning.Merging
	if merging == check.RescueMerge {
		r.with(Rescue)
	}
	r.Remedies = append(r.Remedies, Remedy{Do: Mend, Finding: &against.Findings[0], Origin: m.Origin.Text})
	if merging == check.ForcedMerge && m.request.Steps == 0 { // where it is another origin, that is the worst
		r.with(ForceBeyond)
	}
	r.Remedies = append(r.Remedies, Remedy{Do: RunCheck, Origin: m.Origin.Text})
	return r
}

// mayBegin reports whether this merge is one of those that may begin with a finding.
func (m *Merge) mayBegin(x check.Merging) bool {
	switch x {
	case check.AnyMerge:
		return true
	case check.RescueMerge:
		return m.request.Rescue
	case check.ForcedMerge:
		return m.request.Force && m.request.Steps == 0
	}
	return false
}

// What a device is shows in what it bears: a disk has a partition table, a physical volume of LVM a
// label, and an origin mostly neither. A slip with the name of the origin is seen there. Logical
// volumes are what they are named, whatever they bear.

// checkBearing refuses a merge that would remove what the origin bears, or replace it by something else.
func (m *Merge) checkBearing() error {
	if m.IsUndo || m.Origin.Volume != nil {
		return nil
	}
	all, err := signature.Bearings(m.Origin.Device, m.Origin.Device.Size())
	if err != nil || len(all) == 0 {
		return nil // what cannot be read, the merge will tell
	}
	replaced, err := m.replaced(all)
	if err != nil {
		return m.failed(err)
	}
	m.Bears, m.Replaced = bearingNames(all), bearingNames(replaced)
	if m.Replaced == "" || m.request.Force {
		return nil
	}
	return refuse(m.Origin.Text, Unable, fmt.Errorf("refused: the merge would remove or replace its %s: "+
		"is it the origin, or the disk or physical volume that holds the origin?", m.Replaced), Force)
}

// replaced are the bearings of which the snapshot holds something else.
func (m *Merge) replaced(all []signature.Bearing) (replaced []signature.Bearing, err error) {
	differs := make([]bool, len(all))
	w := m.session.walking(m.COW)
	defer w.End()
	_, err = format.Each(m.COW.Walk(), nil, func(_ *struct{}, batch format.Batch) error {
		for _, x := range batch.Exceptions() {
			for i, b := range all {
				differs[i] = differs[i] || m.replaces(x, b)
			}
		}
		return w.area(batch.Area)
	})
	for i, b := range all {
		if differs[i] {
			replaced = append(replaced, b)
		}
	}
	return replaced, err
}

// replaces reports whether an exception has something else where the origin bears something, or
// cannot be compared.
func (m *Merge) replaces(x format.Exception, b signature.Bearing) bool {
	g := m.COW.Identity.Geometry
	chunk := int64(g.ChunkBytes())
	if first, last := b.Offset/chunk, (b.Offset+b.Length-1)/chunk; int64(x.Old) < first || int64(x.Old) > last {
		return false
	}
	start := max(b.Offset, int64(x.Old)*chunk)
	end := min(b.Offset+b.Length, (int64(x.Old)+1)*chunk)
	return differs(m.COW.Device, int64(g.Offset(x.New))+start%chunk, m.Origin.Device, start, end-start)
}

// differs reports whether stretches of two devices differ, or cannot be compared.
func differs(a io.ReaderAt, from int64, b io.ReaderAt, at, length int64) bool {
	const most = 64 << 10
	x, y := make([]byte, min(most, length)), make([]byte, min(most, length))
	for done := int64(0); done < length; done += most {
		n := min(most, length-done)
		i, _ := a.ReadAt(x[:n], from+done)
		j, _ := b.ReadAt(y[:n], at+done)
		if int64(min(i, j)) < n || !bytes.Equal(x[:n], y[:n]) {
			return true
		}
	}
	return false
}
