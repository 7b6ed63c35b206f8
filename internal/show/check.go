package show

import (
	"cmp"
	"strings"

	"github.com/fatih/color"

	"dmcow/check"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// Check is a store that was checked.
type Check struct {
	*snapshot.Checked
	Names
	All bool // findings are shown, not only the first of each rule
}

// Write writes the verdict first, in a line, and the next command last.
func (c *Check) Write(t *Text) error {
	what := ""
	switch {
	case c.IsUndo:
		what = "an undo log; "
	case c.COW.Delta != nil:
		what = Delta(*c.COW.Delta) + "; "
	}
	t.Line("%s: %s%s", words.Printable(c.COW.Text), what, t.headline(&c.Report))
	for _, x := range c.Report.Tallies { // by severity
		if err := c.tally(t, x); err != nil {
			return err
		}
	}
	if notes := c.notes(); len(notes) > 0 {
		t.Line("\n%s", strings.Join(notes, "\n"))
	}
	if next := c.next(); next != "" {
		t.Line("")
		write := t.command
		if !strings.HasPrefix(next, "dmcow ") || c.IsUndo || c.COW.Delta != nil {
			write = func(text string) { t.Line("%s", text) }
		}
		write(t.paint(color.Bold, "next:") + " " + next)
	}
	return t.err
}

// notes say what was not tested or not read, and who else is at work.
func (c *Check) notes() (all []string) {
	for i, what := range c.Report.Untested {
		if i == 0 && c.Options.Origin == 0 {
			what += ": give --origin or --origin-size"
		}
		all = append(all, "not tested: "+what)
	}
	if len(c.Report.Unread) > 0 {
		all = append(all, "not checked: the parts that cannot be read")
	}
	if by := inUse(c.COW); by != "" {
		all = append(all, "in use by "+by)
	}
	return all
}

// severities are the colours of findings.
var severities = map[check.Severity]color.Attribute{check.Error: color.FgRed, check.Warning: color.FgYellow, check.Info: color.FgCyan}

// tally writes what one rule found, and what repairs it.
func (c *Check) tally(t *Text, x check.Tally) error {
	t.Line("\n%s %s", t.paint(severities[x.Severity], x.Severity.String()+":"), x.Name)
	err := c.Each(x, func(f check.Finding) error {
		if where := f.Where(); where != "" {
			t.Line("  %s: %s", where, f.Message())
		} else {
			t.Line("  %s", f.Message())
		}
		return t.err
	})
	if err != nil {
		return err
	}
	if x.Count > check.Shown && !c.All {
		t.Line("  and %d more (--all shows them)", x.Count-check.Shown)
	}
	t.Line("  kernel: %s", x.Kernel)
	if first := x.Findings[0]; first.Remedy() != "" {
		t.Line("  repair: %s", first.Remedy())
		if line, next := c.Command(first), c.next(); line != "" && line != next && first.Remedy() != next {
			t.command("          " + line)
		}
	}
	return t.err
}

// next is what the user does next: the remedy of what is to be seen to first.
func (c *Check) next() string {
	if c.Report.Outcome() == check.Invalid {
		return "dmcow revalidate --dry-run --assume-origin-unchanged " + c.Store
	}
	for _, x := range c.Report.Tallies {
		first := x.Findings[0]
		if x.Severity == check.Info || first.Remedy() == "" {
			continue
		}
		return cmp.Or(first.First(), c.Command(first), first.Remedy())
	}
	if c.IsUndo {
		return "dmcow merge " + c.Store + " --into DEVICE undoes the change that it recorded"
	}
	if c.COW.Delta != nil {
		return "dmcow receive --check " + c.Store + " verifies its digests; dmcow receive TARGET " + c.Store + " applies it"
	}
	if c.COW.IsMerging() && c.Report.Outcome() == check.Sound {
		return "dmcow merge " + c.Store
	}
	return ""
}
