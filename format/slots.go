package format

import "io"

// Slots hands out the slots of areas from first up to end, in order, whatever they hold:
// terminators are not looked for. Areas that do not lie wholly on the device are left out,
// and so is what cannot be read. A piece is valid until deliver returns; all of them are
// marked hidden. The error is what deliver returned, else the first [*AreaError].
func Slots(w Walk, first, end AreaIndex, deliver func(Piece) error) error {
	l := newLayout(w)
	end = min(end, AreaIndex(l.geometry.Areas(l.chunks)))
	buf := make([]byte, min(l.slots*ExceptionSize, batchBytes))
	var unread error
	for at := (Place{Area: first}); at.Area < end; {
		raw := buf[:min(len(buf), (l.slots-at.Index)*ExceptionSize)]
		if err := l.readSlots(w.Device, at, raw); err == nil {
			if err := deliver(Piece{Place: at, Hidden: true, Raw: raw}); err != nil {
				return err
			}
		} else if unread == nil {
			unread = err
		}
		if at.Index += len(raw) / ExceptionSize; at.Index == l.slots {
			at = Place{Area: at.Area + 1}
		}
	}
	return unread
}

// readSlots reads slots of an area from a place on.
func (l layout) readSlots(d io.ReaderAt, at Place, raw []byte) error {
	offset := l.geometry.SlotOffset(at)
	n, err := d.ReadAt(raw, int64(offset))
	if n == len(raw) {
		return nil
	}
	return &AreaError{Area: at.Area, Chunk: l.geometry.AreaLocation(at.Area), Offset: offset + Bytes(n), Behind: true, Err: readError(err)}
}
