package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store"
)

// checked is a check to be told.
type checked struct {
	*app
	cow *cow
	*check.Report
	options check.Options
	section section
	all     bool // show all findings
}

// each calls show for the findings of a rule that are to be shown. A report does
// not keep them all: where they are wanted, the check is done again.
func (v *checked) each(t check.Tally, show func(check.Finding) error) error {
	if !v.all || t.Count <= check.Shown {
		for _, f := range t.Findings {
			if err := show(f); err != nil {
				return err
			}
		}
		return nil
	}
	var failed error
	r, err := check.Run(v.options, func(f check.Finding) error {
		if f.Rule == t.Rule {
			failed = show(f)
		}
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return v.checkFailed(v.cow, err)
	case len(r.Unread) > len(v.Unread):
		return v.unreadable(v.cow.path, r.Unread[0])
	}
	return nil
}

// human writes the verdict first, in a line, and the next command last.
func (v *checked) human() error {
	w := &lines{w: v.stdout}
	w.line("%s: %s", printable(v.cow.path), v.headline())
	for _, t := range v.Tallies { // by severity
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
	for _, what := range v.Untested {
		all = append(all, "not tested: "+what)
	}
	if len(v.Untested) > 0 && v.options.Origin == 0 {
		all = append(all, "            (--origin or --origin-size tells)")
	}
	if len(v.Unread) > 0 {
		all = append(all, "not checked: what could not be read")
	}
	if len(v.cow.holders) > 0 {
		all = append(all, "in use by "+strings.Join(v.cow.holders, ", ")+": figures may move")
	}
	return all
}

// headline is the verdict in words.
func (v *checked) headline() string {
	var text string
	switch v.Outcome() {
	case check.Damaged:
		fate := fates[v.Fate()]
		if v.Identity.State == store.Invalid {
			fate = "the snapshot is marked invalid, and the kernel serves nothing of it"
		}
		return fmt.Sprintf("%s: %s; %s", v.paint(color.FgRed, "damaged"), count(v.Count(check.Error), "error"), fate)
	case check.Invalid:
		text = v.paint(color.FgRed, "invalid") + ": the store is sound, but the snapshot is marked invalid, and the kernel serves nothing of it"
	case check.Uninitialized:
		text = "uninitialized: the kernel would make a new store here"
	case check.Sound:
		text = fmt.Sprintf("sound: %s in %s", count(v.Exceptions, "exception"), count(v.Areas, "area"))
	}
	if len(v.Unread) > 0 {
		text = fmt.Sprintf("%s, and in what was, %s, there are no errors", v.paint(color.FgRed, "not all could be read"), count(v.Exceptions, "exception"))
	}
	if n := v.Count(check.Warning); n > 0 {
		text += "; " + v.paint(color.FgYellow, count(n, "warning"))
	}
	return text
}

// fates say what the kernel would do with a store that has errors.
var fates = map[check.Fate]string{
	check.Serves:  "the kernel would load it and serve it",
	check.Loses:   "the kernel would load it, and lose the snapshot later",
	check.Wrong:   "the kernel would load it and serve wrong data",
	check.Refuses: "the kernel would refuse it",
	check.Formats: "the kernel would write an empty store over it",
}

// count is "1 area", or of many.
func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// group writes the findings of a rule.
func (v *checked) group(w *lines, t check.Tally) error {
	colour := map[check.Severity]color.Attribute{check.Error: color.FgRed, check.Warning: color.FgYellow, check.Info: color.FgCyan}
	w.line("\n%s %s", v.paint(colour[t.Severity], t.Severity.String()+":"), t.Name)
	err := v.each(t, func(f check.Finding) error {
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
	if t.Count > check.Shown && !v.all {
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
	if v.Outcome() == check.Invalid {
		return "dmcow revalidate --dry-run " + v.target() + " (tells what it costs to take that back)"
	}
	for _, t := range v.Tallies {
		first := t.Findings[0]
		if t.Severity == check.Info || first.Remedy() == "" {
			continue
		}
		return v.remedy(first)
	}
	return ""
}

// remedy is what mends a finding, with the command that does.
func (v *checked) remedy(f check.Finding) string { return remedy(f, v.target()) }

func remedy(f check.Finding, target string) string {
	if command := commandOf(f.Rule, target); command != "" {
		return f.Remedy() + " (" + command + ")"
	}
	return f.Remedy()
}

// shellWord is a text as a shell takes it; one that cannot be printed, as a person reads it.
func shellWord(s string) string {
	word := printable(s)
	if word == s && strings.ContainsAny(word, " \"'\\$`&;|<>()*?[]#~!{}") {
		word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// asPath is the path of a file as a shell takes it; one that would be taken for VG/LV gets
// another form.
func asPath(name string) string {
	if isVolumeName(name) {
		name = "./" + name
	}
	return shellWord(name)
}

// target is the store as a command line names it.
func (v *checked) target() string {
	word := v.cow.again()
	if v.section.Offset != 0 {
		word += fmt.Sprintf(" --offset %ds", format.Bytes(v.section.Offset).Sectors())
	}
	if v.section.Size != nil {
		word += fmt.Sprintf(" --size %ds", format.Bytes(*v.section.Size).Sectors())
	}
	return word
}

// commandOf is the command line that mends what a rule finds; it is empty where none
// does.
func commandOf(r *check.Rule, target string) string {
	if r.Command == "" {
		return ""
	}
	return "dmcow " + r.Command + " " + target
}

// lines writes text until that fails.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) print(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

func (l *lines) line(format string, args ...any) { l.print(format+"\n", args...) }

// finding is what programs are told of one: the fields are stable in name and
// meaning. What a finding is not about is null.
type finding struct {
	Rule     string  `json:"rule"`
	Severity string  `json:"severity"`
	Area     *uint64 `json:"area"`
	Index    *uint64 `json:"index"`
	OldChunk *uint64 `json:"old_chunk"`
	NewChunk *uint64 `json:"new_chunk"`
	// Where the exception stands with which this one shares a chunk.
	OtherArea  *uint64 `json:"other_area"`
	OtherIndex *uint64 `json:"other_index"`
	Message    string  `json:"message"`
	Kernel     string  `json:"kernel"`
	Repair     string  `json:"repair"`
}

func (v *checked) record(f check.Finding) finding {
	r := finding{
		Rule: f.Name, Severity: f.Severity.String(), Message: f.Message(),
		Kernel: f.Kernel, Repair: v.remedy(f),
	}
	if f.Scope != check.OfStore {
		r.Area = new(uint64(f.Area))
	}
	if f.Scope == check.OfPlace || f.Scope == check.OfException {
		r.Index = new(uint64(f.Index))
	}
	if f.Scope == check.OfException {
		r.OldChunk, r.NewChunk = new(uint64(f.Old)), new(uint64(f.New))
	}
	if f.Other != nil {
		r.OtherArea, r.OtherIndex = new(uint64(f.Other.Area)), new(uint64(f.Other.Index))
	}
	return r
}

// summary is what programs are told before the findings.
type summary struct {
	Device     string            `json:"device"`
	Result     check.Outcome     `json:"result"`
	Exceptions uint64            `json:"exceptions"`
	Areas      uint64            `json:"areas"`
	Counts     map[string]uint64 `json:"counts"` // findings, by rule
	Unread     []string          `json:"unread"`
	Untested   []string          `json:"untested"`
}

// json writes one object. Findings go out as they come: there may be many.
func (v *checked) json() error {
	s := summary{
		Device: v.cow.path, Result: v.Outcome(), Exceptions: v.Exceptions, Areas: v.Areas,
		Counts: map[string]uint64{}, Unread: []string{}, Untested: append([]string{}, v.Untested...),
	}
	for _, t := range v.Tallies {
		s.Counts[t.Name] = t.Count
	}
	for _, err := range v.Unread {
		s.Unread = append(s.Unread, err.Error())
	}
	w := &lines{w: v.stdout}
	w.print("%s,\n \"findings\": [", strings.TrimSuffix(indented(s, ""), "\n}"))
	separator := ""
	var err error
	for _, t := range v.Tallies {
		if err = v.each(t, func(f check.Finding) error {
			w.print("%s\n  %s", separator, indented(v.record(f), "  "))
			separator = ","
			return w.err
		}); err != nil {
			break
		}
	}
	w.line("\n ]\n}") // it ends whole, whatever happens
	if w.err != nil {
		return w.err
	}
	return err
}

// indented is v in JSON, a field a line, each but the first behind the prefix.
func indented(v any, prefix string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, " ")
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
