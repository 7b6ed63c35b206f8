package cmd

import (
	"errors"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type dumpCmd struct {
	COW       path               `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	Output    dump.Format        `short:"o" default:"human" enum:"human,csv,json" help:"Output format: human, csv or json."`
	Ranges    bool               `help:"Join runs in which old and new chunk both advance by one."`
	Area      *units.Number      `placeholder:"N" help:"Only exceptions in metadata area N."`
	Old       *units.ChunkRange  `placeholder:"A[-B]" help:"Only these chunks of the origin."`
	New       *units.ChunkRange  `placeholder:"A[-B]" help:"Only these chunks of the COW device."`
	Hidden    bool               `help:"Also print exceptions behind the end of the list in its area, which the kernel reads only once the gap before them fills."`
	Stale     bool               `help:"Also print what earlier lives of the device left in later areas, each with a grade: good, doubtful, reused (a live exception has its chunk), impossible."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"With --stale, if there is no list: the chunk size of the earlier life. Default: found by its list."`
	section   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *dumpCmd) Validate() error {
	if c.ChunkSize != 0 && !c.Stale {
		return errors.New("--chunk-size needs --stale")
	}
	return nil
}

func (c *dumpCmd) Run(a *app) error {
	session := a.begin(c.volumes, "")
	w, err := session.Look(c.request(c.COW))
	if err != nil {
		return err
	}
	defer w.Close()
	s, err := c.write(a, session, w)
	if err != nil {
		return err
	}
	a.conclude(w.Text, w, s)
	if c.Output == dump.CSV && (s.State() == look.Invalid || s.State() == look.Uninitialized) {
		a.say(w.Text, "%s", show.Describe(s)) // rows do not tell
	}
	if last := s.Usage.End.Area; c.Area != nil && s.Complete() && uint64(*c.Area) > uint64(last) && !c.Stale {
		a.say(w.Text, "the list has no area %d: it ends in area %d", *c.Area, last)
	}
	return nil
}

// write writes the store in the format that was asked for, and returns what it found.
func (c *dumpCmd) write(a *app, session *snapshot.Session, w *snapshot.COW) (look.Survey, error) {
	var earlier format.Geometry
	if c.Stale {
		var err error
		if earlier, err = session.Earlier(w, uint32(c.ChunkSize)); err != nil {
			return look.Survey{}, err
		}
	}
	a.tell()
	if c.Output == dump.Human {
		s, err := session.Survey(w)
		if err != nil || s.Identity.State == look.Foreign && earlier.IsZero() {
			return s, err // there is no store to show
		}
		if err := show.Head(a.text(), w, s); err != nil || w.Identity.Geometry.IsZero() && earlier.IsZero() {
			return s, err
		}
	}
	d := dump.Store{
		Device: w.Text, Earlier: earlier,
		Walk: w.Walk(),
		Verdict: func(end format.End, err error) (string, []string) {
			s, _ := w.Identity.Survey(w.Walk(), end, err)
			return s.State().String(), s.Faults()
		},
	}
	if w.Identity.State != look.Uninitialized {
		d.Header = &w.Identity.Header
	}
	p := a.newProgress(w.Text, string(snapshot.Areas), w.Areas())
	if isTerminal(a.stdout.File()) {
		p.NoBar() // it would disturb what is written
	}
	defer p.End()
	end, err := dump.Exceptions(a.stdout, d, c.Output, c.selection(), func(k format.AreaIndex) error { return p.Visit(uint64(k)) })
	s, err := w.Identity.Survey(d.Walk, end, err)
	return s, interruptedBy(w.Text, err)
}

func (c *dumpCmd) selection() dump.Selection {
	s := dump.Selection{Hidden: c.Hidden, Stale: c.Stale, Ranges: c.Ranges, Old: (*dump.Range)(c.Old), New: (*dump.Range)(c.New)}
	if c.Area != nil {
		s.Area = new(format.AreaIndex(*c.Area))
	}
	return s
}
