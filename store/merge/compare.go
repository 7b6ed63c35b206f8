package merge

import (
	"bytes"

	"dmcow/format"
)

func (c *copier) readOrigin(w *window, from Reader) error {
	bufs, offsets := w.vectors(w.other, c.target)
	failed, err := from.ReadMany(bufs, offsets)
	if err == nil {
		return nil
	}
	offset := format.Bytes(offsets[failed])
	old := format.OldChunk(offset / c.geometry.ChunkBytes())
	return &TransferError{Origin: true, Exception: format.Exception{Old: old}, Offset: offset, Err: err}
}

// dropIdentical has what the origin holds already not be written.
func (c *copier) dropIdentical(w *window) error {
	if !c.SkipIdentical {
		return nil
	}
	if err := c.readOrigin(w, c.origin); err != nil {
		return err
	}
	for i := range w.all {
		p := &w.all[i]
		c.differs = c.differs && p.skip > 0
		if p.state == wanted && bytes.Equal(p.of(w.data), p.of(w.other)) {
			p.state = identical
		} else {
			c.differs = true
		}
		if !c.differs && p.skip+p.length == c.lengthOf(p.Exception) {
			c.result.Identical++
		}
	}
	return nil
}

func (c *copier) verify(b *batch, past Reader) error {
	return c.each(b.all, c.readAgain, func(w *window) error {
		if err := c.readOrigin(w, past); err != nil {
			return err
		}
		for _, p := range w.all {
			want, got := p.of(w.data), p.of(w.other)
			if bytes.Equal(want, got) {
				continue
			}
			at := 0
			for want[at] == got[at] {
				at++
			}
			return &DifferenceError{Old: p.Old, Offset: c.target(p) + format.Bytes(at)}
		}
		return nil
	})
}

// readAgain reads a window for the comparison: all of it.
func (c *copier) readAgain(w *window) error {
	if c.readMany(w) == nil {
		return nil
	}
	return c.readSingly(w, false)
}
