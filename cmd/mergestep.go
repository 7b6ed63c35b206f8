package cmd

import (
	"errors"
	"fmt"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store"
)

type mergeStepCmd struct {
	merging `embed:""`
	Steps   units.Number `default:"1" placeholder:"N" help:"How many steps. Default: ${default}."`
}

// Validate tells wrong use that single flags do not show.
func (c *mergeStepCmd) Validate() error {
	if c.Steps == 0 {
		return errors.New("--steps must be at least 1")
	}
	return c.merging.check()
}

func (c *mergeStepCmd) Run(a *app) error {
	r := c.mergeRequest()
	r.Steps = uint64(c.Steps)
	m, err := plan(a, c.writing, r, (*snapshot.Session).PlanMerge)
	if err != nil {
		return err
	}
	defer m.Close()
	t := &mergeText{app: a, flags: &c.merging, merge: m}
	s := &steps{mergeText: t, verb: "merged", record: dump.Stepped{Device: m.COW.Text, Origin: m.Origin.Text, DryRun: c.DryRun, Steps: []dump.SteppedRun{}}}
	switch {
	case m.IsEmpty():
		a.say(m.COW.Text, emptyStore)
		return a.told(c.result, s.record, "")
	case c.DryRun:
		s.verb = "would merge"
		return errors.Join(m.Preview(s.told), a.told(c.result, s.record, ""))
	}
	if err := t.ask(fmt.Sprintf("up to %s of %s in %s", words.Count(uint64(c.Steps), "run"), words.Size(m.Bytes), words.Count(m.Chunks, "chunk"))); err != nil {
		return err
	}
	if err := m.Step(s.told); err != nil {
		return errors.Join(err, a.told(c.result, s.record, "")) // the steps before it were taken
	}
	if c.Undo != "" {
		undo := undoOf(string(c.Undo))
		a.made(undo.Name, "an undo log", format.Bytes(undo.Bytes))
		a.say(m.COW.Text, "%s", t.takingBack())
		s.record.Kept = undo.Record()
	}
	return a.told(c.result, s.record, "")
}

// steps are the steps of a merge, in words and as programs are told them.
type steps struct {
	*mergeText
	verb   string
	record dump.Stepped
}

// told tells which run was merged, or would be, and which bytes of the origin it replaces.
func (s *steps) told(r store.Run) error {
	chunk := s.merge.COW.Identity.Geometry.ChunkBytes()
	start := format.Bytes(r.Old) * chunk
	length := min(start+format.Bytes(r.Count)*chunk, s.merge.Size()) - start
	if s.flags.isJSON() {
		s.record.Steps = append(s.record.Steps, dump.SteppedRun{
			OldChunk: uint64(r.Old), NewChunk: uint64(r.New), Chunks: uint64(r.Count), Offset: uint64(start), Length: uint64(length),
		})
		return nil
	}
	return s.app.print("%s %s: old chunk %d, new chunk %d; %d bytes of the origin from byte %d on\n",
		s.verb, words.Count(r.Count, "chunk"), r.Old, r.New, length, start)
}
