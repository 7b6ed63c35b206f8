package format

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
		offset := l.geometry.SlotOffset(at)
		if n, err := w.Device.ReadAt(raw, int64(offset)); n == len(raw) {
			if err := deliver(Piece{Place: at, Hidden: true, Raw: raw}); err != nil {
				return err
			}
		} else if unread == nil {
			failed := l.geometry.Unreadable(at, 0, readError(err))
			failed.Offset, failed.Behind = offset+Bytes(n), true
			unread = failed
		}
		if at.Index += len(raw) / ExceptionSize; at.Index == l.slots {
			at = Place{Area: at.Area + 1}
		}
	}
	return unread
}
