package cmd

import (
	"fmt"

	"dmcow/dump"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type initializeCmd struct {
	COW       path               `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool               `help:"Write even if the device holds a store or other data."`
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
	chunk := p.COW.Fresh.ChunkSectors()
	record := dump.Initialized{Device: p.COW.Text, DryRun: c.DryRun, ChunkSectors: uint64(chunk), SizeSectors: uint64(p.COW.Size().Sectors())}
	if c.DryRun {
		return a.told(c.result, record, fmt.Sprintf("%s: would write an empty store with %d-sector chunks", words.Printable(p.COW.Text), chunk))
	}
	if err := a.ask(p.COW.Text, "%swrite an empty store here, with %d-sector chunks?", over(p.Loss), chunk); err != nil {
		return err
	}
	if err := p.Do(); err != nil {
		return err
	}
	a.made(p.COW.Text, fmt.Sprintf("an empty store with %d-sector chunks", chunk), p.COW.Size())
	return a.told(c.result, record, "")
}
