package repair

import (
	"fmt"

	"dmcow/check"
)

// rebuild writes what the entries around lost and damaged ones suggest, where the user has said
// so. Cut off, some of the slots hold what is suggested, and the entries around suggest the
// rest.
func (p *planner) rebuild(f *findings) (bool, error) {
	if !p.Rebuild {
		return false, nil
	}
	var s Step
	var written []uint64 // positions
	for _, found := range p.suggesting(f) {
		x := found.Suggests
		first := p.geometry.Position(x.Place)
		if len(s.Edits)+x.Count > mostEdits || overlaps(written, first, x.Count) {
			continue // the next round
		}
		for i := range x.Count {
			why := fmt.Sprintf("write the exception %d -> %d, by its neighbours, to %s", x.At(i).Old, x.At(i).New, where(x.Slot(i)))
			if err := p.put(&s, first+uint64(i), x.At(i), why); err != nil {
				return false, err
			}
		}
		written = append(written, first, first+uint64(x.Count))
		if x.Unsure {
			p.lost(found.Rule, found.Where(), x.String()+": rebuild it, though it may have been another one", uint64(x.Count))
		} else {
			p.repaired(found.Rule, found.Where(), x.String()+": rebuild it")
		}
	}
	p.then(s)
	return len(s.Edits) > 0, nil
}

// suggesting are the findings of which something is suggested, and that are to be repaired.
func (p *planner) suggesting(f *findings) (all []check.Finding) {
	for _, t := range f.Tallies {
		for _, found := range t.Findings {
			if found.Suggests != nil && (found.Severity == check.Error || p.Warnings) {
				all = append(all, found)
			}
		}
	}
	for _, x := range f.singles {
		if x.Suggests != nil {
			all = append(all, x)
		}
	}
	return all
}

// overlaps reports whether n slots from a position on meet some of the stretches, of which all
// has the beginnings and ends.
func overlaps(all []uint64, first uint64, n int) bool {
	for i := 0; i < len(all); i += 2 {
		if first < all[i+1] && all[i] < first+uint64(n) {
			return true
		}
	}
	return false
}

// repairTerminator sees to the entry that ends the list, where it is an exception that lost its new
// chunk.
func (p *planner) repairTerminator(f *findings) (bool, error) {
	found := f.has(check.OddTerminator)
	if found == nil {
		return false, nil
	}
	if !p.Drop {
		p.undecided(found, found.Message())
		return false, nil
	}
	if err := p.editAlone(p.geometry.SlotOffset(found.Place), make([]byte, 8), "the slot that ends the list"); err != nil {
		return false, err
	}
	p.lost(found.Rule, found.Where(), found.Message()+": drop it", 1)
	return true, nil
}
