package repair

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

func (p *planner) slots() uint64 { return uint64(p.geometry.ExceptionsPerArea()) }

// capacity is the number of slots in the areas that lie wholly on the device.
func (p *planner) capacity() uint64 { return p.geometry.Areas(p.chunks()) * p.slots() }

var errEnough = errors.New("enough")

// read hands out the slots from position first up to end, as they will be. The error
// is one of reading, or what use returned, but for errEnough.
func (p *planner) read(first, end uint64, use func(uint64, format.Exception) error) error {
	const most = 4096
	slots := make([]byte, min(most, end-min(first, end))*format.ExceptionSize)
	for first < end {
		n := min(end, (first/p.slots()+1)*p.slots(), first+most) - first
		if err := raw.ReadWhere(p.image, slots[:n*format.ExceptionSize], p.geometry.SlotOffset(p.geometry.PlaceAt(first))); err != nil {
			return err
		}
		for i := range n {
			switch err := use(first+i, format.DecodeException(slots[i*format.ExceptionSize:])); {
			case errors.Is(err, errEnough):
				return nil
			case err != nil:
				return err
			}
		}
		if err := p.Visit(p.geometry.PlaceAt(first).Area); err != nil {
			return err
		}
		first += n
	}
	return nil
}

func (p *planner) at(position uint64) (format.Exception, error) {
	slots := make([]byte, format.ExceptionSize)
	err := raw.ReadWhere(p.image, slots, p.geometry.SlotOffset(p.geometry.PlaceAt(position)))
	return format.DecodeException(slots), err
}

func (p *planner) repairHidden(f *findings) (bool, error) {
	found := f.has(check.HiddenExceptions)
	if found == nil {
		return false, nil
	}
	end, err := p.listEnd(f)
	if err != nil {
		return false, err
	}
	h, err := look.Behind(p.image, p.geometry, end, nil)
	if err != nil {
		return false, err
	}
	why := "a torn commit left them, and the snapshot reads the same without them"
	switch {
	case p.Hidden == KeepHidden:
		err := p.closeGap(found, h)
		return !p.blocked, err
	case found.Meaning().Certain():
	case p.Hidden == DropHidden:
		why = "the snapshot then reads the origin's chunks there"
	default:
		if p.Drop {
			if cleared, err := p.onlyCopies(h); cleared || err != nil {
				return cleared, err
			}
		}
		p.ask(found, found.Message(), hiddenAdvice(h, p.Content != nil), "--hidden keep", "--hidden drop")
		p.blocked = true
		return false, nil
	}
	what := fmt.Sprintf("clear %d slots behind the end of the list: %s", h.Count, why)
	if h.Count == 1 {
		what = "clear a slot behind the end of the list: " + why
	}
	if found.Meaning().Certain() {
		p.repaired(check.HiddenExceptions, found.Where(), what)
	} else { // what stands in the areas behind is lost with them
		p.lostMore(check.HiddenExceptions, found.Where(), what, uint64(h.Count))
	}
	// What is left of an exception in the entry that ends the list goes with them, and before them: cut
	// off, it would be a finding of its own (check.OddTerminator).
	if first := p.geometry.Position(h.Place); h.Old != 0 {
		if err := p.clear(first, first+1, "the slot that ends the list"); err != nil {
			return false, err
		}
	}
	return true, p.clear(p.geometry.Position(h.Place), p.geometry.Position(format.Place{Area: h.Area, Index: h.Last})+1, "the entries behind the end of the list")
}

// closeGap brings back what hides behind the list's end. The slots in between become
// copies of an exception next to them: the list is whole then and in its order, and what
// stands in it twice is dropped like any other repeated exception.
func (p *planner) closeGap(found *check.Finding, h look.Hidden) error {
	first := p.geometry.Position(h.Place)
	c := closing{planner: p}
	var err error
	if first > 0 {
		if c.before, err = p.at(first - 1); err != nil {
			return err
		}
	}
	err = p.read(first, first+uint64(h.Last-h.Index)+1, c.take)
	if errors.Is(err, errNoCopy) || len(c.gaps) > 0 {
		if copies, err := p.onlyCopies(h); err != nil || copies {
			return err
		}
		why := "the exceptions on both sides of it must be dropped, too (--drop)"
		if len(c.gaps)+len(c.fills) > mostEdits {
			why = fmt.Sprintf("there are more than %d slots to fill", mostEdits)
		}
		p.ask(found, "the gap cannot be closed: "+why, hiddenAdvice(h, p.Content != nil), "--hidden drop", "--hidden keep --drop")
		p.blocked = true
		return nil
	}
	if err != nil {
		return err
	}
	var s Step
	for _, f := range c.fills {
		why := fmt.Sprintf("copy the exception next to it, %d -> %d, to %s", f.x.Old, f.x.New, where(p.geometry.PlaceAt(f.at)))
		if err := p.put(&s, f.at, f.x, why); err != nil {
			return err
		}
		p.ours[f.at] = true
	}
	p.then(s)
	p.lost(check.HiddenExceptions, where(h.Place), fmt.Sprintf("close the gap: the exceptions from slot %d on come back, those that were in the gap are lost", h.First), uint64(len(c.fills)))
	return nil
}

// onlyCopies clears what hides behind the list's end if a commit that was torn explains it
// and all of it stands in the list as well, or is to be dropped: so a repair that was cut off leaves
// it. It reports whether it did.
func (p *planner) onlyCopies(h look.Hidden) (bool, error) {
	if h.Why != "" || h.Count > mostEdits {
		return false, nil
	}
	why, dropped := "the list has them, too", uint64(0)
	wanted := map[format.Exception]bool{}
	first := p.geometry.Position(h.Place)
	end := first + uint64(h.Last-h.Index) + 1
	err := p.read(first, end, func(_ uint64, x format.Exception) error {
		switch {
		case x.New == 0:
		case p.Drop && !p.canBeServed(x):
			why, dropped = "the list has them, too, or they cannot be served", dropped+1
		default:
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
	if err != nil || len(wanted) > 0 {
		return false, err
	}
	if why = "clear the exceptions behind the end of the list: " + why; dropped > 0 {
		p.lost(check.HiddenExceptions, where(h.Place), why, dropped)
	} else {
		p.repaired(check.HiddenExceptions, where(h.Place), why)
	}
	return true, p.clear(first, end, "the entries behind the end of the list")
}

type closing struct {
	*planner
	before format.Exception // the gap; the zero value where the gap begins the list
	gaps   []uint64         // that are open
	fills  []fill
}

type fill struct {
	at uint64
	x  format.Exception
}

// errNoCopy says that there is no exception next to a gap that it could become a copy of.
var errNoCopy = errors.New("no repeated exception")

// take takes the next slot behind the list's end. A gap becomes a copy of the exception
// before it or behind it: nothing comes in between, whose order would change when the copy
// is dropped. Where neither can be served, both have to be dropped.
func (c *closing) take(at uint64, x format.Exception) error {
	if x.New == 0 {
		if c.gaps = append(c.gaps, at); len(c.gaps)+len(c.fills) > mostEdits {
			return errEnough
		}
		return nil
	}
	copied := x
	switch {
	case len(c.gaps) == 0:
	case c.canBeServed(c.before):
		copied = c.before
	case c.canBeServed(x):
		c.ours[at] = false
	case !c.Drop:
		return errNoCopy
	}
	for _, gap := range c.gaps {
		c.fills = append(c.fills, fill{gap, copied})
	}
	c.gaps, c.before = c.gaps[:0], x
	return nil
}

func (p *planner) canBeServed(x format.Exception) bool {
	return look.Plausible(p.geometry, p.chunks(), x) && (p.Origin == 0 || format.Bytes(x.Old) <= (p.Origin-1)/p.geometry.ChunkBytes())
}
