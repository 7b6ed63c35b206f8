package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/dump"
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

// ruleNames are the rules' names by severity, for the help.
func ruleNames() string {
	names := map[check.Severity][]string{}
	for _, r := range check.Rules() {
		names[r.Severity] = append(names[r.Severity], r.Name)
	}
	var b strings.Builder
	for _, s := range []check.Severity{check.Error, check.Warning, check.Info} {
		const width = 64
		line := fmt.Sprintf("  %-8s", s)
		for _, name := range names[s] {
			if len(line)+len(name) > width {
				b.WriteString(line + "\n")
				line = fmt.Sprintf("  %-8s", "")
			}
			line += " " + name
		}
		b.WriteString(line + "\n")
	}
	return b.String()
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
		return a.listRules()
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
	v := checked{app: a, flags: c, Checked: x}
	switch {
	case c.Quiet:
		return nil
	case c.Output == "json":
		return s.json.Add(a.stdout, dump.Check{Device: x.COW.Text, Report: &x.Report, Each: x.Each, Remedy: v.remedy})
	}
	w := linesTo(a.stdout)
	if s.long {
		w.line("")
	}
	err = v.human(w)
	s.long = w.n > 1
	return err
}

func (s *checks) end() error {
	if s.flags.Output != "json" {
		return nil
	}
	return s.json.End(s.app.stdout)
}

func (a *app) listRules() error {
	w := linesTo(a.stdout)
	for _, r := range check.Rules() {
		w.line("%s (%s)\n  when:   %s\n  kernel: %s", r.Name, r.Severity, r.When, r.Kernel)
		if r.Repair != "" {
			w.line("  repair: %s", a.remedy(check.Finding{Rule: r}, "COW", " --origin ORIGIN"))
		}
	}
	return w.err
}
