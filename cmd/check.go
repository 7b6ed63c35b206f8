package cmd

import (
	"errors"
	"fmt"
	"strings"

	"dmcow/check"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type checkCmd struct {
	COW       path   `arg:"" optional:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	Output    string `default:"human" enum:"human,json" help:"How to write: ${enum}."`
	All       bool   `help:"Show all findings, not only the first ten of each rule."`
	Quiet     bool   `short:"q" help:"Print no findings: the exit status tells."`
	ListRules bool   `help:"Print the rules, and look at no device."`
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
	case c.ListRules && (c.COW != "" || c.Origin != "" || c.OriginSize != nil || c.isGiven()):
		return errors.New("--list-rules goes without COW and origin")
	case c.ListRules && (c.Output != "human" || c.All || c.Quiet):
		return errors.New("--list-rules excludes --output, --all and --quiet")
	case c.ListRules:
		return nil
	case c.COW == "":
		return errors.New("missing COW")
	case c.theOrigin.check() != nil:
		return c.theOrigin.check()
	case c.Quiet && (c.All || c.Output != "human"):
		return errors.New("--quiet excludes --all and --output")
	}
	return nil
}

func (c *checkCmd) Run(a *app) error {
	if c.ListRules {
		return a.listRules()
	}
	x, err := a.begin(c.volumes, "").Check(snapshot.CheckRequest{Request: c.request(c.COW), Base: c.base(), All: c.All})
	if err != nil {
		return err
	}
	defer x.Close()
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
		return v.json()
	}
	return v.human()
}

func (a *app) listRules() error {
	w := a.lines()
	for _, r := range check.Rules() {
		w.line("%s (%s)\n  when:   %s\n  kernel: %s", r.Name, r.Severity, r.When, r.Kernel)
		if r.Repair != "" {
			w.line("  repair: %s", a.remedy(check.Finding{Rule: r}, "COW", " --origin ORIGIN"))
		}
	}
	return w.err
}
