package main

import (
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/check"
)

// texts are the pages that are no command's: NAME.SECTION.txt, of which the first line is what NAME says.
//
//go:embed pages/*.txt
var texts embed.FS

// textPages are the pages that are a text alone.
func textPages(date string) (all []*page) {
	files, err := texts.ReadDir("pages")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		name, rest, _ := strings.Cut(f.Name(), ".")
		number, err := strconv.Atoi(strings.TrimSuffix(rest, ".txt"))
		if err != nil {
			panic(err)
		}
		if isOfProgram(name, number) {
			continue
		}
		about, sections := textOf(name, number)
		p := newPage(name, number, date, about)
		p.sections(sections)
		p.seeAlso(without(append([]string{"dmcow(8)"}, others...), fmt.Sprintf("%s(%d)", name, number)))
		all = append(all, p)
	}
	return all
}

// textOf is a page's text: what NAME says, and its sections.
func textOf(name string, number int) (about string, sections []section) {
	b, err := texts.ReadFile(fmt.Sprintf("pages/%s.%d.txt", name, number))
	if err != nil {
		panic(err)
	}
	about, text, _ := strings.Cut(string(b), "\n")
	return about, parse(text)[1:]
}

func (p *page) sections(sections []section) {
	for _, s := range sections {
		p.macro("SH", s.heading)
		p.blocks(s.blocks)
	}
}

func without(all []string, one string) (rest []string) {
	for _, s := range all {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// programPage is dmcow(8): the commands, the options of all of them, exit statuses.
func programPage(model *kong.Application, names []string, date string) *page {
	about, sections := textOf("dmcow", 8)
	p := newPage("dmcow", 8, date, about)
	p.macro("SH", "SYNOPSIS")
	p.line(`\fBdmcow\fR \fICOMMAND\fR [\fIARGUMENT\fR|\fIOPTION\fR]...`)
	p.sections(sections[:1])
	p.macro("SH", "COMMANDS")
	group := ""
	for _, node := range model.Children {
		if node.Group != nil && node.Group.Title != group {
			group = node.Group.Title
			p.macro("SS", strings.TrimSuffix(group, ":"))
		}
		if !node.Hidden {
			p.term(bold("dmcow-"+node.Name+"(8)"), node.Help)
		}
	}
	p.macro("SH", "OPTIONS")
	p.flags(model.Flags)
	p.sections(sections[1:])
	p.macro("SH", "EXIT STATUS")
	p.prose("A sum, as with fsck(8):")
	p.statuses()
	p.line(".PP")
	p.prose("Each command's page says what it exits with. A fault of the program itself ends it with 8, or with SIGABRT (134 in a shell).")
	p.seeAlso(related("", names))
	return p
}

// rulesPage is dmcow-rules(7), of check's own rules.
func rulesPage(date string) *page {
	about, sections := textOf("dmcow-rules", 7)
	p := newPage("dmcow-rules", 7, date, about)
	p.sections(sections[:1])
	for _, s := range []check.Severity{check.Error, check.Warning, check.Info} {
		p.macro("SH", map[check.Severity]string{check.Error: "ERRORS", check.Warning: "WARNINGS", check.Info: "INFORMATION"}[s])
		for _, r := range check.Rules() {
			if r.Severity == s {
				p.rule(r)
			}
		}
	}
	p.sections(sections[1:])
	p.seeAlso([]string{"dmcow(8)", "dmcow-check(8)", "dmcow-repair(8)", "dmcow-recovery(7)"})
	return p
}

func (p *page) rule(r *check.Rule) {
	p.macro("SS", r.Name)
	for _, more := range []struct{ label, text string }{{"When", r.When}, {"Kernel", r.Kernel}, {"Repair", r.Repair}, {"Command", remedy(r)}} {
		if more.text != "" {
			p.line(".TP 9")
			p.line(more.label + ":")
			p.prose(more.text + ".")
		}
	}
}

func remedy(r *check.Rule) string {
	if r.Command == "" {
		return ""
	}
	return "dmcow " + r.Command + " COW"
}
