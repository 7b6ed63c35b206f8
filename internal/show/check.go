package show

import (
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
	t.Line("%s: %s", words.Printable(c.COW.Text), t.headline(&c.Report))
	for _, x := range c.Report.Tallies { // by severity
		if err := c.tally(t, x); err != nil {
			return err
		}
	}
	if notes := c.notes(); len(notes) > 0 {
		t.Line("\n%s", strings.Join(notes, "\n"))
	}
	if next, typed := c.next(); next != "" {
		t.Line("")
		next = t.paint(color.Bold, "next:") + " " + next
		if typed {
			t.command(next)
		} else {
			t.Line("%s", next)
		}
	}
	return t.err
}

// notes say what was not tested or not read, and who else is at work.
func (c *Check) notes() (all []string) {
	for _, what := range c.Report.Untested {
		all = append(all, "not tested: "+what)
	}
	if len(c.Report.Untested) > 0 && c.Options.Origin == 0 {
		all = append(all, "            (name it with --origin or --origin-size)")
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
		next, _ := c.next()
		if line := c.Command(first); line != "" && line != next && first.Remedy() != next {
			t.command("          " + line)
		}
	}
	return t.err
}

// next is what the user does next: the remedy of what is to be seen to first. typed says that it is a command line.
func (c *Check) next() (next string, typed bool) {
	if c.Report.Outcome() == check.Invalid {
		return "dmcow revalidate --dry-run --assume-origin-unchanged " + c.Store, true
	}
	for _, x := range c.Report.Tallies {
		first := x.Findings[0]
		if x.Severity == check.Info || first.Remedy() == "" {
			continue
		}
		if begin := first.Begin(); begin != "" {
			return begin, false
		}
		if line := c.Command(first); line != "" {
			return line, true
		}
		return first.Remedy(), false
	}
	return "", false
}
