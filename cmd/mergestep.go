package cmd

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/store"
	"dmcow/store/merge"
)

type mergeStepCmd struct {
	merging `embed:""`
	Steps   number `default:"1" placeholder:"N" help:"How many steps. Default: ${default}."`
}

func (mergeStepCmd) Help() string {
	return `
Takes one step of a merge exactly as the kernel takes it: the last run of exceptions
that are consecutive, within the last area, is copied to the origin, that is flushed,
and they are cleared with one durable write. The kernel, or merge, can go on from there.

  dmcow merge-step snap.cow --into origin.img
  dmcow merge-step snap.cow --into origin.img --steps 10 --dry-run
`
}

// Validate tells wrong use that single flags do not show.
func (c *mergeStepCmd) Validate() error {
	if c.Steps == 0 {
		return errors.New("--steps 0: expected at least 1")
	}
	return nil
}

func (c *mergeStepCmd) Run(a *app) error {
	j, err := a.openMerge(c.merging, manner{steps: uint64(c.Steps)})
	if err != nil {
		return err
	}
	defer j.close()
	if j.nothing() {
		return nil
	}
	if c.DryRun {
		j.mentionStore()
		return j.wrapped(j.plan.Preview(uint64(c.Steps), c.print(j)))
	}
	j.announce(fmt.Sprintf("up to %s of %s in %s", count(uint64(c.Steps), "run"), binarySize(j.plan.Bytes), count(j.plan.Chunks, "chunk")))
	if err := j.confirm(); err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	return j.undoing.end(c.merge(j))
}

// merge takes the steps.
func (c *mergeStepCmd) merge(j *job) error {
	print, steps := c.print(j), uint64(0)
	_, err := j.merge.Steps(merge.Options{Memory: merge.MinMemory, Undo: j.undoing.undo}, uint64(c.Steps), func(r store.Run) error {
		steps++
		if err := print(r); err != nil {
			return err
		}
		if j.ctx.Err() != nil && steps < uint64(c.Steps) {
			return errInterrupted
		}
		return nil
	})
	if err == nil && j.undoing.undo != nil {
		j.say(j.path, "%s", j.takingBack())
	}
	return j.wrapped(err)
}

// wrapped makes a failure of the error with which steps ended.
func (j *job) wrapped(err error) error {
	if err == nil || errors.As(err, new(*outputError)) {
		return err
	}
	return j.failed(err)
}

// print writes which run was merged, or would be, and which bytes of the origin it
// replaces.
func (c *mergeStepCmd) print(j *job) func(store.Run) error {
	verb := "merged"
	if c.DryRun {
		verb = "would merge"
	}
	chunk := j.id.Geometry.ChunkBytes()
	return func(r store.Run) error {
		start := format.Bytes(r.Old) * chunk
		end := min(start+format.Bytes(r.Count)*chunk, j.originSize())
		_, err := fmt.Fprintf(j.stdout, "%s %s: old chunk %d, new chunk %d; %d bytes of the origin from byte %d on\n",
			verb, count(uint64(r.Count), "chunk"), r.Old, r.New, end-start, start)
		return err
	}
}
