package cmd

import (
	"fmt"

	"dmcow/internal/words"
	"dmcow/snapshot"
)

type invalidateCmd struct {
	COW     path `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	writing `embed:""`
}

func (c *invalidateCmd) Run(a *app) error {
	if err := a.permission(c.DryRun); err != nil {
		return err
	}
	p, err := a.begin(c.volumes, c.ForeignHost).PlanInvalidate(snapshot.WriteRequest{Request: c.request(c.COW), DryRun: c.DryRun})
	if err != nil {
		return err
	}
	defer p.Close()
	name := p.COW.Text
	switch {
	case p.Marked:
		a.say(name, "the snapshot is marked invalid already: nothing to do")
		a.status |= a.outcomes.invalid
		return nil
	case c.DryRun:
		_, err := fmt.Fprintf(a.stdout, "%s: would mark the snapshot invalid\n", words.Printable(name))
		return err
	}
	if err := a.ask(name, "mark the snapshot invalid, so that the kernel serves nothing of it?"); err != nil {
		return err
	}
	if err := p.Do(); err != nil {
		return err
	}
	a.say(name, "the snapshot is marked invalid")
	return nil
}
