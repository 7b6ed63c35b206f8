package main

import (
	"strings"

	"dmcow/cmd/manual"
)

// A text of the manual is plain: paragraphs, with an empty line between them, of these kinds.
//
//	HEADING                 begins a section: a line of capitals
//	words                   are filled
//	  dmcow check vg0/snap  each line indented: shown as it is
//	- words                 an item of a list; its other lines are indented by two
//	--flag VALUE            a term, and what it means, indented by four
//	    words
type block struct {
	kind  kind
	term  string   // of kind term
	lines []string // without their indent
}

type kind int

const (
	prose kind = iota
	literal
	item
	term
)

// section is a heading with what stands under it.
type section struct {
	heading string
	blocks  []block
}

// parse reads a text. What stands before the first heading is a section without one.
func parse(text string) []section {
	sections := []section{{}}
	for _, paragraph := range paragraphs(text) {
		if len(paragraph) == 1 && manual.IsHeading(paragraph[0]) {
			sections = append(sections, section{heading: paragraph[0]})
			continue
		}
		last := &sections[len(sections)-1]
		last.blocks = appendBlocks(last.blocks, paragraph)
	}
	return sections
}

// paragraphs are cut at empty lines; a literal goes on behind one.
func paragraphs(text string) (all [][]string) {
	var now []string
	for line := range strings.Lines(strings.TrimSpace(text) + "\n\n") {
		line = strings.TrimRight(line, " \n")
		switch {
		case line != "":
			now = append(now, line)
		case now != nil:
			all, now = append(all, now), nil
		}
	}
	return all
}

// appendBlocks adds a paragraph, which may be several items or terms.
func appendBlocks(blocks []block, paragraph []string) []block {
	if strings.HasPrefix(paragraph[0], "  ") {
		lines := unindented(paragraph)
		if n := len(blocks); n > 0 && blocks[n-1].kind == literal {
			blocks[n-1].lines = append(append(blocks[n-1].lines, ""), lines...)
			return blocks
		}
		return append(blocks, block{kind: literal, lines: lines})
	}
	for i, line := range paragraph {
		inner := strings.HasPrefix(line, "  ")
		switch {
		case strings.HasPrefix(line, "- "):
			blocks = append(blocks, block{kind: item, lines: []string{line[2:]}})
		case !inner && i+1 < len(paragraph) && strings.HasPrefix(paragraph[i+1], "    "):
			blocks = append(blocks, block{kind: term, term: line})
		case inner || i > 0:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, strings.TrimSpace(line))
		default:
			blocks = append(blocks, block{kind: prose, lines: []string{line}})
		}
	}
	return blocks
}

// unindented takes off the two spaces that make lines a literal.
func unindented(lines []string) (all []string) {
	for _, line := range lines {
		all = append(all, strings.TrimPrefix(line, "  "))
	}
	return all
}
