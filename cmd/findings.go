package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"dmcow/check"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// checked is a check to be told.
type checked struct {
	app   *app
	flags *checkCmd
	*snapshot.Checked
}

// human writes the verdict first, in a line, and the next command last.
func (v *checked) human(w *lines) error {
	w.line("%s: %s", words.Printable(v.COW.Text), v.app.headline(&v.Report))
	for _, t := range v.Report.Tallies { // by severity
		if err := v.group(w, t); err != nil {
			return err
		}
	}
	if notes := v.notes(); len(notes) > 0 {
		w.line("\n%s", strings.Join(notes, "\n"))
	}
	if next := v.next(); next != "" {
		w.line("\nnext: %s", next)
	}
	return w.err
}

// notes say what was not tested or not read, and who else is at work.
func (v *checked) notes() (all []string) {
	for _, what := range v.Report.Untested {
		all = append(all, "not tested: "+what)
	}
	if len(v.Report.Untested) > 0 && v.Options.Origin == 0 {
		all = append(all, "            (--origin or --origin-size tells)")
	}
	if len(v.Report.Unread) > 0 {
		all = append(all, "not checked: the parts that cannot be read")
	}
	if len(v.COW.Holders) > 0 {
		all = append(all, "in use by "+strings.Join(v.COW.Holders, ", ")+": figures may change")
	}
	return all
}

// headline is the verdict of a check in words.
func (a *app) headline(r *check.Report) string {
	var text string
	switch r.Outcome() {
	case check.Damaged:
		fate := fates[r.Fate()]
		if r.Identity.State == look.Invalid {
			fate = "the snapshot is marked invalid, and the kernel does not serve it"
		}
		return fmt.Sprintf("%s: %s; %s", a.paint(color.FgRed, "damaged"), words.Count(r.Count(check.Error), "error"), fate)
	case check.Invalid:
		text = a.paint(color.FgRed, "invalid") + ": the store is sound, but the snapshot is marked invalid, and the kernel does not serve it"
	case check.Uninitialized:
		text = "uninitialized: the kernel would write a new store here"
	case check.Sound:
		text = fmt.Sprintf("sound: %s in %s", words.Count(r.Exceptions, "exception"), words.Count(r.Areas, "area"))
	}
	if len(r.Unread) > 0 {
		text = fmt.Sprintf("%s; what was read (%s) has no errors", a.paint(color.FgRed, "not everything could be read"), words.Count(r.Exceptions, "exception"))
	}
	if n := r.Count(check.Warning); n > 0 {
		text += "; " + a.paint(color.FgYellow, words.Count(n, "warning"))
	}
	return text
}

// fates say what the kernel would do with a store that has errors.
var fates = map[check.Fate]string{
	check.Serves:  "the kernel would load it and serve it",
	check.Loses:   "the kernel would load it and lose the snapshot later",
	check.Wrong:   "the kernel would load it and serve wrong data",
	check.Refuses: "the kernel would refuse it",
	check.Formats: "the kernel would write an empty store over it",
}

func (v *checked) group(w *lines, t check.Tally) error {
	colour := map[check.Severity]color.Attribute{check.Error: color.FgRed, check.Warning: color.FgYellow, check.Info: color.FgCyan}
	w.line("\n%s %s", v.app.paint(colour[t.Severity], t.Severity.String()+":"), t.Name)
	err := v.Each(t, func(f check.Finding) error {
		if where := f.Where(); where != "" {
			w.line("  %s: %s", where, f.Message())
		} else {
			w.line("  %s", f.Message())
		}
		return w.err
	})
	if err != nil {
		return err
	}
	if t.Count > check.Shown && !v.flags.All {
		w.line("  and %d more (--all shows them)", t.Count-check.Shown)
	}
	w.line("  kernel: %s", t.Kernel)
	if first := t.Findings[0]; first.Remedy() != "" {
		w.line("  repair: %s", v.remedy(first))
	}
	return w.err
}

// next is what the user does next: the remedy of what is to be seen to first.
func (v *checked) next() string {
	if v.Report.Outcome() == check.Invalid {
		return "dmcow revalidate --dry-run " + v.target() + " (tells what it costs to take that back)"
	}
	for _, t := range v.Report.Tallies {
		first := t.Findings[0]
		if t.Severity == check.Info || first.Remedy() == "" {
			continue
		}
		return v.remedy(first)
	}
	return ""
}

// remedy is what mends a finding, with the command that does.
func (v *checked) remedy(f check.Finding) string { return v.app.remedy(f, v.target()) }

func (a *app) remedy(f check.Finding, target string) string {
	if f.Command == "" {
		return f.Remedy()
	}
	return f.Remedy() + " (dmcow " + f.Command + " " + target + ")"
}

// target is the store as a command line names it.
func (v *checked) target() string {
	word := v.app.again(v.COW.Text)
	if part := v.COW.Part; part.Offset != 0 {
		word += fmt.Sprintf(" --offset %ds", part.Offset.Sectors())
	}
	if size := v.COW.Part.Size; size != nil {
		word += fmt.Sprintf(" --size %ds", size.Sectors())
	}
	return word
}

// lines writes text until that fails.
type lines struct {
	w   io.Writer
	n   int // how many
	err error
}

func (l *lines) line(format string, args ...any) {
	l.n++
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}
