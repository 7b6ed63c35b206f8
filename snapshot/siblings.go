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

// Sibling is another snapshot of the device that is overwritten. It must have an exception for every
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

// openSiblings opens the other snapshots of an origin that is a logical volume, and refuses a change
// that one of them would not survive.
func (d *Changed) openSiblings() error {
	d.Seen = d.Origin.Volume != nil && d.Origin.Volume.Group != nil
	all, err := d.siblingSnapshots()
	if err != nil {
		return err
	}
	for _, sibling := range all {
		if err := d.openSibling(sibling); err != nil {
			return err
		}
	}
	if len(d.Siblings) == 0 {
		return nil
	}
	err = d.stretches(func(start, end format.Bytes) {
		for _, o := range d.Siblings {
			if !o.Lost {
				o.saver.Overwritten(start, end)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, o := range d.Siblings {
		if err := d.checkRoomOf(o); err != nil {
			return err
		}
	}
	return nil
}

// siblingSnapshots are the snapshots of the origin, but for one that is merged. The error is the
// refusal of names of some to give up that are none.
func (d *Changed) siblingSnapshots() (all []lvm.Snapshot, err error) {
	v := d.Origin.Volume
	if d.Seen {
		all = slices.DeleteFunc(v.Group.Of(v.Logical), d.isOwn)
	}
	for _, name := range d.lost {
		if !slices.ContainsFunc(all, func(s lvm.Snapshot) bool { return calls(v, s, name) }) {
			var known []string
			for _, s := range all {
				known = append(known, s.COW.Name)
			}
			return nil, refusef(name, WrongUse, "not another snapshot of %s; those are: %s",
				words.Printable(d.Origin.Text), cmp.Or(strings.Join(known, ", "), "none")).about(TheLost)
		}
	}
	return all, nil
}

// calls reports whether a user calls a snapshot of the group by a name.
func calls(v *volume.Volume, s lvm.Snapshot, name string) bool {
	group, logical, ok := lvm.SplitName(name)
	return name == s.COW.Name || ok && logical == s.COW.Name && (group == v.Group.Name || group == v.Group.UUID)
}

func (d *Changed) openSibling(sibling lvm.Snapshot) error {
	lost := slices.ContainsFunc(d.lost, func(name string) bool { return calls(d.Origin.Volume, sibling, name) })
	name := d.Origin.beside(sibling.COW)
	if err := d.checkMergingSibling(name, lost); err != nil {
		return err
	}
	t, err := d.of.target(name, Request{}, d.dryRun)
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return refusef(r.Device, r.Code, "%w; this other snapshot of the origin can be neither kept nor given up: repair or remove it first (lvremove)", r.Err)
	}
	if err != nil {
		return err
	}
	o := &Sibling{Target: t, Lost: lost}
	d.Siblings = append(d.Siblings, o)
	if o.Lost {
		return o.checkGivingUp()
	}
	r, err := d.judgeSibling(o)
	if err != nil {
		return err
	}
	shown := d.shownBySibling(o)
	o.saver, err = save.New(o.COW.Device, o.COW.Fresh, shown, r.HiddenVoid())
	if errors.As(err, new(*save.MemoryError)) {
		return refuse(o.COW.Text, Unable, err)
	}
	return d.against(o, err)
}

// shownBySibling is how much of the origin another snapshot shows, up to the end of a chunk: behind
// its own end it gets no exceptions, as from the kernel (__origin_write), and the chunk with its end
// is copied whole (start_copy).
func (d *Changed) shownBySibling(o *Sibling) format.Bytes {
	return min(raw.RoundUp(d.shownBy(o.COW), o.chunkBytes()), d.Size())
}

// chunkBytes is the size of the store's chunks, also of one that is yet to be made.
func (o *Sibling) chunkBytes() format.Bytes {
	return cmp.Or(o.COW.Identity.Geometry, o.COW.Fresh).ChunkBytes()
}

// against is the refusal of a change because of another snapshot, if there is an error.
func (d *Changed) against(o *Sibling, err error, first ...Remedy) error {
	if err == nil {
		return nil
	}
	r := refusef(o.COW.Text, Unable, "refused: %s would change the data of this other snapshot of the origin: %w", d.change, err)
	if d.IsUndo {
		r.with(EndMerge)
	}
	r.Remedies = append(append(r.Remedies, first...), Remedy{Do: GiveUp, Name: o.COW.Volume.Logical.Name})
	return r
}

// judgeSibling refuses another snapshot that is not proved to show what it should.
func (d *Changed) judgeSibling(o *Sibling) (check.Report, error) {
	r, err := d.judge(o.COW)
	if err != nil {
		return r, err
	}
	against := r.Against(func(x check.Meaning) bool { return x.Certain() && x.Merging == check.AnyMerge })
	if against != nil {
		return r, d.against(o, fmt.Errorf("%s: %s", against.Name, against.Findings[0].Told()))
	}
	d.of.mention(o.COW.Text, r)
	return r, nil
}

// checkRoomOf refuses a snapshot that has no room for what it must keep.
func (d *Changed) checkRoomOf(o *Sibling) (err error) {
	if o.Lost {
		return nil
	}
	w := d.of.walking(o.COW)
	defer w.End()
	o.Saving, err = o.saver.Need(w.area)
	switch {
	case errors.Is(err, ErrInterrupted):
		return failed(o.COW.Text, Unable, err, nothingWritten)
	case err != nil:
		return d.against(o, err)
	}
	if n := o.Saving; n.Enough > 0 {
		err := fmt.Errorf("it has room for %s more; %s needs %d", words.Count(n.Free, "exception"), d.change, n.Chunks)
		v := o.COW.Volume
		return d.against(o, err, Remedy{Do: Extend, Name: v.Group.Name + "/" + v.Logical.Name, Sectors: n.Enough})
	}
	return nil
}

// keepSiblings gives the other snapshots what they need, before anything is overwritten. Those that
// are given up are marked when the others are safe.
func (d *Changed) keepSiblings() error {
	for _, o := range d.Siblings {
		if err := d.keepSibling(o); err != nil {
			return err
		}
	}
	for _, o := range d.Siblings {
		if err := o.giveUp(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Changed) keepSibling(o *Sibling) error {
	if o.Lost {
		return nil
	}
	w := d.of.watch(o.COW.Text, Chunks, o.Saving.Chunks)
	defer w.End()
	err := o.saver.Save(o.out, d.Origin.Device, w.visit)
	return written(o.COW.Text, err, d.notBegun)
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
