package cmd

import (
	"errors"
	"fmt"
	"io"

	"dmcow/format"
	"dmcow/view"
)

type diffCmd struct {
	viewing `embed:""`
	Against path   `placeholder:"COW2" help:"Another snapshot of the same origin, to compare with in place of the origin."`
	Content bool   `help:"Compare the data, and leave out chunks that are equal after all."`
	Summary bool   `help:"Print totals alone."`
	Map     bool   `help:"Draw where the changes lie on the origin."`
	SVG     path   `name:"svg" placeholder:"FILE" help:"Draw that to a file, too, as a picture (SVG); - draws it to standard output, in place of text."`
	Force   bool   `help:"Replace the file of --svg, if it is there."`
	Output  string `default:"human" enum:"human,csv,json" help:"How to write: ${enum}."`
}

func (diffCmd) Help() string {
	return `
Prints where the origin differs from the snapshot, as ranges of bytes: what was written to
either since the snapshot was made. These are the chunks that the store has; with --content
their data is compared, and only what differs is left.

  dmcow diff vg0/snap
  dmcow diff snap.cow --origin origin.img --content --output csv
  dmcow diff vg0/monday --against vg0/tuesday --content
  dmcow diff vg0/snap --map --svg changes.svg

With --against the two snapshots are compared with each other. A chunk that both have saved
is mostly the same in both: --content tells.

The snapshot may be active; with --content that takes --live, and the figures are then those of
some moment.
The exit status does not tell whether there are differences.
`
}

// Validate tells wrong use that single flags do not show.
func (c *diffCmd) Validate() error {
	switch {
	case c.Map && (c.Summary || c.Output != "human"):
		return errors.New("--map: cannot go with --summary or --output")
	case c.Summary && c.Output == "csv":
		return errors.New("--summary: cannot go with --output csv, which has no totals")
	case c.Against != "" && c.given():
		return errors.New("--offset and --size: cannot go with --against")
	case c.Force && c.SVG == "":
		return errors.New("--force: expected --svg")
	case c.SVG == "-" && (c.Map || c.Summary || c.Output != "human"):
		return errors.New("--svg: standard output has something else: expected a file")
	case c.Uncertain == "-":
		return errors.New("--uncertain: standard output has something else: expected a file")
	case c.Live && !c.Content:
		return errors.New("--live: expected --content: the list alone is read in any case")
	}
	return nil
}

func (c *diffCmd) Run(a *app) error {
	c.output = []path{c.SVG, c.Against}
	s, err := a.openSnapshot(c.viewing, c.access())
	if err != nil {
		return err
	}
	defer s.close()
	d := &difference{app: a, diffCmd: c, snapshot: s, Changes: s.view.Changes()}
	all := []*snapshot{s}
	other := s.view.Origin()
	if c.Against != "" {
		t, err := c.openOther(a, s)
		if err != nil {
			return err
		}
		defer t.close()
		all = append(all, t)
		d.Changes, d.against, other = view.ChangesBetween(s.view, t.view), t.path, t.view
	}
	picture, err := c.picture(s)
	if err != nil {
		return err
	}
	if c.Content {
		if err := d.compare(other); err != nil {
			return err
		}
	}
	for _, s := range all {
		if err := s.quiet(); err != nil && c.Content && !c.Live {
			return err
		}
	}
	if err := d.write(); err != nil {
		return err
	}
	return d.draw(picture)
}

// access is what snapshots are opened for.
func (c *diffCmd) access() access {
	if c.Content {
		return toRead
	}
	return toList
}

// openOther opens the snapshot to compare with.
func (c *diffCmd) openOther(a *app, s *snapshot) (*snapshot, error) {
	v := c.viewing
	v.COW, v.Uncertain = c.Against, ""
	if v.Origin == "" {
		v.Origin = path(s.originName)
	}
	t, err := a.openSnapshot(v, c.access())
	if err != nil {
		return nil, err
	}
	if t.cow.device.Overlaps(s.cow.device) {
		t.close()
		return nil, &failure{t.path, statusFailed, fmt.Errorf("is kept on the same bytes as %s, expected another snapshot", printable(s.path))}
	}
	return t, nil
}

// difference is what a diff has found.
type difference struct {
	*app
	*diffCmd
	*snapshot
	*view.Changes
	against string // the other snapshot; empty for the origin
	equal   uint64 // chunks that were left out
}

// compare leaves out what is equal.
func (d *difference) compare(other io.ReaderAt) error {
	p := d.app.newProgress(d.path, "byte", uint64(d.Changes.Bytes()), true)
	defer p.end()
	changes, r, err := d.Changes.Compare(d.view, other, p.bytes)
	p.end()
	if err != nil {
		return ended(d.path, err)
	}
	if r.Unread > 0 {
		d.app.fail(d.failed(fmt.Errorf("%w; %s could not be compared, and are taken for different", r.Failure, count(r.Unread, "chunk"))))
	}
	d.Changes, d.equal = changes, r.Equal
	return nil
}

// write prints the ranges.
func (d *difference) write() error {
	if d.SVG == "-" {
		return nil
	}
	switch d.Output {
	case "csv":
		return d.csv()
	case "json":
		return d.json()
	}
	return d.human()
}

// picture is the file for the picture, if there is to be one. The error is the failure of
// one that is not to be written over.
func (c *diffCmd) picture(s *snapshot) (*output, error) {
	if c.SVG == "" {
		return nil, nil
	}
	if c.SVG == "-" {
		return &output{name: "-", stream: s.stdout}, nil
	}
	o, err := lookAt(string(c.SVG), 0o666)
	if err == nil {
		err = o.refuseLoss(c.Force)
	}
	if err == nil && o.isBlock {
		err = &failure{o.name, statusFailed, errors.New("is a block device, expected a file")}
	}
	if err == nil {
		err = o.open(s, 0, overwriting{force: c.Force, dryRun: true})
	}
	return o, err
}

// draw writes the picture.
func (d *difference) draw(o *output) error {
	if o == nil {
		return nil
	}
	text := []byte(d.svg())
	defer o.close()
	if err := o.open(d.snapshot, int64(len(text)), overwriting{force: d.Force}); err != nil {
		return err
	}
	if err := o.write(text, 0); err != nil {
		return err
	}
	return o.finish()
}

// title says what was compared with what.
func (d *difference) title() string {
	if d.against != "" {
		return printable(d.path) + " and " + printable(d.against)
	}
	return printable(d.path) + " and its origin"
}

// share is how much of the origin differs, in per cent.
func (d *difference) share(bytes format.Bytes) float64 {
	return 100 * float64(bytes) / float64(max(d.Changes.Size, 1))
}
