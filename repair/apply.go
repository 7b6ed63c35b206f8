package repair

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// Apply applies a plan to the device that it was made for, or to a copy of it. First it
// wants all that is changed to be what it was when the plan was made. capture, where it
// is not nil, is called before each write with what is going to be written: when it
// returns nil, what stands there is kept. visit, where it is not nil, is called between
// the steps, and ends the work with the error that it returns.
//
// The error is a [*MovedError], one of reading, writing or syncing, or one of capture or
// visit. What was written then is what a power cut could have left: the repair can be
// run again.
func (p *Plan) Apply(d store.WriteDevice, capture func(...undo.Change) error, visit func() error) error {
	if len(p.Steps) == 0 {
		return nil
	}
	if err := p.checkUnmoved(d); err != nil {
		return err
	}
	a := applying{device: d, geometry: p.geometry, capture: capture, block: format.Bytes(max(d.LogicalBlockSize(), format.SectorSize))}
	for _, s := range p.Steps {
		if visit != nil {
			if err := visit(); err != nil {
				return err
			}
		}
		if err := a.step(s); err != nil {
			return err
		}
	}
	return nil
}

// checkUnmoved wants a device to hold what it held when the plan was made, where that
// matters.
func (p *Plan) checkUnmoved(d store.WriteDevice) error {
	// What a repair that was killed has left in a page cache is on the disk before
	// something is built on it.
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync the device: %w", err)
	}
	if err := p.image.checkSame(d); err != nil {
		return err
	}
	for _, s := range p.Steps {
		for _, c := range s.Copies {
			if err := p.checkChunk(d, c.From, c.from); err != nil {
				return err
			}
			if err := p.checkChunk(d, c.To, c.to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Plan) checkChunk(d look.Device, c format.NewChunk, was [sha256.Size]byte) error {
	is, err := digest(d, p.geometry, c)
	if err == nil && is != was {
		err = &MovedError{p.geometry.Offset(c)}
	}
	return err
}

type applying struct {
	device   store.WriteDevice
	geometry format.Geometry
	block    format.Bytes // the least that is written
	capture  func(...undo.Change) error
}

func (a *applying) step(s Step) error {
	for _, c := range s.Copies {
		err := eachPart(a.device, a.geometry, c.From, func(part []byte, at format.Bytes) error {
			return a.write(undo.Change{Offset: a.geometry.Offset(c.To) + at, Data: part})
		})
		if err != nil {
			return err
		}
	}
	if len(s.Copies) > 0 {
		if err := a.sync(); err != nil {
			return err
		}
	}
	changes, err := a.blocks(s.Edits)
	if err != nil {
		return err
	}
	if err := a.write(changes...); err != nil {
		return err
	}
	return a.sync()
}

// blocks are the blocks of the device that edits change, as they will be, in order.
func (a *applying) blocks(edits []Edit) (all []undo.Change, err error) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(x, y Edit) int { return cmp.Compare(x.Offset, y.Offset) })
	for _, e := range edits {
		start := e.Offset / a.block * a.block
		end := (e.Offset + format.Bytes(len(e.New)) + a.block - 1) / a.block * a.block
		var last *undo.Change
		if n := len(all); n > 0 {
			last = &all[n-1]
			start = max(start, last.Offset+format.Bytes(len(last.Data)))
		}
		if start < end {
			data := make([]byte, end-start)
			if err := raw.ReadWhere(a.device, data, start); err != nil {
				return nil, err
			}
			if last != nil && last.Offset+format.Bytes(len(last.Data)) == start && len(last.Data) < partSize {
				last.Data = append(last.Data, data...)
			} else {
				all = append(all, undo.Change{Offset: start, Data: data})
			}
		}
		if err := patch(all, e); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// patch makes an edit in changes whose end covers it.
func patch(all []undo.Change, e Edit) error {
	for i := len(all) - 1; i >= 0 && all[i].Offset+format.Bytes(len(all[i].Data)) > e.Offset; i-- {
		c := all[i]
		from, to := max(e.Offset, c.Offset), min(e.Offset+format.Bytes(len(e.New)), c.Offset+format.Bytes(len(c.Data)))
		part := c.Data[from-c.Offset : to-c.Offset]
		if !bytes.Equal(part, e.Old[from-e.Offset:to-e.Offset]) {
			return &MovedError{from}
		}
		copy(part, e.New[from-e.Offset:])
	}
	return nil
}

// write has what stands there kept, and writes changes.
func (a *applying) write(changes ...undo.Change) error {
	if a.capture != nil {
		if err := a.capture(changes...); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if _, err := a.device.WriteAt(c.Data, int64(c.Offset)); err != nil {
			return fmt.Errorf("cannot write byte %d: %w", c.Offset, err)
		}
	}
	return nil
}

func (a *applying) sync() error {
	if err := a.device.Sync(); err != nil {
		return fmt.Errorf("cannot sync what was written: %w", err)
	}
	return nil
}
