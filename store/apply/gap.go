package apply

import (
	"dmcow/format"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/store/undo"
)

// gapBytes is how much of what a full delta does not name is read at a time, in bytes.
const gapBytes = 1 << 20

// clearBetween sees to what a full delta does not name up to the end of a window.
func (a *applier) clearBetween(w *window) error {
	at := a.result.Upto
	for i := range w.Pieces {
		p := &w.Pieces[i]
		if err := a.clearFrom(at, p.Offset); err != nil {
			return err
		}
		at = p.end()
	}
	return nil
}

// clear does so from the last window up to end.
func (a *applier) clear(end format.Bytes) error {
	if err := a.clearFrom(a.result.Upto, end); err != nil {
		return err
	}
	a.result.Upto = end
	return nil
}

// clearFrom wants a stretch of the target to be zero, where that is so in the delta, or with Force makes it zero.
func (a *applier) clearFrom(at, end format.Bytes) error {
	if !a.Full {
		return nil
	}
	for at < end {
		start, stop := at, end
		if a.NextData != nil {
			s, e, err := a.NextData(int64(at))
			if err != nil {
				return &TransferError{Offset: at, Err: err}
			}
			start, stop = max(at, format.Bytes(s)), min(end, format.Bytes(e))
		}
		if start >= end {
			return nil
		}
		if err := a.clearData(start, stop); err != nil {
			return err
		}
		at = stop
	}
	return nil
}

// clearData is clearFrom for what is not a hole.
func (a *applier) clearData(at, end format.Bytes) error {
	buf := memory.Aligned(int(min(gapBytes, end-at)))
	for at < end {
		b := buf[:min(format.Bytes(len(buf)), end-at)]
		if err := raw.ReadFull(a.reader, b, at); err != nil {
			return &TransferError{Offset: at, Err: err}
		}
		for len(b) > 0 {
			n, zero := raw.Stretch(b)
			if !zero {
				if err := a.clearStretch(at, b[:n]); err != nil {
					return err
				}
			}
			b, at = b[n:], at+format.Bytes(n)
		}
		if a.Pause != nil {
			if err := a.Pause(); err != nil {
				return err
			}
		}
	}
	return nil
}

// clearStretch makes zero what is not, or refuses that. It uses p.
func (a *applier) clearStretch(at format.Bytes, p []byte) error {
	if !a.Force {
		for i, b := range p {
			if b != 0 {
				return &ForeignError{Offset: at + format.Bytes(i), Length: 1, Gap: true}
			}
		}
	}
	clear(p)
	if a.target != nil {
		if err := a.keep([]undo.Change{{Offset: at, Data: p}}); err != nil {
			return err
		}
		if _, err := a.target.WriteMany([][]byte{p}, []int64{int64(at)}); err != nil {
			a.result.Cleared++
			return &TransferError{Write: true, Offset: at, Err: err}
		}
	}
	a.result.Cleared += format.Bytes(len(p))
	return nil
}
