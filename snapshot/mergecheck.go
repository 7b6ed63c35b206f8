package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/store"
	"dmcow/store/merge"
)

// check refuses a merge that must not be begun. It looks only.
func (m *Merge) check() error {
	if err := m.checkOrigin(); err != nil {
		return err
	}
	switch id := m.COW.Identity; id.State {
	case store.Valid:
	case store.Invalid:
		return refuse(m.COW.Text, Invalid, errors.New("refused: the snapshot is marked invalid: mostly it ran full, and what was written to the origin after that has no copy, "+
			"so that a merge would mix old and new. Only if the origin was not written since is it good"), RunRevalidate)
	case store.Uninitialized:
		return refusef(m.COW.Text, Blank, "%s: there is nothing to merge", id.State)
	default:
		return refuse(m.COW.Text, CodeOf(id.State), errors.New(id.Fault))
	}
	if err := m.checkSound(); err != nil {
		return err
	}
	if err := m.look(); err != nil {
		return err
	}
	if err := m.checkNested(); err != nil {
		return err
	}
	if err := m.checkBearing(); err != nil {
		return err
	}
	m.mention()
	g := undoGeometry(m.COW.Identity.Geometry.ChunkSectors()) // each chunk is captured with one write
	m.undoing = undoing{
		session: m.session, name: m.request.Undo, kept: m.request.Keep, changed: m.Origin.Device, apart: []*device.Device{m.COW.Device},
		geometry: g, chunks: uint64(m.Bytes/g.ChunkBytes()) + 1,
	}
	if m.request.Rescue && !m.request.Keep && m.IsUndo {
		return refuse(m.COW.Text, WrongUse, errors.New("an undo log cannot be told from others any more when some of it is left"), Keep).about(TheRescue)
	}
	return m.undoing.check()
}

// mention notes what is worth knowing of the store. An undo log has labels in chunks that no
// exception names.
func (m *Merge) mention() {
	if m.IsUndo {
		m.session.mention(m.COW.Text, m.report, check.LeakedChunks)
		return
	}
	m.session.mention(m.COW.Text, m.report)
}

// look opens the merge itself, or in a dry run looks at what it would be.
func (m *Merge) look() (err error) {
	w := m.session.walking(m.COW)
	defer w.end()
	o := merge.Opening{
		HiddenVoid: m.report.HiddenVoid(), Shown: m.COW.ownSize(),
		Beyond: m.request.Force && m.request.Steps == 0, Visit: w.area,
	}
	if m.request.DryRun {
		m.prospect, err = merge.Look(m.COW.Device, m.Origin.Device, o)
	} else if m.merge, err = merge.Open(m.target.out, m.into, o); err == nil {
		m.prospect = &m.merge.Prospect
	}
	switch {
	case errors.Is(err, ErrInterrupted):
		return failed(m.COW.Text, Unable, err, nothingWritten)
	case err != nil:
		return m.failed(err)
	}
	m.Plan = m.prospect.Plan
	return nil
}

// checkNested refuses a merge that makes of the origin what begins as a COW store does: once it was
// cut off, that could not be told from swapped devices.
func (m *Merge) checkNested() error {
	if m.IsUndo || m.request.Force || m.Beginning == 0 {
		return nil
	}
	head := make([]byte, format.HeaderSize)
	if _, err := m.COW.Device.ReadAt(head, int64(m.COW.Identity.Geometry.Offset(m.Beginning))); err != nil {
		return nil // the merge will tell
	}
	if format.DecodeHeader(head).Magic != format.Magic {
		return nil
	}
	return refuse(m.Origin.Text, Unable, errors.New("refused: what the snapshot shows begins as a COW store does, as if the two were swapped"), Force)
}

// checkOrigin refuses an origin that is none, or to which an undo log does not belong. An undo log
// may be one of a COW device.
func (m *Merge) checkOrigin() (err error) {
	if m.IsUndo, err = store.IsUndo(m.COW.Device); err != nil {
		return refuse(m.COW.Text, Unreadable, err)
	}
	if m.IsUndo {
		if m.request.Force {
			return nil
		}
		return m.session.checkBelongs(m.COW, m.Origin.Device, false, Force)
	}
	if v := m.Origin.Volume; v != nil && (v.Snapshot != nil || v.Active != nil) {
		return refusef(m.Origin.Text, Unable, "refused: is a snapshot, expected an origin")
	}
	err = checkOrigin(m.Origin.Device, m.Origin.Text)
	if err != nil && !(m.request.Force && errors.Is(err, errSwapped)) {
		return err
	}
	v := m.COW.Volume
	if v == nil || v.OriginSize == 0 || v.OriginSize == m.Origin.Device.Size() || m.request.Force {
		return nil
	}
	return refuse(m.Origin.Text, Unable, fmt.Errorf("refused: it has %d bytes, and the origin of %s has %d",
		m.Origin.Device.Size(), words.Printable(m.COW.Text), v.OriginSize), Force)
}

// checkSound refuses a store of which a check finds what this merge must not begin with.
func (m *Merge) checkSound() (err error) {
	if m.report, err = m.judge(m.COW); err != nil {
		return err
	}
	against := m.report.Against(func(x check.Meaning) bool { return m.may(x.Merging) })
	if against == nil {
		return nil
	}
	r := refusef(m.COW.Text, Damaged, "refused: damaged (%s, %s): %s", against.Name, words.Count(against.Count, "time"), against.Findings[0].Told())
	switch against.Meaning.Merging {
	case check.RescueMerge:
		r.Remedies = append(r.Remedies, Remedy{Do: Rescue})
	case check.ForcedMerge:
		if m.request.Steps == 0 {
			r.Remedies = append(r.Remedies, Remedy{Do: ForceBeyond})
		}
	}
	r.Remedies = append(r.Remedies, Remedy{Do: Mend, Finding: &against.Findings[0]}, Remedy{Do: RunCheck, Origin: m.Origin.Text})
	return r
}

// may reports whether this merge is one that may begin.
func (m *Merge) may(x check.Merging) bool {
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

// judge checks a snapshot of the origin. The error is the refusal of a check that came to nothing,
// or lacks something.
func (m *Merge) judge(c *COW) (check.Report, error) {
	w := m.session.walking(c)
	defer w.end()
	r, err := check.Make(check.Options{Device: c.Device, Origin: m.shownBy(c), Content: m.Origin.Device, Visit: w.area})
	if err == nil && len(r.Unread) > 0 {
		err = r.Unread[0]
	}
	return r, failed(c.Text, Unreadable, err, nothingWritten)
}

// What a device is shows in what it bears: a disk has a partition table, a physical volume of LVM a
// label, and an origin mostly neither. A slip with the name of the origin is seen there. Logical
// volumes are what they are named, whatever they bear.

// checkBearing refuses a merge that would remove what the origin bears, or replace it by something
// else.
func (m *Merge) checkBearing() error {
	if m.IsUndo || m.Origin.Volume != nil {
		return nil
	}
	all, err := device.Bearings(m.Origin.Device, m.Origin.Device.Size())
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
	return refuse(m.Origin.Text, Unable, fmt.Errorf("refused: it bears %s, which the merge would remove or replace: is it the snapshot's origin, "+
		"and not the disk or the physical volume that has that?", m.Replaced), Force)
}

// replaced are those of which the snapshot holds something else.
func (m *Merge) replaced(all []device.Bearing) (replaced []device.Bearing, err error) {
	differs := make([]bool, len(all))
	w := m.session.walking(m.COW)
	defer w.end()
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
func (m *Merge) replaces(x format.Exception, b device.Bearing) bool {
	g := m.COW.Identity.Geometry
	chunk := int64(g.ChunkBytes())
	if first, last := b.Offset/chunk, (b.Offset+b.Length-1)/chunk; int64(x.Old) < first || int64(x.Old) > last {
		return false
	}
	start := max(b.Offset, int64(x.Old)*chunk)
	end := min(b.Offset+b.Length, (int64(x.Old)+1)*chunk)
	return differ(m.COW.Device, int64(g.Offset(x.New))+start%chunk, m.Origin.Device, start, end-start)
}

// differ reports whether stretches of two devices differ, or cannot be compared.
func differ(a io.ReaderAt, from int64, b io.ReaderAt, at, length int64) bool {
	const most = 64 << 10
	x, y := make([]byte, min(most, length)), make([]byte, min(most, length))
	for length > 0 {
		x, y = x[:min(most, length)], y[:min(most, length)]
		if n, _ := a.ReadAt(x, from); n < len(x) {
			return true
		}
		if n, _ := b.ReadAt(y, at); n < len(y) || !bytes.Equal(x, y) {
			return true
		}
		n := int64(len(x))
		from, at, length = from+n, at+n, length-n
	}
	return false
}
