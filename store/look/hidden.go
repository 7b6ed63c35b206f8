package look

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
)

// Hidden is what stands behind the terminator in its area. The kernel has it in memory with the rest of the
// area, and writes it back with each commit: it comes alive when the gap before it fills.
type Hidden struct {
	format.Place                 // of the terminator
	Old          format.OldChunk // of the terminator; the kernel writes 0
	// Count is the number of entries behind it that have a new chunk, 0 where
	// there are none, and First and Last are the indices of the outer ones.
	Count, First, Last int
	Blank              bool // nothing but zeros stands from the terminator on
	// Why says why no torn commit explains what stands there; it is empty where
	// one does.
	Why string
}

// Behind reads what stands behind the terminator of a list that ended in
// end, to the end of its area, and in the next area where that tells something.
// It holds a piece of the area in memory, not all. It calls each, where that is not nil,
// with each entry that has a new chunk, and stops with the error that it returns; any other
// error is a [*format.AreaError].
func Behind(d Device, g format.Geometry, end format.End, each func(format.Place, format.Exception) error) (Hidden, error) {
	l := behind{Hidden: Hidden{Place: end.Place, Blank: true}, each: each}
	slots := g.ExceptionsPerArea()
	buf := make([]byte, min((slots-end.Index)*format.ExceptionSize, behindPiece))
	for i := end.Index; i < slots; i += len(buf) / format.ExceptionSize {
		buf = buf[:min(len(buf), (slots-i)*format.ExceptionSize)]
		at := format.Place{Area: end.Area, Index: i}
		if err := raw.ReadFull(d, buf, g.SlotOffset(at)); err != nil {
			return l.Hidden, g.Unreadable(at, end.Exceptions, err)
		}
		if err := l.add(i, buf); err != nil {
			return l.Hidden, err
		}
	}
	if l.Count > 0 && l.Why == "" {
		l.Why = unexplainedNext(d, g, l.Hidden)
	}
	return l.Hidden, nil
}

// behind goes through the slots from the terminator on.
//
// A commit writes an area whose list ends a little further on. Its sectors are durable or not, each for
// itself: those that are not have zeros from where the list ended before. So what a torn commit leaves behind
// the terminator's sector is sectors of zeros and sectors full of exceptions, the last of which may end
// before its end. The same goes for a merge, whose commit clears the list's end.
type behind struct {
	Hidden
	each func(format.Place, format.Exception) error
	gap  bool // a slot without an exception came before, in the sector that has the last exception
}

// behindPiece is how much of an area is in memory at a time, in bytes: a chunk may be a gigabyte.
const behindPiece = 1 << 20

const slotsPerSector = format.SectorSize / format.ExceptionSize

// add adds the slots of the area from index on, the first time with the
// terminator.
func (l *behind) add(index int, raw []byte) error {
	for ; len(raw) > 0; raw = raw[format.ExceptionSize:] {
		x := format.DecodeException(raw)
		l.Blank = l.Blank && x == format.Exception{}
		switch {
		case index == l.Index:
			l.Old = x.Old
		case x.New != 0:
			if err := l.exception(index, x); err != nil {
				return err
			}
		case l.Count > 0 && index/slotsPerSector == l.Last/slotsPerSector:
			l.gap = true
		}
		if x.New == 0 && x.Old != 0 {
			l.because("slot %d has an old chunk but no new chunk", index)
		}
		index++
	}
	return nil
}

func (l *behind) exception(index int, x format.Exception) error {
	switch {
	case index/slotsPerSector == l.Index/slotsPerSector:
		l.because("slot %d is in the sector where the list ends", index)
	case l.gap, (l.Count == 0 || index != l.Last+1) && index%slotsPerSector != 0:
		l.because("the gap before slot %d does not end at a sector", index)
	}
	if l.Count == 0 {
		l.First = index
	}
	l.Count, l.Last = l.Count+1, index
	if l.each == nil {
		return nil
	}
	return l.each(format.Place{Area: l.Area, Index: index}, x)
}

// because notes the first reason why no torn commit explains what is there.
func (l *behind) because(why string, index int) {
	if l.Why == "" {
		l.Why = fmt.Sprintf(why, index)
	}
}

// unexplainedNext is why the area behind shows that no torn commit left these exceptions; it is empty where
// it does not. The commit that fills an area has the next one cleared durably before.
func unexplainedNext(d Device, g format.Geometry, h Hidden) string {
	if h.Last < g.ExceptionsPerArea()-1 {
		return ""
	}
	next := g.AreaLocation(h.Area + 1)
	if uint64(next) >= g.Chunks(format.Bytes(d.Size())) {
		return "the area is full, and the next one is past the end of the device"
	}
	switch blank, err := blank(d, g.Offset(next), g.ChunkBytes()); {
	case err != nil:
		return fmt.Sprintf("the area is full, and the next one cannot be read: %v", err)
	case !blank:
		return "the area is full, and the next one is not blank"
	}
	return ""
}
