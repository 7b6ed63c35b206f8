package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/store"
)

type dumpCmd struct {
	COW     string      `arg:"" help:"COW device, or an image of one."`
	Output  string      `default:"human" enum:"human,csv,json" help:"How to write: ${enum}."`
	Ranges  bool        `help:"Join runs of exceptions in which old and new chunk both advance by one."`
	Area    *uint64     `placeholder:"N" help:"Only the exceptions of metadata area N."`
	Old     *chunkRange `placeholder:"A[-B]" help:"Only these chunks of the origin."`
	New     *chunkRange `placeholder:"A[-B]" help:"Only these chunks of the COW device."`
	Hidden  bool        `help:"Also what lies behind the end of the list in its area: entries that the kernel does not see, until the gap before them fills."`
	section `embed:""`
}

func (dumpCmd) Help() string {
	return `
Prints a summary of the store and its exceptions: which chunk of the origin
has its snapshot content in which chunk of the COW device. Of a damaged store
it prints what can be read, then what is wrong.

  dmcow dump /dev/mapper/vg0-snap-cow
  dmcow dump --ranges --output csv snap.img
  dmcow dump --old 4096-8191 --output json snap.img | jq .exceptions
`
}

func (c *dumpCmd) Run(a *app) error {
	w, ok := a.openCOW(c.COW, c.section, 0)
	if !ok {
		return nil
	}
	defer w.Close()
	if c.Output == string(dump.Human) && !c.summary(a, w) {
		return nil
	}
	u, err := c.exceptions(a, w)
	a.conclude(w, u, err)
	if c.Output == string(dump.CSV) && u.End.Beyond == nil && w.State != store.Valid && w.Fault == "" {
		a.say(c.COW, "%s", w.describe(w.State)) // rows do not tell the state
	}
	if c.Area != nil && err == nil && *c.Area > uint64(u.End.Area) {
		a.say(c.COW, "there is no area %d in the list, which ends in area %d", *c.Area, u.End.Area)
	}
	return nil
}

// summary writes what there is to say of a store before its exceptions, and
// tells whether these are to follow.
func (c *dumpCmd) summary(a *app, w cow) bool {
	if w.Foreign {
		a.conclude(w, store.Usage{}, nil)
		return false
	}
	u, err := a.scan(w)
	if errors.Is(err, errInterrupted) {
		a.conclude(w, u, err)
		return false
	}
	if e := a.table(nil, w.summary(a, u, err)); e != nil {
		a.written(e)
		return false
	}
	if w.Geometry.IsZero() {
		a.conclude(w, u, err)
		return false
	}
	return true
}

// exceptions writes the exceptions and returns the usage that the walk found.
func (c *dumpCmd) exceptions(a *app, w cow) (store.Usage, error) {
	s := dump.Store{
		Device: c.COW,
		Walk:   w.walk(),
		State: func(end format.End, err error) string {
			return string(w.state(w.usage(end), err))
		},
	}
	if w.State != store.Uninitialized {
		s.Header = &w.Header
	}
	p := a.newProgress(w, !isTerminal(a.stdout))
	defer p.end()
	end, err := dump.Exceptions(a.stdout, s, dump.Format(c.Output), c.selection(), p.visit)
	return w.usage(end), err
}

func (c *dumpCmd) selection() dump.Selection {
	s := dump.Selection{Hidden: c.Hidden, Ranges: c.Ranges}
	if c.Area != nil {
		k := format.AreaIndex(*c.Area)
		s.Area = &k
	}
	if c.Old != nil {
		s.Old = &dump.Range{First: c.Old.first, Last: c.Old.last}
	}
	if c.New != nil {
		s.New = &dump.Range{First: c.New.first, Last: c.New.last}
	}
	return s
}

// summary is what there is to say of a store after a walk that ended in u and
// err.
func (w cow) summary(a *app, u store.Usage, err error) [][]string {
	size, state := format.Bytes(w.Size()), w.state(u, err)
	rows := [][]string{
		{"device", fmt.Sprintf("%s, %d sectors (%s)", w.Path(), size.Sectors(), binarySize(size))},
		{"state", a.paintState(state, w.describe(state))},
	}
	if g := u.Geometry; !g.IsZero() {
		rows = append(rows, []string{"chunk size", fmt.Sprintf("%d sectors (%s)", g.ChunkSectors(), binarySize(g.ChunkBytes()))})
	}
	if !w.Geometry.IsZero() {
		rows = append(rows,
			[]string{"areas", strconv.FormatUint(u.Areas(), 10)},
			[]string{"exceptions", fmt.Sprintf("%d, the store is %.2f%% full", u.End.Exceptions, u.Percent())})
	}
	if h := w.Holders(); len(h) > 0 {
		rows = append(rows, []string{"in use by", strings.Join(h, ", ") + ": figures may move"})
	}
	return rows
}

// describe says what a state means.
func (w cow) describe(s store.State) string {
	switch s {
	case store.Invalid:
		return "the snapshot is marked invalid: the kernel serves nothing of it"
	case store.Uninitialized:
		if w.Leftover {
			return "uninitialized: the kernel would make a new store here. The first 4096 bytes are zero and what follows is not: " +
				"a new LVM snapshot over old blocks, or a header that was wiped"
		}
		return "uninitialized: the device is blank, and the kernel would make a new store here"
	}
	return string(s)
}
