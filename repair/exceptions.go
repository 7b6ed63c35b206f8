package repair

import (
	"fmt"

	"dmcow/check"
	"dmcow/format"
)

func (p *planner) repairList(f *findings) (bool, error) {
	if found := f.has(check.AreaBeyondDevice); found != nil && !p.Truncate {
		p.tooShort(found)
		return false, nil
	}
	if found := f.has(check.ImplausibleArea); found != nil {
		repeats, err := p.hasOnlyRepeats(f)
		switch {
		case err != nil:
			return false, err
		case repeats && !p.moves():
			p.ask(found, found.Message(), advice[check.RepeatedException], flags[check.RepeatedException]...)
			p.blocked = true
			return false, nil
		case !repeats && !p.Drop:
			p.undecided(found, found.Message())
			p.blocked = true
			return false, nil
		}
		p.single = true
		return true, nil
	}
	for _, repair := range []func(*findings) (bool, error){p.replace, p.drop, p.unshare} {
		if changed, err := repair(f); changed || err != nil || p.blocked {
			return changed, err
		}
	}
	return false, nil
}

// hasOnlyRepeats reports whether areas are implausible for exceptions that share their chunks
// with others, and not for what cannot be an exception: so a repair that was cut off leaves
// one from which it has moved most.
func (p *planner) hasOnlyRepeats(f *findings) (bool, error) {
	p.single = true
	single, err := p.look()
	p.single = false
	if err != nil || single.more {
		return false, err
	}
	end, err := p.dropEnd(f)
	if err != nil {
		return false, err
	}
	bad, repeats := map[format.AreaIndex]uint64{}, map[format.AreaIndex]uint64{}
	times := map[format.Exception]int{}
	for _, x := range single.singles {
		times[x.Exception]++
	}
	twice := map[format.Exception]bool{} // and not more often, as what fills an area may be
	for _, x := range single.singles {
		if droppable[x.Rule] && !twice[x.Exception] {
			bad[x.Area]++
			twice[x.Exception] = times[x.Exception] == 2
		} else {
			repeats[x.Area]++
		}
	}
	for _, k := range f.garbage {
		entries := min(p.slots(), end-uint64(k)*p.slots())
		if others := entries - repeats[k]; bad[k] >= leastGarbage && 2*bad[k] > others {
			return false, nil
		}
	}
	return true, nil
}

// leastGarbage is how many entries of an area make it check.ImplausibleArea, if they are most of it.
const leastGarbage = 3

// tooShort says of a list that leads past the device's end what would be best.
func (p *planner) tooShort(found *check.Finding) {
	least := p.geometry.Offset(p.geometry.AreaLocation(found.Area)) + p.geometry.ChunkBytes()
	advice := fmt.Sprintf("grow the device back to its old size, at least %d sectors: then nothing is lost (lvextend; copy a truncated image file again). "+
		"--truncate-list ends the list on the device. That loses all exceptions in areas past its end and, unless others are dropped, "+
		"the last one of the last, full area", least.Sectors())
	p.ask(found, found.Message(), advice, flags[check.AreaBeyondDevice]...)
	p.blocked = true
}
