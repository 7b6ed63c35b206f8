package cmd

import (
	"errors"
	"fmt"
	"strconv"

	"dmcow/check"
	"dmcow/dump"
	"dmcow/format"
	"dmcow/store"
)

type dumpCmd struct {
	COW       path        `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	Output    dump.Format `default:"human" enum:"human,csv,json" help:"How to write: ${enum}."`
	Ranges    bool        `help:"Join runs of exceptions in which old and new chunk both advance by one."`
	Area      *number     `placeholder:"N" help:"Only the exceptions of metadata area N."`
	Old       *chunkRange `placeholder:"A[-B]" help:"Only these chunks of the origin."`
	New       *chunkRange `placeholder:"A[-B]" help:"Only these chunks of the COW device."`
	Hidden    bool        `help:"Also what lies behind the end of the list in its area: entries that the kernel does not see, until the gap before them fills."`
	Stale     bool        `help:"Also what earlier lives of the device have left in the areas behind the list, each with a grade: good, doubtful, reused (a live exception has its chunk), impossible."`
	ChunkSize chunkSize   `placeholder:"SIZE" help:"With --stale, where there is no list: the chunk size of the earlier life. Without it, that is found by its list."`
	section   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *dumpCmd) Validate() error {
	if c.ChunkSize != 0 && !c.Stale {
		return errors.New("--chunk-size: expected --stale")
	}
	return nil
}

func (dumpCmd) Help() string {
	return `
Prints a summary of the store and its exceptions: which chunk of the origin
has its snapshot content in which chunk of the COW device. Of a damaged store
it prints what can be read, then what is wrong.

  dmcow dump vg0/snap
  dmcow dump --ranges --output csv snap.img
  dmcow dump --old 4096-8191 --output json snap.img | jq .exceptions
`
}

func (c *dumpCmd) Run(a *app) error {
	w, err := a.openCOW(string(c.COW), c.section, 0)
	if err != nil {
		return err
	}
	defer w.close()
	s, err := c.write(a, w)
	if err != nil {
		return err
	}
	a.conclude(w, s)
	if c.Output == dump.CSV && (s.State() == store.Invalid || s.State() == store.Uninitialized) {
		a.say(w.path, "%s", describe(s)) // rows do not tell
	}
	if last := s.Usage.End.Area; c.Area != nil && s.Complete() && uint64(*c.Area) > uint64(last) && !c.Stale {
		a.say(w.path, "there is no area %d in the list, which ends in area %d", *c.Area, last)
	}
	return nil
}

// write writes the store in the format that was asked for, and returns what it
// found.
func (c *dumpCmd) write(a *app, w *cow) (store.Survey, error) {
	earlier, err := c.earlier(a, w)
	if err != nil {
		return store.Survey{}, err
	}
	if c.Output == dump.Human {
		s, err := a.survey(w)
		if err != nil || s.Identity.State == store.Foreign && earlier.IsZero() {
			return s, err // of what is no store there is nothing to show
		}
		if err := a.table(nil, a.summary(w, s)); err != nil || w.id.Geometry.IsZero() && earlier.IsZero() {
			return s, err
		}
	}
	d := dump.Store{
		Device: w.path, Earlier: earlier,
		Walk: w.walk(),
		Verdict: func(end format.End, err error) (string, []string) {
			s, _ := w.id.Survey(w.walk(), end, err)
			return s.State().String(), s.Faults()
		},
	}
	if w.id.State != store.Uninitialized {
		d.Header = &w.id.Header
	}
	p := a.walking(w, !isTerminal(a.stdout.file()))
	defer p.end()
	end, err := dump.Exceptions(a.stdout, d, c.Output, c.selection(), p.area)
	s, err := w.id.Survey(d.Walk, end, err)
	return s, ended(w.path, err)
}

// earlier is the geometry of an earlier life of a device that has no list now, zero where
// nothing speaks for one, or nobody asks.
func (c *dumpCmd) earlier(a *app, w *cow) (g format.Geometry, err error) {
	switch {
	case !c.Stale:
		return g, nil
	case !w.id.Geometry.IsZero():
		if n := w.id.Geometry.ChunkSectors(); c.ChunkSize != 0 && format.Sectors(c.ChunkSize) != n {
			return g, &failure{w.path, statusWrongUse, fmt.Errorf("--chunk-size: holds a store with chunks of %d sectors, and what is behind its list is read with those", n)}
		}
		return g, nil
	case c.ChunkSize != 0:
		return format.NewGeometry(uint32(c.ChunkSize))
	}
	p := a.walking(w, true)
	defer p.end()
	e, err := check.Probe(w.device, p.area)
	switch {
	case errors.Is(err, errInterrupted):
		return g, ended(w.path, err)
	case err != nil:
		return g, a.unreadable(w.path, err)
	case e == nil:
		a.say(w.path, "there is no list, and nothing speaks for one of an earlier life (--chunk-size looks without)")
		return g, nil
	}
	a.say(w.path, "there is no list: what an earlier life has left is read with chunks of %d sectors", e.Geometry.ChunkSectors())
	return e.Geometry, nil
}

func (c *dumpCmd) selection() dump.Selection {
	s := dump.Selection{Hidden: c.Hidden, Stale: c.Stale, Ranges: c.Ranges, Old: (*dump.Range)(c.Old), New: (*dump.Range)(c.New)}
	if c.Area != nil {
		s.Area = new(format.AreaIndex(*c.Area))
	}
	return s
}

// summary is what there is to say of a store before its exceptions.
func (a *app) summary(c *cow, s store.Survey) [][]string {
	rows := [][]string{
		{"device", printable(c.path) + ", " + sectors(c.size().Sectors())},
		{"state", a.paintState(s.State(), describe(s))},
	}
	u := s.Usage
	if g := u.Geometry; !g.IsZero() {
		rows = append(rows, []string{"chunk size", sectors(g.ChunkSectors())})
	}
	switch exceptions := strconv.FormatUint(u.End.Exceptions, 10); {
	case c.id.Geometry.IsZero():
	case !s.Complete():
		rows = append(rows, []string{"exceptions", exceptions + " can be read"})
	case u.End.Beyond != nil:
		rows = append(rows, []string{"exceptions", exceptions})
	default:
		rows = append(rows,
			[]string{"areas", strconv.FormatUint(u.Areas(), 10)},
			[]string{"exceptions", fmt.Sprintf("%s, the store is %.2f%% full", exceptions, u.Percent())})
	}
	return append(rows, users(c)...)
}
