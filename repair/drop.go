package repair

import (
	"cmp"
	"fmt"
	"slices"

	"dmcow/check"
	"dmcow/format"
)

// drop drops exceptions from the list, and closes the gaps.
func (p *planner) drop(f *faults) (bool, error) {
	all, err := p.dropped(f)
	if err != nil {
		return false, err
	}
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
	if p.wouldSwap(f, drops, kept) {
		for _, x := range all {
			p.waits(x, duplicateOld)
		}
		return false, nil
	}
	for _, x := range all {
		if filler, ours := p.ours[p.position(x.Place)]; !ours || !filler && x.Name != repeated {
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

// waits notes that a fault waits for those of another rule.
func (p *planner) waits(x fault, rule string) {
	p.Undecided = note(p.Undecided, x.Name, join(x.where(), x.Message()), "decide about "+rule+" first: this one hangs on the order of the list")
}

// dropped are the exceptions that are to be dropped.
func (p *planner) dropped(f *faults) (all []fault, err error) {
	farthest := format.NewChunk(0)
	for _, x := range f.singles {
		if x.Name == newBeyond {
			farthest = max(farthest, x.New)
		}
	}
	advice := fmt.Sprintf("if the device was larger, grow it back: to at least %d sectors, and nothing is lost. "+
		"--drop drops the exceptions: the snapshot then reads the origin's chunks there", uint64(farthest+1)*uint64(p.geometry.ChunkSectors()))
	undecided := f.undecidedChunks()
	for _, x := range f.singles {
		switch _, several := undecided[x.Old]; {
		case x.Name == repeated && several:
			// It may be the last one, unless it stands right behind what it repeats.
			before, err := p.before(p.position(x.Place))
			if err != nil {
				return nil, err
			}
			if before == x.Exception {
				all = append(all, x)
			}
		case x.Name == headerInArea, x.Name == repeated, droppable[x.Name] && p.Drop:
			all = append(all, x)
		case x.Name == newBeyond:
			p.Undecided = note(p.Undecided, newBeyond, join(x.where(), x.Message()), advice)
		case droppable[x.Name]:
			p.undecided(x.Name, x.where(), x.Message())
		}
	}
	return all, nil
}

// undecidedChunks are the old chunks with several exceptions, of which none was chosen
// yet, with the first of them, nil where that was not found out.
func (f *faults) undecidedChunks() map[format.OldChunk]*format.Place {
	all := map[format.OldChunk]*format.Place{}
	for _, x := range f.singles {
		if x.Name == duplicateOld {
			all[x.Old] = x.Other
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
// chosen yet, would come before another one when what is kept behind the new end of the list
// moves.
func (p *planner) wouldSwap(f *faults, drops []uint64, kept uint64) bool {
	undecided := f.undecidedChunks()
	if f.more && len(undecided) > 0 {
		return true // there may be more of them
	}
	for _, x := range f.singles {
		first, several := undecided[x.Old]
		at := p.position(x.Place)
		if !several || at < kept || x.Name != duplicateOld && x.Name != repeated {
			continue
		}
		if _, goes := slices.BinarySearch(drops, at); !goes && (first == nil || p.position(*first) < kept) {
			return true
		}
	}
	return false
}
