package repair

import (
	"slices"

	"dmcow/check"
	"dmcow/format"
)

// A repair that was cut off leaves exceptions twice: those that it has moved, and the copies that
// close a gap. When it is run again, they are told from others, which may stand in the place of
// another exception, by where they stand. The user's word for that repair is there.

// leftovers are the positions of exceptions that repeat one before them, and that a repair has left
// which was cut off. end is where the list ends.
func (p *planner) leftovers(f *findings, end uint64) map[uint64]bool {
	left := map[uint64]bool{}
	if !p.moves() {
		return left
	}
	first := map[uint64]uint64{} // where what stands again at a position stands first
	seen := map[format.Exception]uint64{}
	var bad []uint64 // what is dropped on its own account
	for _, x := range f.singles {
		at := p.geometry.Position(x.Place)
		switch before, again := seen[x.Exception]; {
		case x.Rule == check.RepeatedException && x.Other != nil:
			first[at] = p.geometry.Position(*x.Other)
		case droppable[x.Rule] && again:
			first[at] = before
		case droppable[x.Rule]:
			seen[x.Exception] = at
			if p.Drop {
				bad = append(bad, at)
			}
		}
	}
	for _, at := range moved(first, bad, end) {
		left[at] = true
	}
	for at, before := range first {
		if p.Hidden == KeepHidden && (before+1 == at || first[at-1] == before) {
			left[at] = true
		}
	}
	return left
}

// moved are the positions of exceptions that a compaction has moved, and whose copies stand where
// exceptions were dropped: the last of the list stand in the first of these places. What
// stands otherwise comes from something else, and then none was moved.
func moved(first map[uint64]uint64, bad []uint64, end uint64) (all []uint64) {
	kept := end - min(end, uint64(len(first)+len(bad)))
	tail := map[uint64]bool{} // what goes and did not move
	var holes []uint64
	for _, at := range bad {
		if tail[at] = at >= kept; at < kept {
			holes = append(holes, at)
		}
	}
	for at, before := range first {
		switch {
		case at < kept: // its hole is not filled yet
			holes = append(holes, at)
		case before < kept:
			all, holes = append(all, at), append(holes, before)
		default:
			tail[at] = true
		}
	}
	slices.Sort(holes)
	for at := end; at > kept; {
		if at--; tail[at] {
			continue
		}
		if len(holes) == 0 {
			return nil
		}
		if before, copied := first[at]; copied && before != holes[0] {
			return nil
		}
		holes = holes[1:]
	}
	if len(holes) > 0 {
		return nil
	}
	return all
}
