package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"dmcow/check"
	"dmcow/format"
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
		w.plain("\n" + words.Command(v.app.paint(color.Bold, "next:")+" "+next, w.columns))
	}
	return w.err
}

// notes say what was not tested or not read, and who else is at work.
func (v *checked) notes() (all []string) {
	for _, what := range v.Report.Untested {
		all = append(all, "not tested: "+what)
	}
	if len(v.Report.Untested) > 0 && v.Options.Origin == 0 {
		all = append(all, "            (name it with --origin or --origin-size)")
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
		text = fmt.Sprintf("%s: %s in %s", a.paint(color.FgGreen, "sound"), words.Count(r.Exceptions, "exception"), words.Count(r.Areas, "area"))
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
		w.line("  repair: %s", first.Remedy())
		if c := v.app.command(first, v.target(), v.origin()); c != "" && c != v.next() && first.Remedy() != v.next() {
			w.plain(words.Command("          "+c, w.columns))
		}
	}
	return w.err
}

// next is what the user does next: the remedy of what is to be seen to first.
func (v *checked) next() string {
	if v.Report.Outcome() == check.Invalid {
		return "dmcow revalidate --dry-run " + v.target()
	}
	for _, t := range v.Report.Tallies {
		first := t.Findings[0]
		if t.Severity == check.Info || first.Remedy() == "" {
			continue
		}
		return cmp.Or(v.app.command(first, v.target(), v.origin()), first.Remedy())
	}
	return ""
}

// remedy is what repairs a finding, with the command that does.
func (v *checked) remedy(f check.Finding) string { return v.app.remedy(f, v.target(), v.origin()) }

func (a *app) remedy(f check.Finding, target, origin string) string {
	if command := a.command(f, target, origin); command != "" {
		return f.Remedy() + " (" + command + ")"
	}
	return f.Remedy()
}

// command is the command line that repairs a finding; it is empty where none does. The origin is the flag that
// names it, and empty where the command knows it.
func (a *app) command(f check.Finding, target, origin string) string {
	if f.Fix() == "" {
		return ""
	}
	return "dmcow " + strings.Replace(f.Fix(), " --origin ORIGIN", origin, 1) + " " + target
}

// origin is the flag that names the origin, as it was given.
func (v *checked) origin() string {
	switch {
	case v.flags.Origin != "":
		return " --origin " + words.Shell(string(v.flags.Origin))
	case v.flags.OriginSize != nil:
		return fmt.Sprintf(" --origin-size %ds", format.Bytes(*v.flags.OriginSize).Sectors())
	case snapshot.IsVolume(v.COW.Text):
		return ""
	}
	return " --origin ORIGIN"
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

// lines writes text for people until that fails.
type lines struct {
	w       io.Writer
	columns int // that it is wrapped to; 0 for never
	n       int // how many
	err     error
}

// linesTo writes to a stream; what knows its width is wrapped to that.
func linesTo(w io.Writer) *lines {
	l := &lines{w: w}
	if x, ok := w.(interface{ Width() int }); ok {
		l.columns = x.Width()
	}
	return l
}

func (l *lines) line(format string, args ...any) {
	l.plain(words.Wrap(fmt.Sprintf(format, args...), l.columns, "  "))
}

// plain writes what is wrapped already.
func (l *lines) plain(text string) {
	l.n++
	if l.err == nil {
		_, l.err = fmt.Fprintln(l.w, text)
	}
}
