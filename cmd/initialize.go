package cmd

import (
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type initializeCmd struct {
	COW       path               `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool               `help:"Write over a store or over whatever else the device holds."`
	writing   `embed:""`
}

func (c *initializeCmd) Run(a *app) error {
	r := snapshot.WriteRequest{Request: c.request(c.COW), DryRun: c.DryRun, Force: c.Force}
	r.ChunkSectors = uint32(c.ChunkSize)
	p, err := plan(a, c.writing, r, (*snapshot.Session).PlanInitialize)
	if err != nil {
		return err
	}
	defer p.Close()
	if c.DryRun {
		return a.print("%s: would write an empty store with %d-sector chunks\n", words.Printable(p.COW.Text), p.COW.Fresh.ChunkSectors())
	}
	if err := a.ask(p.COW.Text, "%swrite an empty store here, with %d-sector chunks?", over(p.Loss), p.COW.Fresh.ChunkSectors()); err != nil {
		return err
	}
	return p.Do()
}
