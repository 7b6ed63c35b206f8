package repair

import (
	"cmp"
	"fmt"
	"slices"

	"dmcow/check"
	"dmcow/format"
)

// drop drops exceptions from the list, and closes the gaps.
func (p *planner) drop(f *findings) (bool, error) {
	undecided := p.undecidedChunks(f)
	end, err := p.dropEnd(f)
	if err != nil {
		return false, err
	}
	left := p.leftovers(f, end)
	all := p.dropped(f, undecided, left)
	slices.SortFunc(all, func(x, y check.Finding) int {
		return cmp.Compare(p.geometry.Position(x.Place), p.geometry.Position(y.Place))
	})
	drops := make([]uint64, 0, len(all)+1)
	for _, x := range all {
		drops = append(drops, p.geometry.Position(x.Place))
	}
	if n := holes(drops, end); n > mostEdits { // the rest is for the next round
		all = all[len(all)-mostEdits:]
		drops = drops[len(drops)-mostEdits:]
	}
	cut := f.has(check.AreaBeyondDevice)
	if cut != nil && len(drops) == 0 {
		drops = append(drops, end-1)
	}
	if len(drops) == 0 {
		return false, nil
	}
	kept := end - uint64(len(drops))
	// Where not all findings could be kept, there may be more such chunks.
	if f.more && len(undecided) > 0 || p.wouldMove(undecided, drops, kept) {
		for _, x := range all {
			p.waits(x, check.DuplicateOldChunk)
		}
		return false, nil
	}
	p.tellDropped(all)
	if cut != nil {
		if err := p.truncated(cut, drops); err != nil {
			return false, err
		}
	}
	return true, p.compact(end, drops)
}

// moves reports whether the user's word has exceptions dropped, and so others moved.
func (p *planner) moves() bool {
	return p.Drop || p.Truncate || p.Hidden == KeepHidden || p.Keep != AskWhich
}

// tellDropped notes which exceptions are dropped, but for those that the plan itself has
// made.
func (p *planner) tellDropped(all []check.Finding) {
	for _, x := range all {
		filler, ours := p.ours[p.geometry.Position(x.Place)]
		if !ours || !filler && x.Rule != check.RepeatedException {
			p.lost(x.Rule, x.Where(), x.Message()+": drop it", 1)
		}
	}
	clear(p.ours) // what is left of them is elsewhere now
}

// holes is how many of the dropped positions, in order, stand before the new end of a
// list: others take their slots.
func holes(drops []uint64, end uint64) int {
	n, _ := slices.BinarySearch(drops, end-uint64(len(drops)))
	return n
}

func (p *planner) waits(x check.Finding, rule *check.Rule) {
	p.ask(&x, x.Message(), "decide about "+rule.Name+" first: this one depends on the order of the list")
}

func (p *planner) dropped(f *findings, undecided map[format.OldChunk]*several, left map[uint64]bool) (all []check.Finding) {
	farthest := format.NewChunk(0)
	for _, x := range f.singles {
		if x.Rule == check.NewChunkBeyondDevice {
			farthest = max(farthest, x.New)
		}
	}
	grow := fmt.Sprintf("if the device was larger, grow it back to at least %d sectors, and nothing is lost. "+
		"--drop drops the exceptions: the snapshot then reads the origin's chunks there", uint64(farthest+1)*uint64(p.geometry.ChunkSectors()))
	seen := map[format.Exception]bool{}
	for _, x := range f.singles {
		at := p.geometry.Position(x.Place)
		_, ours := p.ours[at]
		before := seen[x.Exception]
		seen[x.Exception] = true
		switch g := undecided[x.Old]; {
		case x.Rule == check.RepeatedException && g != nil && !g.endsAlike():
			// To drop it would make another one the last.
		case x.Rule == check.RepeatedException && (ours || left[at] || p.Keep != AskWhich), droppable[x.Rule] && (p.Drop || left[at] && before):
			all = append(all, x)
		case x.Rule == check.NewChunkBeyondDevice:
			p.ask(&x, x.Message(), grow)
		case droppable[x.Rule], x.Rule == check.RepeatedException:
			p.undecided(&x, x.Message())
		}
	}
	return all
}

// several are the exceptions of an old chunk that has more than one, of which none was
// chosen yet.
type several struct {
	first   *format.Place   // nil where that was not found out
	last    check.Finding   // that is not like one before
	end     check.Finding   // the last of all
	members []check.Finding // but the first
}

// endsAlike reports whether it is the same one that is the last, when those that repeat
// another are gone.
func (s *several) endsAlike() bool { return s.end.Exception == s.last.Exception }

// undecidedChunks are the old chunks with several exceptions.
func (p *planner) undecidedChunks(f *findings) map[format.OldChunk]*several {
	all := map[format.OldChunk]*several{}
	for _, x := range f.singles {
		if x.Rule != check.DuplicateOldChunk {
			continue
		}
		s := all[x.Old]
		if s == nil {
			s = &several{first: x.Other, last: x, end: x}
			all[x.Old] = s
		}
		if s.members = append(s.members, x); p.geometry.Position(x.Place) > p.geometry.Position(s.last.Place) {
			s.last, s.end = x, x
		}
	}
	for _, x := range f.singles {
		if s := all[x.Old]; s != nil && x.Rule == check.RepeatedException {
			if s.members = append(s.members, x); p.geometry.Position(x.Place) > p.geometry.Position(s.end.Place) {
				s.end = x
			}
		}
	}
	return all
}

// dropEnd is the position where the list ends: on the device, where it leads past that.
func (p *planner) dropEnd(f *findings) (uint64, error) {
	if f.has(check.AreaBeyondDevice) != nil {
		return p.capacity(), nil
	}
	end, err := p.listEnd(f)
	return p.geometry.Position(end.Place), err
}

func (p *planner) truncated(cut *check.Finding, drops []uint64) error {
	what := cut.Message() + ": end the list on the device"
	if last := p.capacity() - 1; len(drops) == 1 && drops[0] == last {
		x, err := p.at(last)
		if err != nil {
			return err
		}
		what += fmt.Sprintf(", and drop its last exception (%d -> %d)", x.Old, x.New)
	}
	p.lostMore(check.AreaBeyondDevice, cut.Where(), what, 0)
	return nil
}

// wouldMove reports whether, of an old chunk with several exceptions of which none was chosen
// yet, one stands behind the new end of the list: what is kept of that moves, and when it is
// cut off, another may be the first or the last.
func (p *planner) wouldMove(undecided map[format.OldChunk]*several, drops []uint64, kept uint64) bool {
	moves := func(at format.Place) bool {
		_, goes := slices.BinarySearch(drops, p.geometry.Position(at))
		return !goes && p.geometry.Position(at) >= kept
	}
	for _, s := range undecided {
		if s.first == nil || moves(*s.first) {
			return true
		}
		if slices.ContainsFunc(s.members, func(x check.Finding) bool { return moves(x.Place) }) {
			return true
		}
	}
	return false
}
