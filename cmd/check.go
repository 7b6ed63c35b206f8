package cmd

import (
	"errors"
	"fmt"
	"slices"

	"dmcow/check"
	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type checkCmd struct {
	COW       []path `arg:"" optional:"" help:"COW devices, images of them, or VG/LV (LVM snapshots)."`
	Output    string `short:"o" default:"human" enum:"human,json" help:"Output format: human or json."`
	All       bool   `help:"Show all findings, not only the first ten of each rule."`
	Quiet     bool   `short:"q" help:"Print nothing; the exit status says all."`
	ListRules bool   `help:"Print the rules, without a device."`
	theOrigin `embed:""`
	section   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *checkCmd) Validate() error {
	switch {
	case c.ListRules && (len(c.COW) > 0 || c.Origin != "" || c.OriginSize != nil || c.isGiven()):
		return errors.New("--list-rules takes neither COW nor an origin")
	case c.ListRules && (c.Output != "human" || c.All || c.Quiet):
		return errors.New("--list-rules cannot be combined with --output, --all or --quiet")
	case c.ListRules:
		return nil
	case len(c.COW) == 0:
		return errors.New("missing COW")
	case len(c.COW) > 1 && c.isGiven():
		return errors.New("--offset and --size need a single COW device")
	case c.theOrigin.check() != nil:
		return c.theOrigin.check()
	case c.Quiet && (c.All || c.Output != "human"):
		return errors.New("--quiet cannot be combined with --all or --output")
	}
	return nil
}

func (c *checkCmd) Run(a *app) error {
	if c.ListRules {
		return show.Rules(a.text())
	}
	names := slices.Clone(c.COW)
	slices.Sort(names)
	all := &checks{app: a, flags: c, session: a.begin(c.volumes, ""), several: len(slices.Compact(names)) > 1}
	all.json.Several = all.several
	for i, p := range c.COW {
		if slices.Contains(c.COW[:i], p) {
			continue
		}
		if err := all.add(p); err != nil {
			return errors.Join(err, all.end())
		}
	}
	return all.end()
}

// checks are the checks of one or several stores.
type checks struct {
	app     *app
	flags   *checkCmd
	session *snapshot.Session
	several bool
	json    dump.Checks
	long    bool // the last one told more than its verdict
}

// add checks a store, and tells. One of several that cannot be opened does not keep the others from being checked.
func (s *checks) add(p path) error {
	a, c := s.app, s.flags
	x, err := s.session.Check(snapshot.CheckRequest{Request: c.request(p), Base: c.base(), All: c.All})
	if r := (*snapshot.Refusal)(nil); s.several && errors.As(err, &r) && r.Code != snapshot.Interrupted {
		a.fail(err)
		if c.Output == "json" {
			return s.json.Unreadable(a.stdout, string(p), r.Err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer x.Close()
	a.found(x.COW.Text, &x.Report)
	if x.Report.Identity.State == look.Invalid {
		a.status |= a.outcomes.invalid
	}
	if x.Report.Outcome() == check.Damaged {
		a.status |= a.outcomes.damaged
	}
	v := &show.Check{Checked: x, Names: c.names(a, x.COW), All: c.All}
	switch {
	case c.Quiet:
		return nil
	case c.Output == "json":
		return s.json.Add(a.stdout, dump.Check{Device: x.COW.Text, Report: &x.Report, Each: x.Each, Remedy: v.Remedy})
	}
	t := a.text()
	if s.long {
		t.Line("")
	}
	err = v.Write(t)
	s.long = t.Lines() > 1
	return err
}

func (s *checks) end() error {
	if s.flags.Output != "json" {
		return nil
	}
	return s.json.End(s.app.stdout)
}

// names are the store and the flag that names its origin, as they were given.
func (c *checkCmd) names(a *app, cow *snapshot.COW) show.Names {
	n := show.Names{Store: a.again(cow.Text), Origin: show.AnyOrigin}
	if at := cow.Part.Offset; at != 0 {
		n.Store += fmt.Sprintf(" --offset %ds", at.Sectors())
	}
	if size := cow.Part.Size; size != nil {
		n.Store += fmt.Sprintf(" --size %ds", size.Sectors())
	}
	switch {
	case c.Origin != "":
		n.Origin = originFlag(string(c.Origin))
	case c.OriginSize != nil:
		n.Origin = fmt.Sprintf(" --origin-size %ds", format.Bytes(*c.OriginSize).Sectors())
	case snapshot.IsVolume(cow.Text):
		n.Origin = ""
	}
	return n
}
