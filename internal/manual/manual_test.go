package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/cmd"
	"dmcow/dump"
)

const someDay = "2026-11-30"

// written are the pages by name and section, as "dmcow-check(8)".
func written() map[string]*page {
	all := map[string]*page{}
	for _, p := range pages(someDay) {
		all[fmt.Sprintf("%s(%d)", p.name, p.section)] = p
	}
	return all
}

// headings are a page's sections.
func headings(p *page) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^\.SH "?([^"\n]*)`).FindAllStringSubmatch(p.String(), -1) {
		all = append(all, m[1])
	}
	return all
}

// TestCommandPages: each command has a page with all that such a page has, and dmcow(8) names it.
func TestCommandPages(t *testing.T) {
	all := written()
	for _, node := range cmd.Model().Children {
		if node.Hidden {
			continue
		}
		p := all["dmcow-"+node.Name+"(8)"]
		if p == nil {
			t.Errorf("%s has no page", node.Name)
			continue
		}
		want := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"}
		if got := headings(p); !slices.Equal(got, want) {
			t.Errorf("%s: %q", node.Name, got)
		}
		for _, f := range node.Flags {
			if term := `.TP` + "\n" + `\fB\-\-` + escape(f.Name) + `\fR`; !f.Hidden && f.Name != "help" && !strings.Contains(p.String(), term) &&
				!strings.Contains(p.String(), `, \fB\-\-`+escape(f.Name)+`\fR`) {
				t.Errorf("%s: the page lacks --%s", node.Name, f.Name)
			}
		}
		for _, s := range cmd.ExitStatuses() {
			if !strings.Contains(p.String(), fmt.Sprintf(".TP\n%d\n%s", s.Status, escape(s.Means)[:4])) {
				t.Errorf("%s: the page lacks the exit status %d", node.Name, s.Status)
			}
		}
		if p.section != 8 || !strings.Contains(p.String(), ".EX\ndmcow "+escape(node.Name)) {
			t.Errorf("%s: the page has no example", node.Name)
		}
		if !strings.Contains(all["dmcow(8)"].String(), `\fBdmcow\-`+escape(node.Name)+`\fR(8)`) {
			t.Errorf("dmcow(8) lacks %s", node.Name)
		}
	}
}

// TestRulesPage: dmcow-rules(7) has every rule, with what the rule says.
func TestRulesPage(t *testing.T) {
	text := strings.Join(strings.Fields(written()["dmcow-rules(7)"].String()), " ")
	for _, r := range check.Rules() {
		for _, part := range []string{`.SS ` + escape(r.Name), bold(r.When), bold(r.Kernel), bold(r.Repair)} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q", r.Name, part)
			}
		}
	}
}

// TestFormatsPage: dmcow-formats(5) has every field of every document, and every metric.
func TestFormatsPage(t *testing.T) {
	text := written()["dmcow-formats(5)"].String()
	for _, d := range dump.Documented() {
		command := "dmcow " + d.Command
		if d.Command == "" {
			command = "any command"
		}
		parts := strings.Split(text, "\n.S")
		at := slices.IndexFunc(parts, func(part string) bool {
			heading, _, _ := strings.Cut(part, "\n")
			return strings.HasPrefix(heading, `S "`+escape(command+" ")) && strings.Contains(heading, escape(d.Flag))
		})
		if at < 0 {
			t.Errorf("%s %s has no section", d.Command, d.Flag)
			continue
		}
		for _, f := range dump.Fields(d.Type) {
			if !strings.Contains(parts[at], `\fB`+escape(f.Name)+`\fR (`) {
				t.Errorf("%s %s: no %s", d.Command, d.Flag, f.Name)
			}
		}
	}
	if n := strings.Count(text, `\fBdmcow_snapshot_`); n != 20 {
		t.Errorf("%d metrics", n)
	}
}

// TestReferences: what a page names of the manual of dmcow is there.
func TestReferences(t *testing.T) {
	all := written()
	for name, p := range all {
		text := strings.NewReplacer(`\fB`, "", `\fR`, "", `\-`, "-").Replace(p.String())
		for _, ref := range regexp.MustCompile(`dmcow[a-z-]*\(\d\)`).FindAllString(text, -1) {
			if all[ref] == nil {
				t.Errorf("%s names %s, which is no page", name, ref)
			}
		}
	}
}

// TestSearchedFor: what people type into a search is in the page of recipes.
func TestSearchedFor(t *testing.T) {
	b, err := texts.ReadFile("pages/dmcow-recovery.7.txt")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(b)), " ")
	for _, words := range []string{"Overflow", "Invalid", "flip the fifth byte", "LiveOS", "overlay", "100% full", "Invalid or corrupt snapshot",
		"Unable to read exceptions", "merge is stuck", "lvmsync", "blocks have changed", "CHANGED BLOCKS"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q", words)
		}
	}
}

// TestMandoc has mandoc look for faults of the pages, of style too.
func TestMandoc(t *testing.T) {
	needs(t, "mandoc")
	dir := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1796040000")
	if err := run([]string{"man", dir}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/man*/*")
	if err != nil || len(files) != len(written()) {
		t.Fatal(files, err)
	}
	if out, err := exec.Command("mandoc", append([]string{"-T", "lint"}, files...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(dir + "/man8/dmcow.8")
	if err != nil || !strings.HasPrefix(string(b), ".TH DMCOW 8 2026-11-30 ") {
		t.Errorf("%v, %.60s", err, b)
	}
}

// TestText: each kind of paragraph is read as what it is, and roff sees none of its own signs in it.
func TestText(t *testing.T) {
	p := &page{}
	p.blocks(parse("TITLE\n\nwords, and --flag\n.more \\ words\n\n  a - b\n\n    'c'\n\n- one\n  two\n- three\n\nVALUE\n    means\n    this\n")[1].blocks)
	want := `words, and \fB\-\-flag\fR .more \e words
.PP
.RS 4
.EX
a \- b

  \(aqc\(aq
.EE
.RE
.IP \(bu 2
one two
.IP \(bu 2
three
.TP
VALUE
means this
`
	if p.String() != want {
		t.Errorf("%s\nwant\n%s", p.String(), want)
	}
}
