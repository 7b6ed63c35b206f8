package main

import (
	"fmt"
	"slices"
	"strings"

	"dmcow/dump"
)

// formatsPage is dmcow-formats(5), of the types of what is written for programs.
func formatsPage(date string) *page {
	about, sections := textOf("dmcow-formats", 5)
	p := newPage("dmcow-formats", 5, date, about)
	p.sections(sections[:1])
	p.macro("SH", "JSON AND CSV")
	all := dump.Documented()
	for i := 0; i < len(all); {
		same := i + 1
		for same < len(all) && all[same].Type == all[i].Type && all[same].Command == all[i].Command {
			same++
		}
		p.document(all[i:same])
		i = same
	}
	p.macro("SH", "PROMETHEUS")
	p.prose(`"dmcow usage --output prometheus" writes gauges, each with the label "device". A figure that is not known is left out.`)
	for _, m := range metrics() {
		p.term(`\fB`+escape(m[0])+`\fR`, m[1])
	}
	p.sections(sections[1:])
	p.seeAlso([]string{"dmcow(8)", "dmcow-check(8)", "dmcow-dump(8)", "dmcow-list(8)", "dmcow-usage(8)", "dmcow-rules(7)"})
	return p
}

// document is what a command writes in formats that have the same fields.
func (p *page) document(formats []dump.Document) {
	name := strings.TrimSpace("dmcow " + formats[0].Command)
	var shapes, flags []string
	for _, d := range formats {
		shapes, flags = append(shapes, d.Flag+": "+d.Shape), append(flags, d.Flag)
	}
	if formats[0].Command == "" {
		name = "any command"
	}
	p.macro("SS", name+" "+strings.Join(flags, ", "))
	p.prose(strings.Join(shapes, "; ") + ".")
	for _, f := range dump.Fields(formats[0].Type) {
		kind := f.Type
		if f.Null {
			kind += " or null"
		}
		p.term(`\fB`+escape(f.Name)+`\fR (`+escape(kind)+`)`, f.Doc+".")
	}
}

// metrics are the names and meanings of all gauges.
func metrics() (all [][2]string) {
	for _, m := range dump.Metrics() {
		all = append(all, [2]string{m.Name, m.Help})
	}
	return all
}

// ofProgram are the pages that are not a text alone, by their names.
var ofProgram = []string{"dmcow.8", "dmcow-rules.7", "dmcow-formats.5"}

func isOfProgram(name string, section int) bool {
	return slices.Contains(ofProgram, fmt.Sprintf("%s.%d", name, section))
}
