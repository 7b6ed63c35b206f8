package cmd

import (
	"errors"
	"fmt"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store/merge"
)

type mergeCmd struct {
	merging       `embed:""`
	Memory        size `default:"64M" placeholder:"SIZE" help:"Memory for exceptions and data, at least 1M: more makes larger batches. Default: ${default}."`
	Keep          bool `help:"Copy and compare, and leave the list as it is: the snapshot stays."`
	Verify        bool `help:"Read back what was written, past the cache, before exceptions are cleared."`
	SkipIdentical bool `help:"Do not write chunks that ORIGIN holds already."`
	Sparse        bool `help:"Where the data is zero, make holes in ORIGIN, an image file."`
	Rescue        bool `help:"Leave chunks that cannot be read in the store, and merge all others."`
	Failed        path `placeholder:"FILE" help:"Write a list of the chunks that could not be read, as CSV."`
}

func (mergeCmd) Help() string {
	return `
Puts the snapshot's chunks back into its origin, which then holds what the snapshot
showed; the store is empty afterwards. It does what the kernel's merge does, many
times faster. It may be killed at any moment: the snapshot shows the same then, and
the same command, or the kernel, goes on.

  dmcow merge snap.cow --into origin.img
  dmcow merge vg0/snap --undo before.undo --verify
  dmcow merge before.undo --into vg0/data

The second keeps what is overwritten, and the third takes the merge back: ORIGIN is
what it was. The snapshot's own content is gone then, unless it was merged with
--keep, or the third has an --undo of its own, or ORIGIN is VG/LV: then the snapshot gets
back what it held. A run with --undo that was cut off is
run again with the same FILE.

Of VG/LV the origin is known, and its other snapshots are: first each gets an exception
for every chunk that is going to be overwritten, so that it goes on showing what it
shows. One that has no room for that, or is invalid or damaged, stops the merge before it
starts, unless --lose-snapshot NAME gives it up.

Refused, before anything is written: an invalid or damaged snapshot, devices in use,
COW and ORIGIN that share bytes or are swapped.

With --rescue the exit status is 4 where chunks were left in the store.
`
}

// Validate tells wrong use that single flags do not show.
func (c *mergeCmd) Validate() error {
	switch {
	case format.Bytes(c.Memory) < merge.MinMemory:
		return fmt.Errorf("--memory: expected at least %s", binarySize(merge.MinMemory))
	case c.Failed != "" && !c.Rescue:
		return errors.New("--failed: expected --rescue")
	}
	return nil
}

func (c *mergeCmd) Run(a *app) error {
	j, err := a.openMerge(c.merging, manner{rescue: c.Rescue, keep: c.Keep})
	if err != nil {
		return err
	}
	defer j.close()
	if c.Rescue && !c.Keep && j.isUndo {
		return &failure{j.path, statusWrongUse, errors.New("--rescue: an undo log cannot be told from others any more when some of it is left: expected --keep, too")}
	}
	if err := c.refuseFailed(j); err != nil {
		return err
	}
	if c.Sparse && j.origin.IsBlock() {
		return &failure{string(j.Into), statusWrongUse, errors.New("--sparse: is a block device, expected an image file")}
	}
	if j.nothing() {
		return nil
	}
	what := fmt.Sprintf("%s in %s", binarySize(j.plan.Bytes), count(j.plan.Chunks, "chunk"))
	if c.DryRun {
		return j.foretell(what)
	}
	j.announce(what)
	if err := j.confirm(); err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	return j.undoing.end(c.merge(j))
}

// merge merges.
func (c *mergeCmd) merge(j *job) error {
	o := merge.Options{Memory: format.Bytes(c.Memory), Keep: c.Keep, SkipIdentical: c.SkipIdentical, Rescue: c.Rescue, Undo: j.undoing.undo, Cached: j.out.Cached()}
	if c.Sparse {
		o.Hole = j.into.PunchHole
	}
	if !j.device.IsBlock() && !j.origin.IsBlock() {
		o.Share = j.share
	}
	if c.Verify || c.Keep {
		past, err := j.origin.PastCache()
		if err != nil {
			return &failure{string(j.Into), statusFailed, err}
		}
		defer past.Close()
		o.PastCache = past
	}
	start := time.Now()
	p := j.newProgress(string(j.Into), "byte", uint64(j.plan.Bytes), true)
	defer p.end()
	o.Copied, o.Pause = p.between()
	r, err := j.merge.Run(o)
	p.end()
	listed := c.tellFailed(j, r)
	if err != nil {
		j.fail(listed)
		return j.failed(err)
	}
	c.report(j, r, time.Since(start))
	return listed
}

// share has image files share extents.
func (j *job) share(source, offset, length int64) (done bool, err error) {
	err = j.into.Share(j.device, source, offset, length)
	if errors.Is(err, device.ErrNotShared) {
		return false, nil
	}
	return err == nil, err
}

// report says what was done, how fast, and what comes next.
func (c *mergeCmd) report(j *job, r merge.Result, took time.Duration) {
	rate := binarySize(format.Bytes(float64(r.Written+r.Shared) / max(took.Seconds(), 0.001)))
	text := fmt.Sprintf("merged %s: %s written in %.1f s (%s/s)", count(r.Chunks, "chunk"), binarySize(r.Written), took.Seconds(), rate)
	for _, part := range []struct {
		n    uint64
		text string
	}{
		{uint64(r.Shared), binarySize(r.Shared) + " shared"},
		{uint64(r.Holes), binarySize(r.Holes) + " made holes"},
		{r.Identical, count(r.Identical, "chunk") + " identical"},
	} {
		if part.n > 0 {
			text += ", " + part.text
		}
	}
	j.say(string(j.Into), "%s", text)
	for _, next := range c.next(j, r) {
		j.say(j.path, "%s", next)
	}
}

// next is what can be done now.
func (c *mergeCmd) next(j *job, r merge.Result) (all []string) {
	switch {
	case len(r.Failed) > 0:
		j.status |= statusDamaged
		all = append(all, fmt.Sprintf("%s cannot be read, and stay in the store: keep the snapshot", count(uint64(len(r.Failed)), "chunk")))
	case r.Beyond > 0:
		j.status |= statusDamaged
		all = append(all, fmt.Sprintf("left in the store: %s past the end of the snapshot; keep it until it is known what that is", count(r.Beyond, "exception")))
	case c.Keep:
		all = append(all, "the list is as it was: the snapshot stays, and shows what the origin holds now")
	case j.isUndo:
		all = append(all, "the undo log is empty now: it can be removed")
	case j.cow.volume != nil && j.cow.volume.Group != nil:
		all = append(all, removal(j.cow.volume))
	default:
		all = append(all, "the store is empty now: the snapshot can be removed (LVM: lvremove VG/SNAPSHOT), and the origin be used")
	}
	if j.undoing.undo != nil {
		all = append(all, j.takingBack())
	}
	return all
}
