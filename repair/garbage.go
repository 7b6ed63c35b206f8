package repair

import (
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store/look"
)

// clearGarbage clears an area behind a full one in which nothing
// can be an exception, nor in what the list goes on to, nor in the area behind. The
// kernel clears an area before it uses it, so that it held exceptions, or was overwritten when
// it was empty: the user has to say so.
//
// Its first sector is cleared first: then the list ends with the full area, and what
// a power cut leaves of the rest is told from hidden exceptions by that.
func (p *planner) clearGarbage(f *findings) (bool, error) {
	first, last, err := p.suspects(f)
	if err != nil || !p.Drop || p.geometry.ChunkBytes() > mostPadding {
		return false, err
	}
	for _, k := range []format.AreaIndex{first, last} { // all that follows, or the last one alone
		if k == 0 { // which whoever writes a header clears
			continue
		}
		g, err := p.lookAt(k, last)
		if err != nil {
			return false, err
		}
		if g.isGarbage() {
			return true, p.clearArea(k)
		}
	}
	return false, nil
}

func (p *planner) clearArea(k format.AreaIndex) error {
	start := uint64(k) * p.slots()
	for _, part := range [][2]uint64{{start, start + perSector}, {start + perSector, start + p.slots()}} {
		if err := p.clear(part[0], part[1], "slots with garbage"); err != nil {
			return err
		}
	}
	p.lostMore(check.ImplausibleArea, fmt.Sprintf("area %d", k),
		"nothing in it or behind it is a possible exception: clear it. The list ends with the full area before it", 0)
	return nil
}

// suspects are the areas that may hold no exceptions: from the first that is
// implausible, or else the one in which the list ends, to that one. Both are 0 where there
// are none.
func (p *planner) suspects(f *findings) (first, last format.AreaIndex, err error) {
	g, cut := f.has(check.ImplausibleArea), f.has(check.AreaBeyondDevice) != nil
	if g == nil && f.has(check.HiddenExceptions) == nil || cut && !p.Truncate {
		return 0, 0, nil // of a list that is cut off, what follows is not there to be seen
	}
	end, err := p.dropEnd(f)
	if err != nil {
		return 0, 0, err
	}
	last = p.geometry.PlaceAt(end).Area
	if cut {
		last--
	}
	if g != nil {
		return g.Area, last, nil
	}
	return last, last, nil
}

type rubbish struct {
	ended     bool // the list ends before all of it
	plausible bool // something may be an exception, of this device or a larger one
	count     int  // entries that no device has
}

// isGarbage reports whether it is garbage, and not one or two damaged exceptions.
func (g *rubbish) isGarbage() bool {
	return !g.plausible && g.count > 0 && (g.ended || g.count >= leastGarbage)
}

// lookAt looks at areas, with what stands behind a terminator, and at the area behind
// them.
func (p *planner) lookAt(first, last format.AreaIndex) (g rubbish, err error) {
	start := uint64(first) * p.slots()
	end := min(uint64(last)+2, p.geometry.Areas(p.chunks())) * p.slots()
	err = p.read(start, end, func(at uint64, x format.Exception) error {
		switch {
		case x.New == 0:
			g.ended = g.ended || at == start
		case look.OnAnyDevice(p.geometry, x):
			g.plausible = true
			return errEnough
		case p.geometry.PlaceAt(at).Area <= last:
			g.count++
		}
		return nil
	})
	return g, err
}
