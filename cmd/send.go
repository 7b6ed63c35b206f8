package cmd

import (
	"errors"
	"runtime/debug"
	"time"

	"dmcow/format"
	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/snapshot"
)

type sendCmd struct {
	COW       path `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	Origin    path `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it. Not needed for VG/LV."`
	section   `embed:""`
	result    `embed:""`
	File      path               `arg:"" optional:"" help:"File or block device to write, or - for standard output. Default: standard output."`
	To        path               `placeholder:"COW2" help:"Into another snapshot of the same origin instead of into the origin."`
	Back      bool               `help:"The other way: what makes a copy of the origin (or of COW2) into the snapshot."`
	Full      bool               `help:"The whole snapshot, all that is not zero, for a copy that does not exist yet."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"Chunk size of the delta. Default: the store's, at most 4K."`
	AllChunks bool               `help:"Send also chunks with an exception whose data is equal."`
	Format    string             `default:"delta" enum:"delta,lvmsync" help:"Format: delta, or lvmsync (without digests)."`
	Continue  bool               `help:"FILE has the beginning already, of a run that was cut off: go on from there."`
	Skip      uint64             `placeholder:"BYTES" help:"Write only what follows this many bytes: to go on with a stream that was cut off."`
	Force     bool               `help:"Replace an existing file, or write over the data of a block device."`
	Progress  bool               `help:"Show progress even if standard error is not a terminal: a line every ten seconds."`
	DryRun    bool               `help:"Print what would be sent at most, without comparing data, and write nothing."`
}

// Validate tells wrong use that single flags do not show.
func (c *sendCmd) Validate() error {
	switch {
	case c.Full && (c.To != "" || c.Back || c.AllChunks):
		return errors.New("--full sends the snapshot whole: --to, --back and --all-chunks do not go with it")
	case c.To != "" && c.isGiven():
		return errors.New("--to cannot be combined with --offset or --size")
	case c.toStream() && c.Continue:
		return errors.New("--continue needs a file; for a stream, give --skip")
	case !c.toStream() && c.Skip > 0:
		return errors.New("--skip is for standard output; for a file, give --continue")
	case c.toStream() && c.isJSON() && !c.DryRun:
		return errors.New("--output json needs a file for the delta, which standard output has")
	}
	return viewing{COW: c.COW, Origin: c.Origin}.check()
}

// toStream reports whether the delta goes to standard output.
func (c *sendCmd) toStream() bool { return c.File == "" || c.File == "-" }

func (c *sendCmd) request(a *app) snapshot.SendRequest {
	r := snapshot.SendRequest{
		ViewRequest: snapshot.ViewRequest{Request: c.section.request(c.COW), Origin: string(c.Origin)},
		To:          string(c.To), Back: c.Back, Full: c.Full, Chunk: uint32(c.ChunkSize), AllChunks: c.AllChunks,
		Lvmsync: c.Format == "lvmsync", Continue: c.Continue, Skip: format.Bytes(c.Skip),
		Output: snapshot.OutputRequest{Name: string(c.File), Mode: snapshot.Private, Force: c.Force, DryRun: c.DryRun},
	}
	if c.toStream() {
		r.Output.Stream = a.stream()
	}
	return r
}

// garbagePercent is how much garbage there may be, of what is kept.
const garbagePercent = 10

func (c *sendCmd) Run(a *app) error {
	if c.toStream() && isTerminal(a.stdout.File()) && !c.DryRun {
		return misused("send", "refusing to write a delta to a terminal: redirect standard output, or name a file")
	}
	// What is kept is little and stays, and what is made is used for a moment: garbage is not to be as much as that.
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	if c.Progress {
		a.often = 10 * time.Second
	}
	p, err := a.begin(c.volumes, "").PlanSend(c.request(a))
	if err != nil {
		return err
	}
	defer p.Close()
	debug.FreeOSMemory() // what the comparison took is free now
	if c.DryRun {
		return c.tell(a, p)
	}
	if p.Output.Replaces {
		if err := a.ask(p.Output.Name, "%swrite the delta over it?", over(p.Output.Loss)); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := p.Do(); err != nil {
		return err
	}
	a.say(p.Output.Name, "%s", show.Sent(p, time.Since(start)))
	if c.isJSON() {
		return a.told(c.result, record.Sent(p, false), "")
	}
	return nil
}

// tell says what would be sent.
func (c *sendCmd) tell(a *app, p *snapshot.Send) error {
	if c.isJSON() {
		return a.told(c.result, record.Sent(p, true), "")
	}
	return show.WouldSend(p, a.text())
}
