package cmd

import (
	"errors"
	"fmt"
	"time"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/units"
	"dmcow/internal/volume"
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
	t := &mergeText{app: a, flags: &c.merging, merge: m, keeps: c.Keep}
	failed := a.list(c.Failed, dump.FailedHead)
	if err := failed.Check(string(c.Undo), string(c.COW), m.Origin.Text); err != nil {
		return err
	}
	if m.IsEmpty() {
		a.say(m.COW.Text, emptyStore)
		return a.told(c.result, t.record(merge.Result{}), "")
	}
	what := fmt.Sprintf("%s in %s", words.Size(m.Bytes), words.Count(m.Chunks, "chunk"))
	if c.DryRun {
		return t.foretell(what)
	}
	if err := t.ask(what); err != nil {
		return err
	}
	start := time.Now()
	result, err := m.Do()
	listed := t.tellFailed(result, failed)
	if err != nil {
		a.fail(listed)
		return err
	}
	c.report(t, result, time.Since(start))
	if listed != nil {
		return listed
	}
	return a.told(c.result, t.record(result), "")
}

// report says what was done, how fast, and what comes next.
func (c *mergeCmd) report(t *mergeText, r merge.Result, took time.Duration) {
	rate := words.Size(int64(float64(r.Written+r.Shared) / max(took.Seconds(), 0.001)))
	text := fmt.Sprintf("merged %s: %s written in %.1f s (%s/s)", words.Count(r.Chunks, "chunk"), words.Size(r.Written), took.Seconds(), rate)
	for _, part := range []struct {
		n    uint64
		text string
	}{
		{uint64(r.Shared), words.Size(r.Shared) + " shared"},
		{uint64(r.Holes), words.Size(r.Holes) + " made holes"},
		{r.Identical, words.Count(r.Identical, "chunk") + " identical"},
	} {
		if part.n > 0 {
			text += ", " + part.text
		}
	}
	t.app.say(t.merge.Origin.Text, "%s", text)
	for _, next := range c.next(t, r) {
		t.app.say(t.merge.COW.Text, "%s", next)
	}
}

// next is what can be done now.
func (c *mergeCmd) next(t *mergeText, r merge.Result) (all []string) {
	cow := t.merge.COW
	switch {
	case len(r.Failed) > 0:
		t.app.status |= statusDamaged
		all = append(all, fmt.Sprintf("%s cannot be read and stay in the store: keep the snapshot", words.Count(len(r.Failed), "chunk")))
	case r.Beyond > 0:
		t.app.status |= statusDamaged
		all = append(all, fmt.Sprintf("left in the store: %s past the end of the snapshot; keep the snapshot until you know what they are", words.Count(r.Beyond, "exception")))
	case c.Keep:
		all = append(all, "the list is unchanged: the snapshot stays, and the origin now holds the same")
	case t.merge.IsUndo:
		all = append(all, "the undo log is empty now; you can remove it")
	case cow.Volume != nil && cow.Volume.Group != nil:
		all = append(all, removal(cow.Volume))
	default:
		all = append(all, "the store is empty now; you can remove the snapshot (LVM: lvremove VG/SNAPSHOT) and use the origin")
	}
	if c.Undo != "" {
		t.app.made(string(c.Undo), "an undo log", format.Bytes(undoOf(string(c.Undo)).Bytes))
		all = append(all, t.takingBack())
	}
	return all
}

// removal says what is left to do of a snapshot that was merged. By the names in an image, LVM
// would act on what this machine has of those names.
func removal(v *volume.Volume) string {
	where := ""
	if !v.OnBlocks() {
		where = " on the machine that uses these physical volumes"
	}
	return fmt.Sprintf("the store is empty now, but LVM still lists the snapshot: remove it with lvremove %s/%s%s, and use the origin", v.Group.Name, v.Logical.Name, where)
}
