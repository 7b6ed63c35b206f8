package cmd

import (
	"fmt"

	"dmcow/store"
)

type initializeCmd struct {
	COW       path      `arg:"" help:"COW device, or an image of one."`
	ChunkSize chunkSize `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool      `help:"Write over a store or over whatever else the device holds."`
	writing   `embed:""`
}

func (initializeCmd) Help() string {
	return `
Writes an empty store, which the kernel loads as a snapshot in which nothing
has changed. Whatever the device holds is lost: a store and anything that is not
blank is refused without --force, a device in use in any case.

  dmcow initialize --chunk-size 4K /dev/vg0/cow
  dmcow initialize --dry-run --force old.cow
`
}

func (c *initializeCmd) Run(a *app) error {
	if err := a.permission(c.writing); err != nil {
		return err
	}
	t, err := a.openTarget(string(c.COW), c.writing, c.ChunkSize)
	if err != nil {
		return err
	}
	defer t.close()
	if err := a.refuse(t, c.Force); err != nil {
		return err
	}
	g := t.fresh
	if c.DryRun {
		_, err := fmt.Fprintf(a.stdout, "%s: would write an empty store with chunks of %d sectors\n", printable(t.path), g.ChunkSectors())
		return err
	}
	if err := a.ask(t.path, "write an empty store here, with chunks of %d sectors%s?", g.ChunkSectors(), t.loss()); err != nil {
		return err
	}
	return a.done(t.path, store.Initialize(t.out, g))
}

// loss says what a new store would write over, for a question.
func (t *target) loss() string {
	switch t.id.State {
	case store.Uninitialized:
		return ""
	case store.Foreign:
		return ", over what it holds now"
	}
	return fmt.Sprintf(", over the store (%s) that it holds now", t.id.State)
}
