package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"dmcow/cmd"
	"dmcow/cmd/manual"
)

// commandPage is the page of a command: its help, the rest of its text, its flags and exit statuses.
func commandPage(node *kong.Node, all []string, date string) *page {
	name := "dmcow-" + node.Name
	p := newPage(name, 8, date, lowered(node.Help))
	p.macro("SH", "SYNOPSIS")
	p.line(synopsis(node))
	help, examples := split(parse(node.Detail)[0].blocks)
	more := map[string][]block{}
	p.macro("SH", "DESCRIPTION")
	p.blocks(help)
	for _, s := range parse(manual.Sections(node.Name))[1:] {
		switch s.heading {
		case "EXAMPLES", "EXIT STATUS", "SEE ALSO":
			more[s.heading] = s.blocks
		default:
			p.macro("SS", sentence(s.heading))
			p.blocks(s.blocks)
		}
	}
	p.options(node)
	p.macro("SH", "EXAMPLES")
	p.blocks(append(examples, more["EXAMPLES"]...))
	p.macro("SH", "EXIT STATUS")
	p.exits(node.Name, more["EXIT STATUS"])
	p.seeAlso(append([]string{"dmcow(8)"}, related(node.Name, all)...))
	return p
}

// split takes the examples out of a help text: they have a section of their own.
func split(blocks []block) (help, examples []block) {
	for _, b := range blocks {
		if b.kind == literal && strings.HasPrefix(b.lines[0], "dmcow ") {
			examples = append(examples, b)
			continue
		}
		help = append(help, b)
	}
	return help, examples
}

// synopsis has the arguments, and each flag of the command's own.
func synopsis(node *kong.Node) string {
	words := []string{`\fBdmcow\ ` + escape(node.Name) + `\fR`}
	for _, a := range node.Positional {
		words = append(words, argument(a))
	}
	for _, f := range own(node) {
		word := `\fB\-\-` + escape(f.Name) + `\fR` + strings.ReplaceAll(value(f), " ", `\ `)
		if f.Required {
			words = append(words, word)
		} else {
			words = append(words, "["+word+"]")
		}
	}
	return strings.Join(words, "\n")
}

// argument is a positional argument.
func argument(a *kong.Positional) string {
	word := `\fI` + escape(strings.ToUpper(a.Name)) + `\fR`
	if a.IsCumulative() {
		word += `\ ...`
	}
	if !a.Required {
		word = "[" + word + "]"
	}
	return word
}

// value is what a flag takes: one of several words, or a placeholder.
func value(f *kong.Flag) string {
	switch {
	case f.IsBool():
		return ""
	case len(values(f)) > 0:
		return ` \fB` + escape(strings.Join(values(f), "|")) + `\fR`
	}
	return ` \fI` + escape(strings.Trim(f.FormatPlaceHolder(), `"`)) + `\fR`
}

// own are the flags of a command, without those that all have.
func own(node *kong.Node) (flags []*kong.Flag) {
	for _, f := range node.Flags {
		if !f.Hidden && f.Name != "help" {
			flags = append(flags, f)
		}
	}
	return flags
}

func (p *page) options(node *kong.Node) {
	p.macro("SH", "OPTIONS")
	for _, a := range node.Positional {
		p.term(argument(a), a.Help)
	}
	p.flags(own(node))
	p.line(".PP")
	p.prose("Options that every command has, such as --yes and --verbose, are in dmcow(8).")
}

func (p *page) flags(flags []*kong.Flag) {
	for _, f := range flags {
		names := `\fB\-\-` + escape(f.Name) + `\fR`
		if f.Short != 0 {
			names = fmt.Sprintf(`\fB\-%c\fR, %s`, f.Short, names)
		}
		p.term(names+value(f), f.Help)
	}
}

// exits has what a command exits with by what it finds, what its text says of that, and the table of all.
func (p *page) exits(command string, blocks []block) {
	by := map[int][]string{}
	for _, o := range cmd.Outcomes(command) {
		by[o.Status] = append(by[o.Status], o.Means)
	}
	p.prose("By what the device holds:")
	for _, s := range cmd.ExitStatuses() {
		if found := by[s.Status]; found != nil {
			p.term(fmt.Sprint(s.Status), strings.Join(found, "; ")+".")
		}
	}
	if len(blocks) > 0 {
		p.line(".PP")
		p.blocks(blocks)
	}
	p.line(".PP")
	p.prose("The status is a sum of:")
	p.statuses()
}

func (p *page) statuses() {
	for _, s := range cmd.ExitStatuses() {
		p.term(fmt.Sprint(s.Status), s.Means+".")
	}
}

// seeAlso names other pages.
func (p *page) seeAlso(pages []string) {
	p.macro("SH", "SEE ALSO")
	p.prose(strings.Join(pages, ", "))
}

// related are the commands that go with one, and the pages that are for all.
func related(name string, all []string) (pages []string) {
	for _, other := range all {
		if other != name {
			pages = append(pages, "dmcow-"+other+"(8)")
		}
	}
	return append(pages, others...)
}

// others are the pages that are no command's.
var others = []string{"dmcow-formats(5)", "dmcow-lvm(7)", "dmcow-recovery(7)", "dmcow-rules(7)", "lvm(8)", "dmsetup(8)"}

// lowered is a line of help as NAME has it: in a line.
func lowered(help string) string {
	help, _, _ = strings.Cut(strings.TrimSuffix(help, "."), ": ")
	help, _, _ = strings.Cut(help, " (")
	return strings.ToLower(help[:1]) + help[1:]
}

// sentence is a heading in capitals as one of a part of a section.
func sentence(heading string) string {
	words := strings.Fields(strings.ToLower(heading))
	for i, w := range words {
		switch w {
		case "lvm", "cow", "lv", "pv", "csv", "json", "fuse":
			words[i] = strings.ToUpper(w)
		}
	}
	s := strings.Join(words, " ")
	return strings.ToUpper(s[:1]) + s[1:]
}
