package repair

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
)

// compact drops the exceptions at the given positions, in order, from the list, which ends
// at position end. Those behind the new end that are kept take the slots before it, the last the
// first: what is cut off then is told by that (see leftovers).
func (p *planner) compact(end uint64, drops []uint64) error {
	kept := end - uint64(len(drops))
	n := holes(drops, end)
	gaps, tail := drops[:n], drops[n:]
	var movers []uint64
	for at := kept; at < end; at++ {
		if len(tail) > 0 && tail[0] == at {
			tail = tail[1:]
		} else {
			movers = append(movers, at)
		}
	}
	// What stands behind the list's end must not look like more than a torn commit when
	// the end comes forward.
	if area := (end/p.slots() + 1) * p.slots(); end < p.capacity() {
		if err := p.clear(end, area, "behind the end of the list"); err != nil {
			return err
		}
	}
	var fill Step
	for i, hole := range gaps {
		mover := movers[len(movers)-1-i]
		x, err := p.at(mover)
		if err != nil {
			return err
		}
		why := fmt.Sprintf("move the exception %d -> %d from %s to %s", x.Old, x.New, where(p.geometry.PlaceAt(mover)), where(p.geometry.PlaceAt(hole)))
		if err := p.put(&fill, hole, x, why); err != nil {
			return err
		}
	}
	p.then(fill)
	return p.clear(kept, end, "the end of the list")
}

func (p *planner) put(s *Step, position uint64, x format.Exception, why string) error {
	slots := make([]byte, format.ExceptionSize)
	x.Encode(slots)
	return p.edit(s, p.geometry.SlotOffset(p.geometry.PlaceAt(position)), slots, why)
}

// clear plans to clear the slots from position first up to end, the last area first. What
// a power cut leaves of that behind the list's end looks like a commit that was torn: of an
// area that may be full, the last sector goes before the others, so that nobody asks
// whether the list went on behind it.
func (p *planner) clear(first, end uint64, why string) error {
	for end > first {
		area := (end - 1) / p.slots() * p.slots()
		for _, start := range []uint64{area + p.slots() - perSector, area} {
			start = max(first, start)
			if start >= end {
				continue
			}
			var s Step
			if err := p.clearStretches(&s, start, end, why); err != nil {
				return err
			}
			p.then(s)
			end = start
		}
	}
	return nil
}

const perSector = format.SectorSize / format.ExceptionSize

// clearStretches clears slots of an area, sector by sector, but for sectors that are
// clear.
func (p *planner) clearStretches(s *Step, first, end uint64, why string) error {
	area := p.geometry.PlaceAt(first).Area
	slots := make([]byte, 0, 64<<10)
	for first < end {
		n := min(end-first, uint64(cap(slots))/format.ExceptionSize-first%perSector)
		slots = slots[:n*format.ExceptionSize]
		offset := p.geometry.SlotOffset(p.geometry.PlaceAt(first))
		if err := raw.ReadWhere(p.image, slots, offset); err != nil {
			return err
		}
		for at := uint64(0); at < n; {
			next := min(n, at+perSector-(first+at)%perSector)
			stop := at
			for stop < n && !raw.IsZero(slots[stop*format.ExceptionSize:next*format.ExceptionSize]) {
				stop, next = next, min(n, next+perSector)
			}
			if stop > at {
				length := int(stop-at) * format.ExceptionSize
				err := p.edit(s, offset+format.Bytes(at)*format.ExceptionSize, make([]byte, length), fmt.Sprintf("%s, in area %d", why, area))
				if err != nil {
					return err
				}
			}
			at = max(stop, next)
		}
		first += n
	}
	return nil
}
