package cmd

import (
	"errors"
	"os"
	"time"

	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/apply"
)

type receiveCmd struct {
	Target     path     `arg:"" optional:"" help:"Device, image file or VG/LV to write to. A full delta makes the file if it is missing. Left out with --check and --to-store."`
	File       path     `arg:"" optional:"" help:"The delta: a file, a device, or - for standard input. Default: standard input."`
	Check      bool     `help:"Read a delta alone: whether it is sound and whole, and what it is a delta of."`
	ToStore    path     `placeholder:"STORE" help:"Collect the delta in a file, which gets its name when it is whole and verified."`
	Undo       path     `placeholder:"UNDO" help:"Save what is overwritten in UNDO, an undo log: dmcow merge UNDO --into TARGET undoes it. In a directory, the log is named after the target."`
	ForceBase  bool     `help:"Write even if TARGET does not hold what the delta replaces, has another size, or nothing says what it must hold (lvmsync)."`
	Lose       []string `name:"lose-snapshot" sep:"none" placeholder:"NAME" help:"Give up this snapshot of TARGET (both are logical volumes): mark it invalid. Can be repeated."`
	Force      bool     `help:"With --to-store: replace an existing file, or write over the data of a block device."`
	Progress   bool     `help:"Show progress even if standard error is not a terminal: a line every ten seconds."`
	result     `embed:""`
	volumes    `embed:""`
	writingLVM `embed:""`
	DryRun     bool `help:"Print what would be done, and write nothing."`
}

// Validate tells wrong use that single flags do not show.
func (c *receiveCmd) Validate() error {
	alone := c.Check || c.ToStore != ""
	switch {
	case c.Check && c.ToStore != "":
		return errors.New("--check and --to-store cannot be combined")
	case c.ToStore == "-":
		return errors.New("--to-store needs a file or a block device: the delta is verified before it has its name")
	case alone && (c.Undo != "" || c.ForceBase || len(c.Lose) > 0):
		return errors.New("--undo, --force-base and --lose-snapshot need a TARGET, which --check and --to-store do not take")
	case alone && c.File != "":
		return errors.New("--check and --to-store take no TARGET: name the delta alone")
	case c.Force && c.ToStore == "":
		return errors.New("--force needs --to-store")
	case !alone && c.Target == "":
		return errors.New("missing TARGET")
	}
	return nil
}

// incoming names the delta.
func (c *receiveCmd) incoming() (r snapshot.IncomingRequest, err error) {
	name := c.File
	if c.Check || c.ToStore != "" {
		name = c.Target
	}
	if name == "" {
		name = "-"
	}
	if name == "-" && isTerminal(os.Stdin) {
		return r, misused("receive", "refusing to read a delta from a terminal: redirect standard input, or name a file")
	}
	return snapshot.IncomingRequest{Name: string(name), Stdin: os.Stdin}, nil
}

func (c *receiveCmd) Run(a *app) error {
	in, err := c.incoming()
	if err != nil {
		return err
	}
	if c.Progress {
		a.often = 10 * time.Second
	}
	if c.Check || c.ToStore != "" {
		return c.collect(a, in)
	}
	r := snapshot.ReceiveRequest{IncomingRequest: in, Into: string(c.Target), Undo: string(c.Undo), Lost: c.Lose, ForceBase: c.ForceBase, DryRun: c.DryRun}
	p, err := a.begin(c.volumes, c.ForeignHost).PlanReceive(r)
	a.tell()
	if err != nil {
		return err
	}
	defer p.Close()
	t := &receiving{app: a, flags: c, Receive: show.Receive{Receive: p, Undo: p.UndoName()}}
	t.Back = "dmcow merge " + asPath(t.Undo) + " --into " + a.again(p.Origin.Text)
	for _, name := range p.GivenUp() {
		t.Back += " --lose-snapshot " + words.Shell(name)
	}
	return t.run()
}

// receiving is a delta that is applied.
type receiving struct {
	app   *app
	flags *receiveCmd
	show.Receive
}

func (t *receiving) run() error {
	a := t.app
	if t.IsEmpty() {
		a.say(t.Origin.Text, "%s", t.Nothing())
	}
	if t.flags.DryRun {
		if !t.flags.isJSON() && !t.IsEmpty() {
			return t.Foretell(a.text())
		}
		return a.told(t.flags.result, record.Received(t.Receive.Receive, t.Foreseen, true, undoOf("")), "")
	}
	if !t.IsEmpty() {
		t.Announce(a.say)
		if err := a.ask(t.Origin.Text, "%s", t.Question()); err != nil {
			return err
		}
	}
	start := time.Now()
	r, err := t.Do()
	if err != nil {
		return t.failed(r, err)
	}
	if !t.IsEmpty() {
		a.say(t.Origin.Text, "%s", t.Received(r, time.Since(start)))
		a.madeUndo(t.Undo)
		if t.Undo != "" {
			a.say(t.Origin.Text, "%s undoes this", t.Back)
		}
	}
	return a.told(t.flags.result, record.Received(t.Receive.Receive, r, false, undoOf(t.Undo)), "")
}

// failed adds how what was written is undone, where it can be.
func (t *receiving) failed(done apply.Result, err error) error {
	var r *snapshot.Refusal
	if t.Undo == "" || !done.Changed() || !errors.As(err, &r) {
		return err
	}
	r.Err = words.Hint(r.Err, "%s undoes what was written", t.Back)
	return err
}

// collect reads a delta alone.
func (c *receiveCmd) collect(a *app, in snapshot.IncomingRequest) error {
	out := snapshot.OutputRequest{Name: string(c.ToStore), Mode: snapshot.Private, Force: c.Force, DryRun: c.DryRun}
	p, err := a.begin(c.volumes, "").PlanCollect(snapshot.CollectRequest{IncomingRequest: in, Output: out})
	a.tell()
	if err != nil {
		return err
	}
	defer p.Close()
	told := words.Printable(p.In.Name) + ": " + show.Delta(p.In.Head)
	if c.DryRun && p.Output != nil {
		return a.told(c.result, record.Collected(p, true), told)
	}
	if p.Output != nil && p.Output.Replaces {
		if err := a.ask(p.Output.Name, "%swrite the delta over it?", over(p.Output.Loss)); err != nil {
			return err
		}
	}
	if err := p.Do(); err != nil {
		return err
	}
	if p.Output != nil {
		a.made(p.Output.Name, "the delta, verified", p.In.Head.Layout().Size())
	} else {
		told += "; sound, and whole"
	}
	return a.told(c.result, record.Collected(p, false), told)
}
