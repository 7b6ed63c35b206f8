package undo

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
)

// Capture keeps what the device holds where the changes will be written, each chunk once. When it returns
// nil, that is durable, and the changes may be written; otherwise they must not. They are to be in the
// device's order, without overlaps. What was written before in their place must be durable.
//
// After an error the log does nothing more; opened again, it goes on from what
// is durable.
func (u *Log) Capture(changes ...Change) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil {
		u.failed = u.capture(changes)
	}
	return u.failed
}

func (u *Log) capture(changes []Change) error {
	all, err := u.split(changes)
	if err != nil {
		return err
	}
	again := map[format.OldChunk][]Change{}
	var fresh []captive
	for _, c := range all {
		if u.captured.Has(uint64(c.old)) {
			again[c.old] = c.changes
		} else {
			fresh = append(fresh, c)
		}
	}
	if err := u.amend(again); err != nil {
		return err
	}
	for len(fresh) > 0 {
		n := min(len(fresh), u.geometry.ExceptionsPerArea()-u.log.End().Index)
		if err := u.add(fresh[:n]); err != nil {
			return err
		}
		fresh = fresh[n:]
	}
	return nil
}

// captive is a chunk that is to be captured, and what will be written to it.
type captive struct {
	old     format.OldChunk
	changes []Change // cut to the chunk
}

func (u *Log) split(changes []Change) (all []captive, err error) {
	chunk, end := u.geometry.ChunkBytes(), format.Bytes(0)
	for _, c := range changes {
		length := format.Bytes(len(c.Data))
		if c.Offset < end || c.Offset%format.SectorSize != 0 || length%format.SectorSize != 0 || c.Offset+length > u.size {
			return nil, fmt.Errorf("a change of %d bytes at byte %d: not whole sectors in order on a device of %d bytes",
				length, c.Offset, u.size)
		}
		end = c.Offset + length
		for len(c.Data) > 0 {
			old := format.OldChunk(c.Offset / chunk)
			n := min(chunk-c.Offset%chunk, format.Bytes(len(c.Data)))
			part := Change{c.Offset, c.Data[:n]}
			if last := len(all) - 1; last >= 0 && all[last].old == old {
				all[last].changes = append(all[last].changes, part)
			} else {
				all = append(all, captive{old, []Change{part}})
			}
			c = Change{c.Offset + n, c.Data[n:]}
		}
	}
	return all, nil
}

// add captures chunks that fit the current area, with one write of it.
//
// Data and label come first; the engine flushes them before it writes the area.
func (u *Log) add(fresh []captive) error {
	if u.label == nil {
		if err := u.begin(); err != nil {
			return err
		}
	}
	first := u.log.End().Index
	if err := u.reach(uint64(len(fresh))); err != nil {
		return err
	}
	pending, err := u.copyAll(fresh, first)
	if err == nil && first+len(fresh) == u.geometry.ExceptionsPerArea() {
		err = u.clearNext(pending[len(pending)-1].New)
	}
	u.label.setCount(first)
	if err == nil && !u.label.inHead(first) {
		err = u.label.writeHead(u.device)
	}
	if err == nil {
		err = u.label.writeSums(u.device, first, first+len(fresh))
	}
	copied := err == nil
	for _, p := range pending {
		u.log.CommitException(p, copied, func(failed error) {
			if err == nil {
				err = failed
			}
		})
	}
	if err != nil {
		return err
	}
	for _, c := range fresh {
		u.captured.Add(uint64(c.old))
	}
	if u.log.End().Index > 0 {
		return nil
	}
	u.label.setCount(u.geometry.ExceptionsPerArea())
	err = u.label.writeHead(u.device)
	u.label = nil // the area is full, and the next wants one of its own
	return err
}

// clearNext clears what an earlier log on the device has left where the label of the next area will
// begin, behind the last data chunk of this one: it would speak for exceptions that were lost.
func (u *Log) clearNext(last format.NewChunk) error {
	next := u.geometry.SkipMetadata(last + 1)
	_, err := readLabelHead(u.device, u.geometry, next)
	if errors.Is(err, ErrNoLog) {
		return nil
	}
	at := u.geometry.Offset(next)
	if err == nil {
		_, err = u.device.WriteAt(make([]byte, u.geometry.ChunkBytes()), int64(at))
	}
	if err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", at, err)
	}
	return nil
}

// copyAll prepares the exceptions of chunks that go to the current area, from
// its exception first on, and copies the chunks. It returns what it prepared.
func (u *Log) copyAll(fresh []captive, first int) (pending []store.Pending, err error) {
	for i, c := range fresh {
		p, err := u.log.PrepareException(c.old)
		if err != nil {
			return pending, err
		}
		pending = append(pending, p)
		if err := u.copy(p, c, first+i); err != nil {
			return pending, err
		}
	}
	return pending, nil
}

// copy copies a chunk from the device to the log, and notes what will be
// written in its place. It is exception i of its area.
func (u *Log) copy(p store.Pending, c captive, i int) error {
	data := make([]byte, u.geometry.ChunkBytes())
	at := format.Bytes(c.old) * u.geometry.ChunkBytes()
	length := min(u.geometry.ChunkBytes(), u.size-at)
	if err := raw.ReadFull(u.origin, data[:length], at); err != nil {
		return fmt.Errorf("byte %d of the device: %w", at, err)
	}
	if _, err := u.device.WriteAt(data, int64(u.geometry.Offset(p.New))); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", u.geometry.Offset(p.New), err)
	}
	for _, change := range c.changes {
		copy(data[change.Offset-at:], change.Data)
	}
	u.label.set(i, data)
	return nil
}

// amend notes what will be written to chunks that were captured before, where that is something new: their
// labels are durable when it returns. What is written again was mostly captured not long ago, so it looks for
// the chunks from the list's end backwards, and no table of them has to be kept.
func (u *Log) amend(again map[format.OldChunk][]Change) error {
	if len(again) == 0 {
		return nil
	}
	changed := false
	end := u.log.End()
	area := make([]byte, u.geometry.ChunkBytes())
	for k, n := end.Area, end.Index; len(again) > 0; k, n = k-1, u.geometry.ExceptionsPerArea() {
		at := u.geometry.Offset(u.geometry.AreaLocation(k))
		if err := raw.ReadFull(u.device, area, at); err != nil {
			return fmt.Errorf("byte %d of the undo log: %w", at, err)
		}
		new, err := u.amendArea(k, area[:n*format.ExceptionSize], again)
		if err != nil {
			return err
		}
		changed = changed || new
		if k == 0 {
			break
		}
	}
	if !changed {
		return nil
	}
	return u.device.Sync()
}

// amendArea is amend for area k, which holds the exceptions in raw. It takes out of
// again what it finds, and reports whether a label was written.
func (u *Log) amendArea(k format.AreaIndex, raw []byte, again map[format.OldChunk][]Change) (changed bool, err error) {
	l := u.label
	if k != u.log.End().Area {
		l = nil
	}
	for i := 0; i*format.ExceptionSize < len(raw); i++ {
		old := format.DecodeException(raw[i*format.ExceptionSize:]).Old
		changes, wanted := again[old]
		if !wanted {
			continue
		}
		delete(again, old)
		if l == nil {
			if l, err = readLabel(u.device, u.geometry, format.DecodeException(raw).New); err != nil {
				return false, err
			}
		}
		new, err := l.amend(i, old, changes, u.origin)
		if err == nil && new {
			changed = true
			err = l.writeSums(u.device, i, i+1)
		}
		if err != nil {
			return false, err
		}
	}
	return changed, nil
}
