package cmd

import (
	"errors"
	"fmt"
	"slices"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/merge"
)

type mergeCmd struct {
	COW           []path `arg:"" help:"COW device, an image of it, VG/LV (an LVM snapshot), or an undo log. To merge several, name each as VG/LV; each needs its own origin."`
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
	all := c.distinct()
	switch {
	case format.Bytes(c.Memory) < merge.MinMemory:
		return fmt.Errorf("--memory must be at least %s", words.Size(merge.MinMemory))
	case c.Failed != "" && !c.Rescue:
		return errors.New("--failed needs --rescue")
	case len(all) == 0:
		return nil // the parser tells that
	case len(all) == 1:
		return c.merging.check(all[0])
	case c.Into != "":
		return errors.New("--into needs a single COW device: each of several VG/LV is merged into its own origin")
	case slices.ContainsFunc(all, func(p path) bool { return !p.isVolume() }):
		return errors.New("several COW devices must all be VG/LV (a single one can go with --into)")
	case c.Failed != "":
		return errors.New("--failed needs a single COW device")
	case c.isGiven():
		return errors.New("--offset and --size need a single COW device")
	}
	return nil
}

// distinct are the COW devices, each once.
func (c *mergeCmd) distinct() (all []path) {
	for _, p := range c.COW {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

func (c *mergeCmd) requests() (all []snapshot.MergeRequest) {
	for _, p := range c.distinct() {
		r := c.mergeRequest(p)
		r.Rescue, r.Keep, r.Sparse = c.Rescue, c.Keep, c.Sparse
		r.Memory, r.SkipIdentical, r.Verify = format.Bytes(c.Memory), c.SkipIdentical, c.Verify
		all = append(all, r)
	}
	return all
}

func (c *mergeCmd) Run(a *app) error {
	all, err := plan(a, c.writing, c.requests(), (*snapshot.Session).PlanMerges)
	if refused := (snapshot.Refusals)(nil); errors.As(err, &refused) {
		for _, err := range refused {
			a.fail(err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	s := &merges{app: a, flags: c, failed: a.list(c.Failed, dump.FailedHead)}
	for _, m := range all {
		t := &oneMerge{mergeText: c.text(a, m)}
		t.Keeps = c.Keep
		s.all = append(s.all, t)
	}
	if err := s.failed.Check(s.all[0].Undo, string(c.COW[0]), s.all[0].Origin.Text); err != nil {
		return err
	}
	return s.run()
}
