package soak_test

import (
	"bytes"
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/merge"
	"dmcow/view"
)

// claims are what dmcow says of a sample.
type claims struct {
	report   check.Report
	status   string // of usage; empty where it has none
	room     uint64 // exceptions that can be added
	exported []byte // nil where not all of the snapshot is certain
	refusal  error  // why it is not
	// certain is what can be read of the snapshot though the store is damaged: the sectors of chunks
	// that are uncertain are bad. It is nil where nothing can.
	certain *content
}

// ask asks dmcow what it says of a sample. It asks the packages that know: what the commands have around
// them takes the lab ten times as long, and is held against these by the property commands.
func ask(cow, origin []byte) (c claims, err error) {
	d, content := devicetest.Of(cow), devicetest.Of(origin)
	if c.report, err = check.Make(check.Options{Device: d, Origin: format.Bytes(len(origin)), Content: content}); err != nil {
		return c, err
	}
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil {
		return c, err
	}
	survey, err := id.Examine(id.Walk(d), func(format.AreaIndex) error { return nil })
	if err != nil {
		return c, err
	}
	c.status, _ = survey.Status()
	if survey.Complete() {
		c.room = survey.Usage.Free()
	}
	v, err := view.Open(view.Options{COW: d, Origin: content})
	if err != nil {
		c.refusal = err
		return c, nil
	}
	defer v.Close()
	c.readCertain(v)
	if c.refusal = v.FirstUncertain(); c.refusal == nil {
		c.refusal = view.Stream(v, v.Size(), func(p []byte, _ int64) error {
			c.exported = append(c.exported, p...)
			return nil
		})
	}
	return c, nil
}

// readCertain reads a sector at a time, so that chunks are read in parts; export reads much at once.
func (c *claims) readCertain(v *view.View) {
	c.certain = &content{make([]byte, v.Size()), map[int]bool{}}
	for at := 0; at < len(c.certain.bytes); at += kernellab.SectorSize {
		if _, err := v.ReadAt(c.certain.bytes[at:][:kernellab.SectorSize], int64(at)); err != nil {
			c.certain.bad[at/kernellab.SectorSize] = true
		}
	}
}

// against says where two contents differ, in what can be read of both; and where wanted is, that it
// cannot be read. It is empty where they do not.
func (c content) against(o content) string {
	if len(c.bytes) != len(o.bytes) {
		return fmt.Sprintf("%d bytes, and %d", len(c.bytes), len(o.bytes))
	}
	for s := range len(c.bytes) / kernellab.SectorSize {
		a, b := c.bytes[s*kernellab.SectorSize:][:kernellab.SectorSize], o.bytes[s*kernellab.SectorSize:][:kernellab.SectorSize]
		if c.bad[s] {
			continue
		}
		if o.bad[s] {
			return fmt.Sprintf("sector %d cannot be read", s)
		}
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("sector %d: % x, and % x", s, a[:16], b[:16])
		}
	}
	return ""
}

// engine takes writes as the driver does: with one store open for as long as it can be.
type engine struct {
	cow, origin *devicetest.Memory
	to          view.WriteDevice
	chunk       uint64
	view        *view.View   // while writes go to the snapshot
	store       *store.Store // while they go to the origin
}

// written is what the engine makes of the writes that the driver took. lost: there was no room for one.
func written(cow, origin []byte, chunk uint64, writes []write) (after, originAfter []byte, lost bool, err error) {
	e := &engine{cow: devicetest.Of(cow), origin: devicetest.Of(origin), chunk: chunk}
	e.to = e.cow.Part(0, e.cow.Size())
	for _, w := range writes {
		data := kernellab.Pattern(w.first, min(w.count, uint64(len(origin)/kernellab.SectorSize)-w.first), writtenVersion)
		if w.toOrigin {
			err = errors.Join(e.close(), e.writeOrigin(int64(w.first)*kernellab.SectorSize, data))
		} else {
			err = e.writeSnapshot(int64(w.first)*kernellab.SectorSize, data)
		}
		if errors.Is(err, store.ErrNoRoom) {
			return nil, nil, true, nil
		}
		if err != nil {
			return nil, nil, false, err
		}
	}
	return e.cow.Image(), e.origin.Image(), false, e.close()
}

func (e *engine) writeSnapshot(offset int64, data []byte) (err error) {
	e.store = nil
	if e.view == nil {
		if e.view, err = view.Open(view.Options{COW: e.to, Origin: e.origin, To: e.to}); err != nil {
			return err
		}
	}
	if _, err := e.view.WriteAt(data, offset); err != nil {
		return err
	}
	return e.view.Sync()
}

func (e *engine) close() error {
	v := e.view
	if e.view = nil; v != nil {
		return v.Close()
	}
	return nil
}

// writeOrigin is what the driver does before it lets a write to the origin go.
func (e *engine) writeOrigin(offset int64, data []byte) (err error) {
	if e.store == nil {
		if e.store, err = store.Open(e.to, store.Options{Table: true}); err != nil {
			return err
		}
	}
	bytes := int64(e.chunk) * kernellab.SectorSize
	old := format.OldChunk(offset / bytes)
	if _, listed := e.store.Lookup(old); !listed {
		p, err := e.store.PrepareException(old)
		if err != nil {
			return err
		}
		there := make([]byte, min(bytes, e.origin.Size()-int64(old)*bytes))
		e.origin.Peek(there, int64(old)*bytes)
		if _, err := e.to.WriteAt(there, int64(e.store.Geometry().Offset(p.New))); err != nil {
			return err
		}
		e.store.CommitException(p, true, func(failed error) { err = failed })
		if err != nil {
			return err
		}
	}
	e.origin.Put(offset, data)
	return nil
}

// stepped is what merge-step makes of a sample in so many steps that so many exceptions are left; with
// left 0 it is what merge makes of it where all is true.
func (c claims) stepped(cow, origin []byte, left uint64, all bool) (cowAfter, originAfter []byte, err error) {
	if x := c.report.Against(func(m check.Meaning) bool { return m.Merging == check.AnyMerge }); x != nil {
		return nil, nil, fmt.Errorf("refused: %s", x.Name)
	}
	d, o := devicetest.Of(cow), devicetest.Of(origin)
	m, err := merge.Open(d.Part(0, d.Size()), o.Part(0, o.Size()), merge.Opening{HiddenVoid: c.report.HiddenVoid()})
	if err != nil {
		return nil, nil, err
	}
	if all {
		_, err = m.Run(merge.Options{Memory: merge.MinMemory})
		return d.Image(), o.Image(), err
	}
	now := c.report.Exceptions
	for err == nil && now > left {
		before := now
		_, err = m.Steps(merge.Options{Memory: merge.MinMemory}, 1, func(run store.Run) error {
			now -= uint64(run.Count)
			return nil
		})
		if now == before {
			break
		}
	}
	if err == nil && now != left {
		err = fmt.Errorf("no number of steps leaves %d exceptions", left)
	}
	return d.Image(), o.Image(), err
}
