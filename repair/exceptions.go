package repair

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"dmcow/check"
	"dmcow/format"
)

// mendList sees to the list, and to its exceptions one by one.
func (p *planner) mendList(f *faults) (bool, error) {
	if found := f.has(beyondDevice); found != nil && !p.Truncate {
		p.tooShort(f, found)
		return false, nil
	}
	if found := f.has(implausible); found != nil {
		if !p.Drop {
			p.undecided(implausible, found.Where(), found.Message())
			p.blocked = true
			return false, nil
		}
		p.single = true
		return true, nil
	}
	for _, mend := range []func(*faults) (bool, error){p.replace, p.drop, p.unshare} {
		if changed, err := mend(f); changed || err != nil || p.blocked {
			return changed, err
		}
	}
	return false, nil
}

// tooShort says of a list that leads past the device's end what would be best.
func (p *planner) tooShort(f *faults, found *check.Finding) {
	least := p.geometry.Offset(p.geometry.AreaLocation(found.Area)) + p.geometry.ChunkBytes()
	advice := fmt.Sprintf("grow the device back to what it was, at least %d sectors: then nothing is lost (lvextend; truncate for an image file). "+
		"--truncate-list ends the list on the device: it loses all exceptions in areas past its end", least.Sectors())
	if f.Exceptions == p.capacity() {
		advice += ", and the last one of the full last area, unless others are dropped"
	}
	p.Undecided = note(p.Undecided, beyondDevice, join(found.Where(), found.Message()), advice)
	p.blocked = true
}

// replace replaces exceptions of an old chunk that has another by a copy of the one that
// is kept. They are repeated then, and dropped.
func (p *planner) replace(f *faults) (bool, error) {
	r := replacing{planner: p, first: map[format.OldChunk]format.Exception{}, last: map[format.OldChunk]fault{}}
	for _, x := range f.singles {
		if x.Name == duplicateOld && x.Other != nil {
			r.last[x.Old] = x
		}
	}
	var all []fault
	for _, x := range f.singles {
		last, several := r.last[x.Old]
		if !several || x.Name != duplicateOld && x.Name != repeated || x.Other == nil {
			continue
		}
		all = append(all, x)
		if p.position(x.Place) > p.position(last.Place) {
			r.last[x.Old] = x
		}
	}
	for _, x := range all {
		if err := r.one(x); err != nil {
			return false, err
		}
	}
	p.then(r.step)
	return len(r.step.Edits) > 0, nil
}

// replacing decides between exceptions of the same old chunk.
type replacing struct {
	*planner
	step  Step
	first map[format.OldChunk]format.Exception // as it was found
	last  map[format.OldChunk]fault
}

// one decides about an exception of an old chunk that has another before it, or about
// one that repeats another of such a chunk.
func (r *replacing) one(x fault) error {
	if x.Name == repeated && r.Keep == AskWhich {
		return nil
	}
	first, seen := r.first[x.Old]
	if !seen {
		var err error
		if first, err = r.at(r.position(*x.Other)); err != nil {
			return err
		}
		r.first[x.Old] = first
	}
	digests, same, err := r.compare(first.New, x.New)
	if err != nil {
		return err
	}
	if r.Keep == AskWhich && !same {
		r.undecided(duplicateOld, x.where(), fmt.Sprintf("%s; the first one's data has the SHA-256 %x, this one's %x", x.Message(), digests[0], digests[1]))
		return nil
	}
	winner := first
	if r.Keep == KeepLast {
		winner = r.last[x.Old].Exception
	}
	if x.Name == repeated {
		return r.become(r.position(x.Place), winner)
	}
	what := fmt.Sprintf("%s: the one with new chunk %d is kept", x.Message(), winner.New)
	if same {
		what += "; the data of the two is the same"
	}
	r.mended(duplicateOld, x.where(), what)
	r.ours[r.position(x.Place)] = true
	for _, at := range []uint64{r.position(*x.Other), r.position(x.Place)} {
		if err := r.become(at, winner); err != nil {
			return err
		}
	}
	return nil
}

// become has the exception at a position be a copy of the one that is kept.
func (r *replacing) become(at uint64, winner format.Exception) error {
	now, err := r.at(at)
	if err != nil || now == winner {
		return err
	}
	why := fmt.Sprintf("%s becomes a copy of the one that is kept, old chunk %d, new chunk %d", where(r.place(at)), winner.Old, winner.New)
	return r.put(&r.step, at, winner, why)
}

// compare compares the data of two chunks.
func (p *planner) compare(a, b format.NewChunk) (digests [2][sha256.Size]byte, same bool, err error) {
	for i, c := range []format.NewChunk{a, b} {
		if from, ok := p.copied[c]; ok {
			c = from
		}
		if digests[i], err = p.digest(c); err != nil {
			return digests, false, err
		}
	}
	return digests, digests[0] == digests[1], nil
}

// digest is the SHA-256 of what a chunk of the device holds.
func (p *planner) digest(c format.NewChunk) ([sha256.Size]byte, error) {
	return digest(p.image.Device, p.geometry, c)
}

// unshare gives exceptions that share their data chunk one of their own.
func (p *planner) unshare(f *faults) (bool, error) {
	var s Step
	for _, x := range f.singles {
		if x.Name != duplicateNew {
			continue
		}
		if !p.Unshare {
			p.undecided(duplicateNew, x.where(), x.Message())
			continue
		}
		if f.has(repeated) != nil { // it may be this one, which would then be another
			p.first(x, duplicateOld)
			continue
		}
		to, ok, err := p.freeChunk()
		if err != nil {
			return false, err
		}
		if !ok {
			advice := fmt.Sprintf("there is no free chunk for a copy: grow the device, by %d sectors for each", p.geometry.ChunkSectors())
			p.Undecided = note(p.Undecided, duplicateNew, join(x.where(), x.Message()), advice)
			continue
		}
		c := Copy{From: x.New, To: to, Why: fmt.Sprintf("the data of %s, a copy of its own", x.where())}
		if c.from, err = p.digest(c.From); err != nil {
			return false, err
		}
		if c.to, err = p.digest(to); err != nil {
			return false, err
		}
		s.Copies = append(s.Copies, c)
		p.copied[to] = x.New
		if err := p.put(&s, p.position(x.Place), format.Exception{Old: x.Old, New: to}, x.where()+" names the copy"); err != nil {
			return false, err
		}
		p.mended(duplicateNew, x.where(), fmt.Sprintf("%s: it gets a copy in chunk %d", x.Message(), to))
	}
	p.then(s)
	return len(s.Edits) > 0, nil
}

// freeChunk gives out a chunk behind all that the list names; ok is false where there
// is none.
func (p *planner) freeChunk() (c format.NewChunk, ok bool, err error) {
	if p.free == 0 {
		p.free = format.FirstData
		w := format.Walk{Device: p.image.current(), Size: p.size(), Geometry: p.geometry}
		_, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
			for _, x := range b.Exceptions() {
				if uint64(x.New) < p.chunks() {
					p.free = max(p.free, x.New+1)
				}
			}
			return p.visit(b.Area)
		})
		if err != nil && !isCut(err) {
			return 0, false, err
		}
	}
	p.free = p.geometry.SkipMetadata(p.free)
	if uint64(p.free) >= p.chunks() {
		return 0, false, nil
	}
	c = p.free
	p.free++
	return c, true, nil
}

// drop drops exceptions from the list, and closes the gaps.
func (p *planner) drop(f *faults) (bool, error) {
	all := p.dropped(f)
	end, err := p.dropEnd(f)
	if err != nil {
		return false, err
	}
	slices.SortFunc(all, func(x, y fault) int { return cmp.Compare(p.position(x.Place), p.position(y.Place)) })
	drops := p.positions(all)
	if n := holes(drops, end); n > mostEdits { // the rest is for the next round
		all = all[len(all)-mostEdits:]
		drops = drops[len(drops)-mostEdits:]
	}
	cut := f.has(beyondDevice)
	if cut != nil && len(drops) == 0 {
		drops = append(drops, end-1)
	}
	if len(drops) == 0 {
		return false, nil
	}
	kept := end - uint64(len(drops))
	if p.wouldSwap(f, kept) {
		for _, x := range all {
			p.first(x, duplicateOld)
		}
		return false, nil
	}
	for _, x := range all {
		if !p.ours[p.position(x.Place)] {
			p.mended(x.Name, x.where(), x.Message()+": dropped")
		}
	}
	clear(p.ours) // what is left of them is elsewhere now
	if cut != nil {
		if err := p.truncated(cut, drops); err != nil {
			return false, err
		}
	}
	return true, p.compact(end, drops)
}

func (p *planner) positions(all []fault) []uint64 {
	positions := make([]uint64, 0, len(all)+1)
	for _, x := range all {
		positions = append(positions, p.position(x.Place))
	}
	return positions
}

// holes is how many of the dropped positions, in order, stand before the new end of a
// list: others take their slots.
func holes(drops []uint64, end uint64) int {
	n, _ := slices.BinarySearch(drops, end-uint64(len(drops)))
	return n
}

// first notes that a fault waits for those of another rule.
func (p *planner) first(x fault, rule string) {
	p.Undecided = note(p.Undecided, x.Name, join(x.where(), x.Message()), "decide about "+rule+" first: this one hangs on the order of the list")
}

// dropped are the exceptions that are to be dropped.
func (p *planner) dropped(f *faults) (all []fault) {
	farthest := format.NewChunk(0)
	several := map[format.OldChunk]bool{} // exceptions, and which is kept is undecided
	for _, x := range f.singles {
		switch x.Name {
		case newBeyond:
			farthest = max(farthest, x.New)
		case duplicateOld:
			several[x.Old] = true
		}
	}
	advice := fmt.Sprintf("if the device was larger, grow it back: to at least %d sectors, and nothing is lost. "+
		"--drop drops the exceptions: the snapshot then reads the origin's chunks there", uint64(farthest+1)*uint64(p.geometry.ChunkSectors()))
	for _, x := range f.singles {
		switch {
		case x.Name == repeated && several[x.Old]: // it may be the last, or the first
		case x.Name == headerInArea, x.Name == repeated, droppable[x.Name] && p.Drop:
			all = append(all, x)
		case x.Name == newBeyond:
			p.Undecided = note(p.Undecided, newBeyond, join(x.where(), x.Message()), advice)
		case droppable[x.Name]:
			p.undecided(x.Name, x.where(), x.Message())
		}
	}
	return all
}

// dropEnd is the position where the list ends: on the device, where it leads past that.
func (p *planner) dropEnd(f *faults) (uint64, error) {
	if f.has(beyondDevice) != nil {
		return p.capacity(), nil
	}
	end, err := p.listEnd(f)
	return p.position(end.Place), err
}

// truncated notes that the list ends on the device.
func (p *planner) truncated(cut *check.Finding, drops []uint64) error {
	what := cut.Message() + ": the list is ended on the device"
	if last := p.capacity() - 1; len(drops) == 1 && drops[0] == last {
		x, err := p.at(last)
		if err != nil {
			return err
		}
		what += fmt.Sprintf(", and its last exception is dropped (old chunk %d, new chunk %d)", x.Old, x.New)
	}
	p.mended(beyondDevice, cut.Where(), what)
	return nil
}

// wouldSwap tells whether an exception of an old chunk with several, of which none was
// chosen yet, would come before another one when what is behind the new end of the list
// moves.
func (p *planner) wouldSwap(f *faults, kept uint64) bool {
	for _, x := range f.singles {
		if x.Name == duplicateOld && p.position(x.Place) >= kept && (x.Other == nil || p.position(*x.Other) < kept) {
			return true
		}
	}
	return false
}
