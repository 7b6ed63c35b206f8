package cmd

import (
	"fmt"

	"dmcow/store"
)

type invalidateCmd struct {
	COW     path `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	writing `embed:""`
}

func (invalidateCmd) Help() string {
	return `
Marks the snapshot invalid, as the kernel does when its store overflows: it then
serves nothing of it. Only the header's field "valid" changes; the exceptions
and their data stay.

  dmcow invalidate vg0/snap
`
}

func (c *invalidateCmd) Run(a *app) error {
	if err := a.permission(c.writing); err != nil {
		return err
	}
	t, err := a.openTarget(string(c.COW), c.writing, 0)
	if err != nil {
		return err
	}
	defer t.close()
	switch id := t.id; {
	case id.State == store.Invalid:
		a.say(t.path, "the snapshot is marked invalid already: nothing to do")
		a.status |= a.outcomes.invalid
		return nil
	case id.State == store.Uninitialized:
		return &failure{t.path, a.outcomes.blank, fmt.Errorf("%s: there is no snapshot to mark", store.Uninitialized)}
	case id.State != store.Valid:
		return &failure{t.path, a.outcomes.of(id.State), fmt.Errorf("%s", id.Fault)}
	case c.DryRun:
		_, err := fmt.Fprintf(a.stdout, "%s: would mark the snapshot invalid\n", printable(t.path))
		return err
	}
	if err := a.ask(t.path, "mark the snapshot invalid, so that the kernel serves nothing of it?"); err != nil {
		return err
	}
	if err := a.done(t.path, store.Invalidate(t.out)); err != nil {
		return err
	}
	a.say(t.path, "the snapshot is marked invalid")
	return nil
}
