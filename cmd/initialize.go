package cmd

import (
	"errors"
	"fmt"

	"dmcow/store"
)

type initializeCmd struct {
	COW       path      `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	ChunkSize chunkSize `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool      `help:"Write over a store or over whatever else the device holds."`
	writing   `embed:""`
}

func (initializeCmd) Help() string {
	return `
Writes an empty store, which the kernel loads as a snapshot in which nothing
has changed. Whatever the device holds is lost: a store, anything in the place of
header and first area, and any signature that blkid knows is refused without
--force, a device in use in any case.

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
	if err := a.ask(t.path, "%swrite an empty store here, with chunks of %d sectors?", t.loss(), g.ChunkSectors()); err != nil {
		return err
	}
	err = store.Initialize(t.out, g, func() error {
		if a.ctx.Err() != nil {
			return errInterrupted
		}
		return nil
	})
	if errors.Is(err, errInterrupted) {
		return t.cutOff()
	}
	return a.done(t.path, err)
}

// cutOff is the failure of making a store that an interruption has ended.
func (t *target) cutOff() error {
	return &failure{t.path, statusInterrupted, fmt.Errorf("%w: there is no store; run the same command again", errInterrupted)}
}

// loss says what a new store would write over, to begin a question with.
func (t *target) loss() string {
	if t.worth == "" {
		return ""
	}
	return t.worth + ": "
}
