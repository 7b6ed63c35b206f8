package cmd

import (
	"errors"
	"fmt"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
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

func (checkCmd) Help() string {
	return `
Looks for every fault of a store, and says of each where it is, what the kernel
does with it and what mends it. It writes nothing.

  dmcow check vg0/snap
  dmcow check vg0/snap --pv disk.img
  dmcow check --origin /dev/vg0/data snap.img
  dmcow check --quiet snap.img && dmcow dump snap.img
  dmcow check --output json snap.img | jq '.findings[].rule'

Rules:

` + ruleNames() + `
dmcow check --list-rules says what they mean.
`
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
	case c.ListRules && (c.COW != "" || c.Origin != "" || c.OriginSize != nil || c.given()):
		return errors.New("--list-rules: expected no COW device, and no origin")
	case c.ListRules && (c.Output != "human" || c.All || c.Quiet):
		return errors.New("--list-rules: cannot go with --output, --all or --quiet")
	case c.ListRules:
		return nil
	case c.COW == "":
		return errors.New(`expected "<cow>"`)
	case c.theOrigin.invalid() != nil:
		return c.theOrigin.invalid()
	case c.Quiet && (c.All || c.Output != "human"):
		return errors.New("--quiet: cannot go with --all or --output")
	}
	return nil
}

func (c *checkCmd) Run(a *app) error {
	if c.ListRules {
		return a.listRules()
	}
	n, err := a.named(string(c.COW), c.volumes, false)
	if err != nil {
		return err
	}
	a.readRecord(n)
	base, err := a.baseOf(c.theOrigin, n)
	if err != nil {
		return err
	}
	defer base.close()
	w, err := a.openNamed(n, c.section, 0)
	if err != nil {
		return err
	}
	defer w.close()
	if w.container != "" {
		return &failure{w.path, a.outcomes.foreign, errors.New(w.container)}
	}
	p := a.walking(w, true)
	defer p.end()
	o := check.Options{
		Device: w.device, Origin: base.size, Content: base.content(w), Recorded: format.Sectors(w.recorded()),
		Live: len(w.holders) > 0, Words: device.Words, Visit: p.area,
	}
	r, err := check.Make(o)
	p.end()
	if err != nil {
		return a.checkFailed(w, err)
	}
	if w.volume != nil && w.volume.Gone != nil {
		r.Unread = append(r.Unread, w.volume.Gone)
	}
	a.status |= a.found(&r)
	v := checked{app: a, cow: w, Report: &r, options: o, section: c.section, all: c.All}
	switch {
	case c.Quiet:
	case c.Output == "json":
		err = v.json()
	default:
		err = v.human()
	}
	for _, unread := range r.Unread {
		if w.volume != nil && unread == w.volume.Gone {
			continue // it was told
		}
		a.fail(a.unreadable(w.path, unread))
	}
	return err
}

// checkFailed is the failure of a check that came to nothing.
func (a *app) checkFailed(w *cow, err error) error {
	if errors.Is(err, errInterrupted) {
		return ended(w.path, err)
	}
	return a.unreadable(w.path, err)
}

// found is the status for what a check has found. A store can be both damaged and
// marked invalid.
func (a *app) found(r *check.Report) (s status) {
	if r.Identity.State == store.Invalid {
		s |= a.outcomes.invalid
	}
	if r.Outcome() == check.Damaged {
		s |= a.outcomes.damaged
	}
	return s
}

// listRules prints the rules.
func (a *app) listRules() error {
	for _, r := range check.Rules() {
		_, err := fmt.Fprintf(a.stdout, "%s (%s)\n  when:   %s\n  kernel: %s\n", r.Name, r.Severity, r.When, r.Kernel)
		if err == nil && r.Repair != "" {
			_, err = fmt.Fprintf(a.stdout, "  repair: %s\n", remedy(check.Finding{Rule: r}, "COW"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
