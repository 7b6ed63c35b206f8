package repair

import (
	"fmt"

	"dmcow/format"
)

// clearGarbage clears an area behind a full one that was never zeroed: nothing in it
// can be an exception, nor in what the list goes on to, nor in the area behind. The
// kernel would have cleared it before it used it.
//
// Its first sector is cleared first: then the list ends with the full area, and what
// a power cut leaves of the rest is told from hidden exceptions by that.
func (p *planner) clearGarbage(f *faults) (bool, error) {
	first, last, err := p.suspects(f)
	if err != nil || first == 0 || p.geometry.ChunkBytes() > mostPadding {
		return false, err
	}
	g, err := p.lookAt(first, last)
	if err != nil || !g.isGarbage() {
		return false, err
	}
	const perSector = format.SectorSize / format.ExceptionSize
	start := uint64(first) * p.slots()
	for _, part := range [][2]uint64{{start, start + perSector}, {start + perSector, start + p.slots()}} {
		if err := p.clear(part[0], part[1], "what cannot be exceptions"); err != nil {
			return false, err
		}
	}
	p.mended(implausible, fmt.Sprintf("area %d", first),
		"nothing in it or behind it can be an exception: it was never zeroed, and is cleared. The list ends with the full area before it")
	return true, nil
}

// suspects are the areas that may never have been zeroed: from the first that is
// implausible, or else the one in which the list ends, to that one. first is 0 where
// there are none: area 0 is cleared by whoever writes a header.
func (p *planner) suspects(f *faults) (first, last format.AreaIndex, err error) {
	g := f.has(implausible)
	if g == nil && f.has(hidden) == nil && len(f.singles) == 0 {
		return 0, 0, nil
	}
	if f.has(beyondDevice) != nil {
		last = format.AreaIndex(p.geometry.Areas(p.chunks())) - 1
	} else {
		end, err := p.listEnd(f)
		if err != nil {
			return 0, 0, err
		}
		last = end.Area
	}
	if g != nil {
		return g.Area, last, nil
	}
	return last, last, nil
}

// rubbish is what was seen in the place of exceptions.
type rubbish struct {
	ended       bool // the list ends before all of it
	plausible   bool // something may be an exception, or one that was damaged
	far, closes int  // entries that are far off, and those of them that are close to the one before
	last        format.NewChunk
}

// isGarbage tells whether it is garbage: not one or two damaged exceptions, and not
// those of a device that was cut short, whose new chunks rise.
func (g *rubbish) isGarbage() bool {
	const least = 3
	if g.plausible || g.far == 0 {
		return false
	}
	return g.ended || g.far >= least && 2*g.closes <= g.far
}

// lookAt looks at areas, with what stands behind a terminator, and at the area behind
// them.
func (p *planner) lookAt(first, last format.AreaIndex) (g rubbish, err error) {
	start := uint64(first) * p.slots()
	end := min(uint64(last)+2, p.geometry.Areas(p.chunks())) * p.slots()
	err = p.read(start, end, func(at uint64, x format.Exception) error {
		switch here := p.place(at).Area <= last; {
		case x.New == 0:
			g.ended = g.ended || at == start
		case !p.farOff(at, x):
			g.plausible = true
			return errEnough
		case here:
			const near = 16
			if step := int64(x.New) - int64(g.last); step != 0 && -near <= step && step <= near {
				g.closes++
			}
			g.far++
			g.last = x.New
		}
		return nil
	})
	return g, err
}

// farOff tells whether no accident to the device's size makes a sound exception look
// like this one.
func (p *planner) farOff(position uint64, x format.Exception) bool {
	const largestDevice = 1 << 63 // bytes that the kernel can address (loff_t)
	near := 2 * max(p.chunks(), uint64(p.geometry.AreaLocation(p.place(position).Area+2)))
	return uint64(x.New) >= near || uint64(x.Old) >= largestDevice/uint64(p.geometry.ChunkBytes())
}
