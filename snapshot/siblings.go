package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/internal/volume"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/save"
)

// Sibling is another snapshot of the origin that is merged into. It must have an exception for every
// chunk of the origin that is going to be overwritten, as the kernel gives it one, or is given up.
type Sibling struct {
	*Target
	Lost   bool        // is given up
	Saving save.Saving // what it gets, where it is not

	saver *save.Saver // nil where it is given up
}

// Close closes the device, and frees memory.
func (o *Sibling) Close() {
	if o.saver != nil {
		o.saver.Close()
	}
	o.Target.Close()
}

// openSiblings opens the other snapshots of an origin that is a logical volume, and refuses a merge
// that one of them would not survive.
func (m *Merge) openSiblings() error {
	m.Seen = m.Origin.Volume != nil && m.Origin.Volume.Group != nil
	all, err := m.siblingSnapshots()
	if err != nil {
		return err
	}
	for _, sibling := range all {
		if err := m.openSibling(sibling); err != nil {
			return err
		}
	}
	if len(m.Siblings) == 0 {
		return nil
	}
	err = m.mark(func(start, end format.Bytes) {
		for _, o := range m.Siblings {
			if !o.Lost {
				o.saver.Overwritten(start, end)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, o := range m.Siblings {
		if err := m.checkRoomOf(o); err != nil {
			return err
		}
	}
	return nil
}

// siblingSnapshots are the snapshots of the origin, but for the one that is merged. The error is the
// refusal of names of some to give up that are none.
func (m *Merge) siblingSnapshots() (all []lvm.Snapshot, err error) {
	v := m.Origin.Volume
	if m.Seen {
		all = slices.DeleteFunc(v.Group.Of(v.Logical), m.isMerged)
	}
	for _, name := range m.request.Lost {
		if !slices.ContainsFunc(all, func(s lvm.Snapshot) bool { return calls(v, s, name) }) {
			var known []string
			for _, s := range all {
				known = append(known, s.COW.Name)
			}
			return nil, refusef(name, WrongUse, "not another snapshot of %s; those are: %s",
				words.Printable(m.Origin.Text), cmp.Or(strings.Join(known, ", "), "none")).about(TheLost)
		}
	}
	return all, nil
}

func (m *Merge) isMerged(s lvm.Snapshot) bool {
	own := m.COW.Volume
	return own != nil && own.Group != nil && own.Group.UUID == m.Origin.Volume.Group.UUID && own.Logical.Name == s.COW.Name
}

// calls reports whether a user calls a snapshot of the group by a name.
func calls(v *volume.Volume, s lvm.Snapshot, name string) bool {
	group, logical, ok := lvm.SplitName(name)
	return name == s.COW.Name || ok && logical == s.COW.Name && (group == v.Group.Name || group == v.Group.UUID)
}

func (m *Merge) openSibling(sibling lvm.Snapshot) error {
	lost := slices.ContainsFunc(m.request.Lost, func(name string) bool { return calls(m.Origin.Volume, sibling, name) })
	name := m.Origin.beside(sibling.COW)
	if err := m.checkMergingSibling(name, lost); err != nil {
		return err
	}
	t, err := m.session.target(name, Request{}, m.request.DryRun)
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return refusef(r.Device, r.Code, "%w; this other snapshot of the origin can be neither kept nor given up: repair or remove it first (lvremove)", r.Err)
	}
	if err != nil {
		return err
	}
	o := &Sibling{Target: t, Lost: lost}
	m.Siblings = append(m.Siblings, o)
	if o.Lost {
		return o.checkGivingUp()
	}
	r, err := m.judgeSibling(o)
	if err != nil {
		return err
	}
	shown := m.shownBySibling(o)
	o.saver, err = save.New(o.COW.Device, o.COW.Fresh, shown, r.HiddenVoid())
	if errors.As(err, new(*save.MemoryError)) {
		return refuse(o.COW.Text, Unable, err)
	}
	return m.against(o, err)
}

// shownBySibling is how much of the origin another snapshot shows, up to the end of a chunk: behind
// its own end it gets no exceptions, as from the kernel (__origin_write), and the chunk with its end
// is copied whole (start_copy).
func (m *Merge) shownBySibling(o *Sibling) format.Bytes {
	return min(raw.RoundUp(m.shownBy(o.COW), o.chunkBytes()), m.Size())
}

// chunkBytes is the size of the store's chunks, also of one that is yet to be made.
func (o *Sibling) chunkBytes() format.Bytes {
	return cmp.Or(o.COW.Identity.Geometry, o.COW.Fresh).ChunkBytes()
}

// against is the refusal of a merge because of another snapshot, if there is an error.
func (m *Merge) against(o *Sibling, err error, first ...Remedy) error {
	if err == nil {
		return nil
	}
	r := refusef(o.COW.Text, Unable, "refused: the merge would change the data of this other snapshot of the origin: %w", err)
	if m.IsUndo {
		r.with(EndMerge)
	}
	r.Remedies = append(append(r.Remedies, first...), Remedy{Do: GiveUp, Name: o.COW.Volume.Logical.Name})
	return r
}

// judgeSibling refuses another snapshot that is not proved to show what it should.
func (m *Merge) judgeSibling(o *Sibling) (check.Report, error) {
	r, err := m.judge(o.COW)
	if err != nil {
		return r, err
	}
	against := r.Against(func(x check.Meaning) bool { return x.Certain() && x.Merging == check.AnyMerge })
	if against != nil {
		return r, m.against(o, fmt.Errorf("%s: %s", against.Name, against.Findings[0].Told()))
	}
	m.session.mention(o.COW.Text, r)
	return r, nil
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

// checkRoomOf refuses a snapshot that has no room for what it must keep.
func (m *Merge) checkRoomOf(o *Sibling) (err error) {
	if o.Lost {
		return nil
	}
	w := m.session.walking(o.COW)
	defer w.End()
	o.Saving, err = o.saver.Need(w.area)
	switch {
	case errors.Is(err, ErrInterrupted):
		return failed(o.COW.Text, Unable, err, nothingWritten)
	case err != nil:
		return m.against(o, err)
	}
	if n := o.Saving; n.Enough > 0 {
		err := fmt.Errorf("it has room for %s more; the merge needs %d", words.Count(n.Free, "exception"), n.Chunks)
		v := o.COW.Volume
		return m.against(o, err, Remedy{Do: Extend, Name: v.Group.Name + "/" + v.Logical.Name, Sectors: n.Enough})
	}
	return nil
}

// keepSiblings gives the other snapshots what they need, before anything is overwritten. Those that
// are given up are marked when the others are safe.
func (m *Merge) keepSiblings() error {
	for _, o := range m.Siblings {
		if err := m.keepSibling(o); err != nil {
			return err
		}
	}
	for _, o := range m.Siblings {
		if err := o.giveUp(); err != nil {
			return err
		}
	}
	return nil
}

func (m *Merge) keepSibling(o *Sibling) error {
	if o.Lost {
		return nil
	}
	w := m.session.watch(o.COW.Text, Chunks, o.Saving.Chunks)
	defer w.End()
	err := o.saver.Save(o.out, m.Origin.Device, w.visit)
	return written(o.COW.Text, err, "nothing is merged yet; run the same command again")
}

// checkGivingUp refuses a snapshot that cannot be marked invalid, and that the kernel would take for
// a new one: it would show what it never was.
func (o *Sibling) checkGivingUp() error {
	if o.COW.Identity.State != look.Uninitialized && o.COW.Identity.Header.Magic == 0 {
		return refusef(o.COW.Text, Unable, "refused: it has no header to mark, so it cannot be given up: remove or repair it first")
	}
	return nil
}

// giveUp marks a snapshot invalid. Of one that was never active, the kernel would make an empty
// store, and it would show what the origin is by then: it gets a store that says otherwise. What the
// kernel refuses to load needs no mark.
func (o *Sibling) giveUp() error {
	if !o.Lost {
		return nil
	}
	var err error
	state := o.COW.Identity.State
	if state == look.Uninitialized {
		err = store.Initialize(o.out, o.COW.Fresh, nil)
	}
	if err == nil && (state == look.Uninitialized || state == look.Valid) {
		err = store.Invalidate(o.out)
	}
	return written(o.COW.Text, err)
}
