package repair

import (
	"fmt"

	"dmcow/check"
)

// mendList sees to the list, and to its exceptions one by one.
func (p *planner) mendList(f *faults) (bool, error) {
	if found := f.has(beyondDevice); found != nil && !p.Truncate {
		p.tooShort(f, found)
		return false, nil
	}
	if found := f.has(implausible); found != nil {
		clear, err := p.onlyRepeats()
		if err != nil {
			return false, err
		}
		if !p.Drop && !clear {
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

// onlyRepeats tells whether an area is implausible for exceptions that share their chunks
// with others alone, and not for what cannot be an exception: so a repair that was cut off
// leaves one from which it has moved most.
func (p *planner) onlyRepeats() (bool, error) {
	p.single = true
	f, err := p.look()
	p.single = false
	if err != nil {
		return false, err
	}
	for rule := range droppable {
		if f.has(rule) != nil {
			return false, nil
		}
	}
	return true, nil
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
