package cmd

import (
	"errors"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/snapshot"
	"dmcow/store"
)

type mergeStepCmd struct {
	COW     path `arg:"" help:"COW device, an image of it, VG/LV (an LVM snapshot), or an undo log."`
	merging `embed:""`
	Steps   units.Number `default:"1" placeholder:"N" help:"How many steps. Default: ${default}."`
}

// Validate tells wrong use that single flags do not show.
func (c *mergeStepCmd) Validate() error {
	if c.Steps == 0 {
		return errors.New("--steps must be at least 1")
	}
	return c.merging.check(c.COW)
}

func (c *mergeStepCmd) Run(a *app) error {
	r := c.mergeRequest(c.COW)
	r.Steps = uint64(c.Steps)
	m, err := plan(a, c.writing, r, (*snapshot.Session).PlanMerge)
	if err != nil {
		return err
	}
	defer m.Close()
	t := c.text(a, m)
	t.Steps = r.Steps
	s := &steps{mergeText: t, record: dump.Stepped{Device: m.COW.Text, Origin: m.Origin.Text, DryRun: c.DryRun, Steps: []dump.SteppedRun{}}}
	switch {
	case m.IsEmpty():
		a.say(m.COW.Text, "%s", t.Nothing())
		return a.told(c.result, s.record, "")
	case c.DryRun:
		return errors.Join(m.Preview(s.told), a.told(c.result, s.record, ""))
	}
	if err := t.ask(); err != nil {
		return err
	}
	if err := m.Step(s.told); err != nil {
		return errors.Join(err, a.told(c.result, s.record, "")) // the steps before it were taken
	}
	if t.Undo != "" {
		a.madeUndo(t.Undo)
		a.say(m.COW.Text, "%s", t.Undone())
		s.record.Kept = undoOf(t.Undo).Record()
	}
	return a.told(c.result, s.record, "")
}

// steps are the steps of a merge, in words and as programs are told them.
type steps struct {
	*mergeText
	record dump.Stepped
}

// told tells which run was merged, or would be, and which bytes of the origin it replaces.
func (s *steps) told(r store.Run) error {
	chunk := s.COW.Identity.Geometry.ChunkBytes()
	start := format.Bytes(r.Old) * chunk
	length := min(start+format.Bytes(r.Count)*chunk, s.Size()) - start
	step := dump.SteppedRun{OldChunk: uint64(r.Old), NewChunk: uint64(r.New), Chunks: uint64(r.Count), Offset: uint64(start), Length: uint64(length)}
	if s.flags.isJSON() {
		s.record.Steps = append(s.record.Steps, step)
		return nil
	}
	return show.Step(s.app.text(), step, s.flags.DryRun)
}
