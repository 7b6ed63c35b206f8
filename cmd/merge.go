package cmd

import (
	"errors"
	"fmt"
	"time"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/merge"
)

type mergeCmd struct {
	merging       `embed:""`
	Memory        units.Size `default:"64M" placeholder:"SIZE" help:"Memory for exceptions and data, at least 1M; more makes larger batches. Default: ${default}."`
	Keep          bool       `help:"Copy, but keep the list: the snapshot stays, too."`
	Verify        bool       `help:"Read back what was written, past the cache, before clearing exceptions."`
	SkipIdentical bool       `help:"Do not write chunks that ORIGIN already holds."`
	Sparse        bool       `help:"Punch holes in ORIGIN (an image file) where the data is zero."`
	Rescue        bool       `help:"Merge what can be read, and leave the other chunks in the store."`
	Failed        path       `placeholder:"FILE" help:"Write a list of the chunks that could not be read, as CSV."`
}

// Validate tells wrong use that single flags do not show.
func (c *mergeCmd) Validate() error {
	switch {
	case format.Bytes(c.Memory) < merge.MinMemory:
		return fmt.Errorf("--memory must be at least %s", words.Size(merge.MinMemory))
	case c.Failed != "" && !c.Rescue:
		return errors.New("--failed needs --rescue")
	}
	return c.merging.check()
}

func (c *mergeCmd) Run(a *app) error {
	r := c.mergeRequest()
	r.Rescue, r.Keep, r.Sparse = c.Rescue, c.Keep, c.Sparse
	r.Memory, r.SkipIdentical, r.Verify = format.Bytes(c.Memory), c.SkipIdentical, c.Verify
	m, err := plan(a, c.writing, r, (*snapshot.Session).PlanMerge)
	if err != nil {
		return err
	}
	defer m.Close()
	t := c.text(a, m)
	t.Keeps = c.Keep
	failed := a.list(c.Failed, dump.FailedHead)
	if err := failed.Check(string(c.Undo), string(c.COW), m.Origin.Text); err != nil {
		return err
	}
	if m.IsEmpty() {
		a.say(m.COW.Text, show.NothingToMerge)
		return a.told(c.result, t.record(merge.Result{}), "")
	}
	if c.DryRun {
		return t.foretell()
	}
	if err := t.ask(); err != nil {
		return err
	}
	start := time.Now()
	result, err := m.Do()
	listed := t.listUnread(result, failed)
	if err != nil {
		a.fail(listed)
		return err
	}
	if len(result.Failed) > 0 || result.Beyond > 0 {
		a.status |= statusDamaged
	}
	a.say(m.Origin.Text, "%s", t.Merged(result, time.Since(start)))
	a.madeUndo(t.Undo)
	a.say(m.COW.Text, "%s", t.Next(result))
	if t.Undo != "" {
		a.say(m.COW.Text, "%s", t.Undone())
	}
	if listed != nil {
		return listed
	}
	return a.told(c.result, t.record(result), "")
}
