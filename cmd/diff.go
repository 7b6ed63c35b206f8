package cmd

import (
	"errors"
	"fmt"
	"io"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/view"
)

type diffCmd struct {
	viewing `embed:""`
	Against path   `placeholder:"COW2" help:"Compare with another snapshot of the same origin instead of the origin."`
	Content bool   `help:"Compare the data, and leave out equal chunks."`
	Summary bool   `help:"Print only the totals."`
	Map     bool   `help:"Draw a map of the changes."`
	SVG     path   `name:"svg" placeholder:"FILE" help:"Also write the map as a picture (SVG) to FILE; with -, standard output has the picture instead of text."`
	Force   bool   `help:"Replace an existing --svg file."`
	Output  string `short:"o" default:"human" enum:"human,csv,json,rbd" help:"Output format: human, csv, json, or rbd (as rbd diff prints it, for backup programs)."`
}

// Validate tells wrong use that single flags do not show.
func (c *diffCmd) Validate() error {
	switch {
	case c.Map && (c.Summary || c.Output != "human"):
		return errors.New("--map cannot be combined with --summary or --output")
	case c.Summary && (c.Output == "csv" || c.Output == "rbd"):
		return errors.New("--summary cannot be combined with --output " + c.Output + ", which has no totals")
	case c.Against != "" && c.isGiven():
		return errors.New("--against cannot be combined with --offset or --size")
	case c.Force && c.SVG == "":
		return errors.New("--force needs --svg")
	case c.SVG == "-" && (c.Map || c.Summary || c.Output != "human"):
		return errors.New("--svg needs a file: standard output has something else")
	case c.Uncertain == "-":
		return errors.New("--uncertain needs a file: standard output has something else")
	case c.Live && !c.Content:
		return errors.New("--live needs --content: without it, diff reads only the list")
	}
	return c.viewing.check()
}

func (c *diffCmd) Run(a *app) error {
	list, err := a.uncertainList(c.viewing, c.SVG, c.Against)
	if err != nil {
		return err
	}
	session := a.begin(c.volumes, "")
	open := session.List
	if c.Content {
		open = session.Read
	}
	n, err := open(c.view())
	if err != nil {
		return err
	}
	defer n.Close()
	if err := writeUncertain(list, n); err != nil {
		return err
	}
	d := &difference{app: a, flags: c, of: n, Diff: show.Diff{Summary: c.Summary, Blocks: hasBlocks()}}
	d.Diff.Diff = dump.Diff{Device: n.COW.Text, State: n.COW.Identity.State.String(), Origin: n.Origin.Text, Changes: n.View.Changes(), Content: c.Content}
	all, other := []*snapshot.Snapshot{n}, n.View.Origin()
	if c.Against != "" {
		t, err := n.Beside(string(c.Against))
		if err != nil {
			return err
		}
		defer t.Close()
		all = append(all, t)
		d.Changes, d.Against, other = view.ChangesBetween(n.View, t.View), t.COW.Text, t.View
	}
	d.Uncertain = d.Changes.UncertainIn(views(all)...)
	picture, err := c.output(a, n)
	if err != nil {
		return err
	}
	if c.Content {
		if err := d.compare(other); err != nil {
			return err
		}
	}
	for _, n := range all {
		if err := n.CheckQuiet(); err != nil && c.Content && !c.Live {
			return err
		}
	}
	a.tell()
	if err := d.write(); err != nil {
		return err
	}
	return d.draw(picture)
}

func views(all []*snapshot.Snapshot) (views []*view.View) {
	for _, n := range all {
		views = append(views, n.View)
	}
	return views
}

// difference is what a diff has found.
type difference struct {
	app   *app
	flags *diffCmd
	of    *snapshot.Snapshot
	show.Diff
}

func (d *difference) compare(other io.ReaderAt) error {
	p := d.app.newProgress(d.Device, string(snapshot.Bytes), uint64(d.Changes.Bytes()))
	defer p.End()
	changes, r, err := d.Changes.Compare(d.of.View, other, func(b format.Bytes) error { return p.Visit(uint64(b)) })
	p.End()
	if err != nil {
		return interruptedBy(d.Device, err)
	}
	if r.Unread > 0 {
		d.app.fail(d.of.Failed(fmt.Errorf("%w; %s could not be compared, and count as different", r.Failure, words.Count(r.Unread, "chunk"))))
	}
	d.Changes, d.Equal = changes, r.Equal
	return nil
}

func (d *difference) write() error {
	switch {
	case d.flags.SVG == "-":
		return nil
	case d.flags.Output == "csv":
		return dump.DiffCSV(d.app.stdout, d.Diff.Diff)
	case d.flags.Output == "rbd":
		return dump.DiffRBD(d.app.stdout, d.Diff.Diff)
	case d.flags.Output == "json":
		return dump.DiffJSON(d.app.stdout, d.Diff.Diff, d.flags.Summary)
	case d.flags.Map:
		d.Map = d.app.mapColumns()
	}
	return d.Write(d.app.text())
}

// output is the file for the picture, if there is to be one. The error is the refusal of
// one that is not to be written over.
func (c *diffCmd) output(a *app, n *snapshot.Snapshot) (*snapshot.Output, error) {
	r := snapshot.OutputRequest{Name: string(c.SVG), Mode: 0o666, Force: c.Force}
	switch c.SVG {
	case "":
		return nil, nil
	case "-":
		r.Stream = a.stream()
	}
	return n.Output(r)
}

func (d *difference) draw(o *snapshot.Output) error {
	if o == nil {
		return nil
	}
	text := []byte(d.Picture())
	defer o.Close()
	if err := o.Open(int64(len(text))); err != nil {
		return err
	}
	if err := o.Write(text, 0); err != nil {
		return err
	}
	return o.Finish()
}
