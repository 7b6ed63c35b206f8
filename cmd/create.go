package cmd

import (
	"errors"
	"fmt"

	"dmcow/internal/record"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type createCmd struct {
	COW       path               `arg:"" help:"COW device or image file to write (a missing file is created), or - for standard output."`
	Origin    path               `required:"" placeholder:"BASE" help:"Origin of the snapshot."`
	From      path               `required:"" placeholder:"IMAGE" help:"What the snapshot should read as; same size as BASE."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool               `help:"Write even if the device holds a store or other data."`
	Live      bool               `help:"Read images that are in use, too; writes during the run may show in part."`
	writing   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *createCmd) Validate() error {
	switch {
	case c.COW == "-" && c.isGiven():
		return errors.New("--offset and --size need a device or an image, not standard output")
	case c.COW == "-" && c.isJSON():
		return errors.New("--output json needs a device or an image: standard output has the store")
	}
	return nil
}

func (c *createCmd) Run(a *app) error {
	r := snapshot.CreateRequest{Request: c.request(c.COW), Base: string(c.Origin), Image: string(c.From), Force: c.Force, Live: c.Live, DryRun: c.DryRun}
	r.ChunkSectors = uint32(c.ChunkSize)
	if c.COW == "-" {
		if isTerminal(a.stdout.File()) && !c.DryRun {
			return misused("create", "refusing to write a store to a terminal: redirect standard output, or name a file")
		}
		r.Stream = a.stream()
	}
	p, err := a.begin(c.volumes, c.ForeignHost).PlanCreate(r)
	if err != nil {
		return err
	}
	defer p.Close()
	if c.DryRun {
		return a.told(c.result, record.Created(p, c.DryRun, string(c.Origin), string(c.From)), fmt.Sprintf("%s of %s differ; the store takes %s",
			words.Count(p.Chunks, "chunk"), words.Size(uint64(p.COW.Fresh.ChunkSectors())*512), words.Bytes(p.Size)))
	}
	switch {
	case p.Asks:
		err = a.ask(p.COW.Text, "%swrite a store here, with %d-sector chunks?", over(p.Loss), p.COW.Fresh.ChunkSectors())
	case c.COW != "-":
		err = a.checkAnswerable()
	}
	if err != nil {
		return err
	}
	if err := p.Do(); err != nil {
		return err
	}
	a.made(p.COW.Text, fmt.Sprintf("a store with %s of %s", words.Count(p.Chunks, "chunk"), words.Size(uint64(p.COW.Fresh.ChunkSectors())*512)), p.Size)
	return a.told(c.result, record.Created(p, c.DryRun, string(c.Origin), string(c.From)), "")
}
