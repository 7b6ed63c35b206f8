package main

import (
	"fmt"
	"regexp"
	"strings"
)

// page is a page of the manual, in the macros of man(7), which every formatter has.
type page struct {
	strings.Builder
	name    string
	section int
}

// newPage begins a page of the given date.
func newPage(name string, number int, date, about string) *page {
	p := &page{name: name, section: number}
	p.line(fmt.Sprintf(`.TH %s %d %s dmcow "%s"`, strings.ToUpper(name), number, date, map[int]string{
		5: "File Formats", 7: "Miscellaneous Information", 8: "System Administration"}[number]))
	p.macro("SH", "NAME")
	p.fill(escape(name) + ` \- ` + escape(about))
	return p
}

func (p *page) line(text string) { p.WriteString(text + "\n") }

// macro writes a request with its arguments.
func (p *page) macro(name string, args ...string) {
	line := "." + name
	for _, arg := range args {
		if arg = escape(arg); strings.ContainsAny(arg, " ") || arg == "" {
			arg = `"` + arg + `"`
		}
		line += " " + arg
	}
	p.line(line)
}

// prose writes text, with flags and pages in bold.
func (p *page) prose(text string) { p.fill(bold(text)) }

// fill writes what is roff already in lines that are not too long.
func (p *page) fill(text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > 78 {
			p.line(shielded(line))
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.line(shielded(line))
}

// blocks writes what stands in a section. The first paragraph of prose needs no macro.
func (p *page) blocks(blocks []block) {
	for i, b := range blocks {
		text := strings.Join(b.lines, " ")
		switch b.kind {
		case prose:
			if i > 0 {
				p.line(".PP")
			}
			p.prose(text)
		case item:
			p.line(`.IP \(bu 2`)
			p.prose(text)
		case term:
			p.term(bold(b.term), text)
		case literal:
			p.literal(b.lines, i == 0)
		}
	}
}

// term writes a term, which is roff already, and what it means.
func (p *page) term(term, means string) {
	p.line(".TP")
	p.line(shielded(term))
	p.prose(means)
}

// literal shows lines as they are, indented.
func (p *page) literal(lines []string, first bool) {
	if !first {
		p.line(".PP")
	}
	p.line(".RS 4")
	p.line(".EX")
	for _, line := range lines {
		p.line(shielded(escape(line)))
	}
	p.line(".EE")
	p.line(".RE")
}

// marked is what stands out in prose: flags, and pages of the manual.
var marked = regexp.MustCompile(`\B--?[a-z][a-z-]*\b|\b[a-z0-9_.-]+\([1-8]\)`)

// bold is text as roff, with what stands out in bold.
func bold(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range marked.FindAllStringIndex(text, -1) {
		word := text[m[0]:m[1]]
		name, number, isPage := strings.Cut(word, "(")
		b.WriteString(escape(text[at:m[0]]) + `\fB` + escape(name) + `\fR`)
		if isPage {
			b.WriteString("(" + number)
		}
		at = m[1]
	}
	return b.String() + escape(text[at:])
}

// escape keeps roff from reading anything in a text.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\(ga", `^`, `\(ha`, `~`, `\(ti`).Replace(text)
}

// shielded is a line that begins with no request.
func shielded(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
