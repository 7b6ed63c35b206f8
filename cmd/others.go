package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store"
)

// other is another snapshot of the origin that is merged into. It must have an exception
// for every chunk of the origin that is going to be overwritten, as the kernel gives it
// one, or is given up.
type other struct {
	*target
	lost   bool // is given up
	saver  *store.Saver
	saving store.Saving
	free   func() // the saver's memory
}

func (o *other) close() {
	o.free()
	o.target.close()
}

// openOthers opens the other snapshots of an origin that is a logical volume, and refuses
// a merge that one of them would not survive.
func (j *job) openOthers() error {
	all, err := j.otherSnapshots()
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := j.openOther(s); err != nil {
			return err
		}
	}
	if len(j.others) == 0 {
		return nil
	}
	if err := j.mark(func(start, end format.Bytes) {
		for _, o := range j.others {
			if !o.lost {
				o.saver.Overwritten(start, end)
			}
		}
	}); err != nil {
		return err
	}
	for _, o := range j.others {
		if err := j.refuseOther(o); err != nil {
			return err
		}
	}
	return nil
}

// otherSnapshots are the snapshots of the origin, but for the one that is merged. The error
// is the failure of names of some to give up that are none.
func (j *job) otherSnapshots() (all []lvm.Snapshot, err error) {
	if v := j.to.volume; j.seesOthers() {
		all = slices.DeleteFunc(v.Group.Of(v.Logical), func(s lvm.Snapshot) bool { return j.isMerged(s) })
	}
	for _, name := range j.Lose {
		if !slices.ContainsFunc(all, func(s lvm.Snapshot) bool { return calls(j.to.volume, s, name) }) {
			var known []string
			for _, s := range all {
				known = append(known, s.COW.Name)
			}
			return nil, &failure{name, statusWrongUse, fmt.Errorf("--lose-snapshot: is no other snapshot of %s; known are: %s", printable(string(j.Into)), cmp.Or(strings.Join(known, ", "), "none"))}
		}
	}
	return all, nil
}

// seesOthers reports whether the origin's other snapshots are known: it is a logical volume.
func (j *job) seesOthers() bool { return j.to.volume != nil && j.to.volume.Group != nil }

// isMerged reports whether a snapshot is the one that is merged.
func (j *job) isMerged(s lvm.Snapshot) bool {
	own := j.cow.volume
	return own != nil && own.Group != nil && own.Group.UUID == j.to.volume.Group.UUID && own.Logical.Name == s.COW.Name
}

// calls reports whether a user calls a snapshot of the group by a name.
func calls(v *volume.Volume, s lvm.Snapshot, name string) bool {
	group, logical, ok := lvm.SplitName(name)
	return name == s.COW.Name || ok && logical == s.COW.Name && (group == v.Group.Name || group == v.Group.UUID)
}

// openOther opens another snapshot.
func (j *job) openOther(s lvm.Snapshot) error {
	v := j.to.volume.Beside(s.COW)
	w := j.writing
	w.section = section{volumes: j.to.where}
	t, err := j.openNamedTarget(named{path: v.Name, volume: v, where: j.to.where}, w, 0)
	var f *failure
	if errors.As(err, &f) {
		return &failure{f.device, f.status, fmt.Errorf("%w; it is another snapshot of the origin, and can be neither kept nor given up as it is: mend that, or remove it first (lvremove)", f.err)}
	}
	if err != nil {
		return err
	}
	o := &other{target: t, free: func() {}}
	o.lost = slices.ContainsFunc(j.Lose, func(name string) bool { return calls(j.to.volume, s, name) })
	j.others = append(j.others, o)
	if o.lost {
		return o.refuseGivingUp()
	}
	r, err := j.refuseDamagedOther(o)
	if err != nil {
		return err
	}
	shown := j.shownBy(o)
	chunks := uint64(shown / o.chunkBytes())
	words, free := device.Words(int(chunks/64 + 1))
	o.free = free
	const few = 1 << 33 // for which there is memory without being asked
	if words == nil && chunks > few {
		return &failure{o.path, statusFailed, fmt.Errorf("there is no memory for a bit for each of the origin's %d chunks", chunks)}
	}
	o.saver, err = store.NewSaver(o.device, o.fresh, shown, r.HiddenVoid(), words)
	return j.refusal(o, err)
}

// shownBy is how much of the origin another snapshot shows, up to the end of a chunk: behind its own
// end it gets no exceptions, as from the kernel (__origin_write), and the chunk with its end is
// copied whole (start_copy).
func (j *job) shownBy(o *other) format.Bytes {
	chunk := o.chunkBytes()
	return min((j.sizeOf(o.cow)+chunk-1)/chunk*chunk, j.originSize())
}

// chunkBytes is the size of the store's chunks, also of one that is yet to be made.
func (o *other) chunkBytes() format.Bytes {
	if o.id.Geometry.IsZero() {
		return o.fresh.ChunkBytes()
	}
	return o.id.Geometry.ChunkBytes()
}

// refusal is the failure of an error of another snapshot, with what can be done.
func (j *job) refusal(o *other, err error) error {
	if err == nil {
		return nil
	}
	if j.isUndo {
		err = fmt.Errorf("%w (if a merge of it was cut off, end that first)", err)
	}
	return &failure{o.path, statusFailed, fmt.Errorf("refused: the merge would change what this other snapshot of the origin shows: %w; mend that first, or give it up: --lose-snapshot %s", err, o.volume.Logical.Name)}
}

// refuseDamagedOther refuses another snapshot that is not proved to show what it should.
func (j *job) refuseDamagedOther(o *other) (check.Report, error) {
	r, err := j.checkSound(o.cow)
	if err != nil {
		return r, err
	}
	against := r.Against(func(m check.Meaning) bool { return m.Certain() && m.Merging == check.AnyMerge })
	if against != nil {
		return r, j.refusal(o, fmt.Errorf("%s: %s", against.Name, told(against.Findings[0])))
	}
	j.mention(o.path, r)
	return r, nil
}

// mark calls overwritten with the stretches of the origin that are going to be.
func (j *job) mark(overwritten func(start, end format.Bytes)) error {
	chunk := j.id.Geometry.ChunkBytes()
	if j.steps > 0 {
		return j.wrapped(j.plan.Preview(j.steps, func(r store.Run) error {
			overwritten(format.Bytes(r.Old)*chunk, format.Bytes(r.Old+format.OldChunk(r.Count))*chunk)
			return nil
		}))
	}
	p := j.walking(j.cow, true)
	defer p.end()
	_, err := format.Each(j.walk(), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			overwritten(format.Bytes(x.Old)*chunk, format.Bytes(x.Old+1)*chunk)
		}
		return p.area(b.Area)
	})
	if errors.Is(err, errInterrupted) {
		return &failure{j.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	}
	if err != nil {
		return j.unreadable(j.path, err)
	}
	return nil
}

// refuseOther refuses a snapshot that has no room for what it must keep.
func (j *job) refuseOther(o *other) (err error) {
	if o.lost {
		return nil
	}
	p := j.walking(o.cow, true)
	defer p.end()
	if o.saving, err = o.saver.Need(p.area); err != nil {
		if errors.Is(err, errInterrupted) {
			return &failure{o.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
		}
		return j.refusal(o, err)
	}
	if n := o.saving; n.Enough > 0 {
		return j.refusal(o, fmt.Errorf("it has room for %s more, and the merge takes %d; extend it to %d sectors (lvextend -L%[3]ds %s/%s)",
			count(n.Free, "exception"), n.Chunks, n.Enough, o.volume.Group.Name, o.volume.Logical.Name))
	}
	return nil
}

// announceOthers says what becomes of the other snapshots; dry, what would.
func (j *job) announceOthers() {
	for _, o := range j.others {
		switch {
		case o.lost && o.id.State == store.Damaged:
			j.say(o.path, "is given up: the kernel refuses to load it as it is")
		case o.lost:
			j.say(o.path, "is given up: it will be marked invalid")
		case o.saving.Chunks > 0:
			j.say(o.path, "gets %s first, and goes on showing what it shows", count(o.saving.Chunks, "exception"))
		}
	}
}

// keepOthers gives the other snapshots what they need, before anything is overwritten. Those
// that are given up are marked when the others are safe.
func (j *job) keepOthers() error {
	for _, o := range j.others {
		if !o.lost {
			if err := j.keepOther(o); err != nil {
				return err
			}
		}
	}
	for _, o := range j.others {
		if o.lost {
			if err := j.giveUp(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *job) keepOther(o *other) error {
	p := j.newProgress(o.path, "chunk", o.saving.Chunks, true)
	defer p.end()
	err := o.saver.Save(o.out, j.origin, j.buffers.New, p.visit)
	if errors.Is(err, errInterrupted) {
		return &failure{o.path, statusInterrupted, fmt.Errorf("%w: nothing was merged yet; run the same command again", err)}
	}
	return j.done(o.path, err)
}

// refuseGivingUp refuses a snapshot that cannot be marked invalid, and that the
// kernel would take for a new one: it would show what it never was.
func (o *other) refuseGivingUp() error {
	if o.id.State != store.Uninitialized && o.id.Header.Magic == 0 {
		return &failure{o.path, statusFailed, errors.New("refused: it cannot be given up, for it has no header to be marked; remove it first, or mend it")}
	}
	return nil
}

// givenUp are the flags that give up what was given up, for a command that the user is told.
func (j *job) givenUp() (text string) {
	for _, name := range j.Lose {
		text += " --lose-snapshot " + shellWord(name)
	}
	return text
}

// giveUp marks a snapshot invalid. Of one that was never active, the kernel would make an
// empty store, and it would show what the origin is by then: it gets a store that says
// otherwise. What the kernel refuses to load needs no mark.
func (j *job) giveUp(o *other) error {
	if o.id.State == store.Uninitialized {
		if err := store.Initialize(o.out, o.fresh, nil); err != nil {
			return j.done(o.path, err)
		}
	}
	if o.id.State == store.Uninitialized || o.id.State == store.Valid {
		return j.done(o.path, store.Invalidate(o.out))
	}
	return nil
}
