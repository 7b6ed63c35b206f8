package cmd

import (
	"dmcow/dump"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type invalidateCmd struct {
	COW     path `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	writing `embed:""`
}

func (c *invalidateCmd) Run(a *app) error {
	r := snapshot.WriteRequest{Request: c.request(c.COW), DryRun: c.DryRun}
	p, err := plan(a, c.writing, r, (*snapshot.Session).PlanInvalidate)
	if err != nil {
		return err
	}
	defer p.Close()
	name := p.COW.Text
	record := dump.Marked{Device: name, DryRun: c.DryRun, State: look.Invalid.String(), Changed: !p.Marked}
	switch {
	case p.Marked:
		a.say(name, "already marked invalid: nothing to do")
		a.status |= a.outcomes.invalid
		return a.told(c.result, record, "")
	case c.DryRun:
		return a.told(c.result, record, words.Printable(name)+": would mark the snapshot invalid")
	}
	if err := a.ask(name, "mark the snapshot invalid, so that the kernel no longer serves it?"); err != nil {
		return err
	}
	if err := p.Do(); err != nil {
		return err
	}
	a.say(name, "the snapshot is now marked invalid")
	a.tellHints("dmcow revalidate undoes this, as long as the origin is not written")
	return a.told(c.result, record, "")
}
