package repair

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/store"
)

// Places in the list are positions here: the number of slots before them, over all
// areas.

func (p *planner) slots() uint64 { return uint64(p.geometry.ExceptionsPerArea()) }

func (p *planner) place(position uint64) format.Place {
	return format.Place{Area: format.AreaIndex(position / p.slots()), Index: int(position % p.slots())}
}

func (p *planner) position(at format.Place) uint64 {
	return uint64(at.Area)*p.slots() + uint64(at.Index)
}

// capacity is the number of slots in the areas that lie wholly on the device.
func (p *planner) capacity() uint64 { return p.geometry.Areas(p.chunks()) * p.slots() }

// errEnough ends a look at slots.
var errEnough = errors.New("enough")

// read hands out the slots from position first up to end, as they will be. The error
// is one of reading, or what use returned, but for errEnough.
func (p *planner) read(first, end uint64, use func(uint64, format.Exception) error) error {
	const most = 4096
	raw := make([]byte, min(most, end-min(first, end))*format.ExceptionSize)
	for first < end {
		n := min(end, (first/p.slots()+1)*p.slots(), first+most) - first
		if err := readFull(p.image, raw[:n*format.ExceptionSize], p.geometry.SlotOffset(p.place(first))); err != nil {
			return err
		}
		for i := range n {
			err := use(first+i, format.DecodeException(raw[i*format.ExceptionSize:]))
			if errors.Is(err, errEnough) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if err := p.visit(p.place(first).Area); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// at is the exception at a position.
func (p *planner) at(position uint64) (x format.Exception, err error) {
	err = p.read(position, position+1, func(_ uint64, y format.Exception) error {
		x = y
		return nil
	})
	return x, err
}

// mendHidden sees to exceptions behind the list's end in its area.
func (p *planner) mendHidden(f *faults) (bool, error) {
	found := f.has(hidden)
	if found == nil {
		return false, nil
	}
	end, err := p.listEnd(f)
	if err != nil {
		return false, err
	}
	h, err := store.LookBehind(p.image, p.geometry, end)
	if err != nil {
		return false, err
	}
	copies, err := p.allInList(h)
	if err != nil {
		return false, err
	}
	why := ""
	switch {
	case copies:
		why = "each stands in the list, too"
	case p.Hidden == KeepHidden:
		err := p.closeGap(h)
		return !p.blocked, err
	case h.Why == "":
		why = "a commit that was torn has left them"
	case p.Hidden == DropHidden:
		why = "they are dropped, and the snapshot reads the origin's chunks there"
	default:
		p.undecided(hidden, found.Where(), found.Message())
		p.blocked = true
		return false, nil
	}
	what := fmt.Sprintf("%d entries behind the list's end are cleared: %s", h.Count, why)
	if h.Count == 1 {
		what = "an entry behind the list's end is cleared: " + why
	}
	p.mended(hidden, found.Where(), what)
	return true, p.clear(p.position(h.Place), p.position(format.Place{Area: h.Area, Index: h.Last})+1, "the entries behind the list's end")
}

// mostCopies is how many hidden exceptions are looked for in the list.
const mostCopies = 1 << 16

// allInList tells whether each exception that hides behind the list's end stands in
// the list as well: then a repair that moved it was cut off.
func (p *planner) allInList(h store.Hidden) (bool, error) {
	if h.Count > mostCopies {
		return false, nil
	}
	wanted := map[format.Exception]bool{}
	first := p.position(h.Place)
	err := p.read(first+1, first+uint64(h.Last-h.Index)+1, func(_ uint64, x format.Exception) error {
		if x.New != 0 {
			wanted[x] = true
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	err = p.read(0, first, func(_ uint64, x format.Exception) error {
		if delete(wanted, x); len(wanted) == 0 {
			return errEnough
		}
		return nil
	})
	return len(wanted) == 0, err
}

// closeGap brings back what hides behind the list's end. The slots in between become
// copies of an exception next to them: the list is whole then and in its order, and what
// stands in it twice is dropped like any other repeated exception.
func (p *planner) closeGap(h store.Hidden) error {
	first := p.position(h.Place)
	before, err := p.before(first)
	if err != nil {
		return err
	}
	var s Step
	var gaps []uint64
	err = p.read(first, first+uint64(h.Last-h.Index)+1, func(at uint64, x format.Exception) error {
		if x.New == 0 {
			if gaps = append(gaps, at); len(gaps) > mostEdits {
				return errEnough
			}
			return nil
		}
		copied := x
		if p.geometry.Plausible(p.chunks(), before) {
			copied = before
		}
		for _, gap := range gaps {
			why := fmt.Sprintf("%s becomes a copy of one next to it, old chunk %d, new chunk %d", where(p.place(gap)), copied.Old, copied.New)
			if err := p.put(&s, gap, copied, why); err != nil {
				return err
			}
			p.ours[gap] = true
		}
		p.ours[at] = len(gaps) > 0 // it may be the later one of the two
		gaps, before = gaps[:0], x
		return nil
	})
	if err != nil {
		return err
	}
	if len(gaps) > 0 {
		p.undecided(hidden, where(h.Place), fmt.Sprintf("more than %d slots without an exception come before exception %d: too many to be closed", mostEdits, h.Last))
		p.blocked = true
		return nil
	}
	p.then(s)
	p.mended(hidden, where(h.Place), fmt.Sprintf("the gap is closed, and what stands behind it comes back, from exception %d on", h.First))
	return nil
}

// before is the exception before a position, the zero value where there is none.
func (p *planner) before(position uint64) (format.Exception, error) {
	if position == 0 {
		return format.Exception{}, nil
	}
	return p.at(position - 1)
}
