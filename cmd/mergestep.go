package cmd

import (
	"errors"
	"fmt"

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
	a.tell()
	t := &mergeText{app: a, flags: &c.merging, merge: m}
	switch {
	case m.IsEmpty():
		a.say(m.COW.Text, emptyStore)
		return nil
	case c.DryRun:
		return m.Preview(t.print("would merge"))
	}
	if err := t.ask(fmt.Sprintf("up to %s of %s in %s", words.Count(uint64(c.Steps), "run"), words.Size(m.Bytes), words.Count(m.Chunks, "chunk"))); err != nil {
		return err
	}
	if err := m.Step(t.print("merged")); err != nil {
		return err
	}
	if c.Undo != "" {
		a.say(m.COW.Text, "%s", t.takingBack())
	}
	return nil
}

// print writes which run was merged, or would be, and which bytes of the origin it replaces.
func (t *mergeText) print(verb string) func(store.Run) error {
	chunk := t.merge.COW.Identity.Geometry.ChunkBytes()
	return func(r store.Run) error {
		start := format.Bytes(r.Old) * chunk
		end := min(start+format.Bytes(r.Count)*chunk, t.merge.Size())
		return t.app.print("%s %s: old chunk %d, new chunk %d; %d bytes of the origin from byte %d on\n",
			verb, words.Count(r.Count, "chunk"), r.Old, r.New, end-start, start)
	}
}
