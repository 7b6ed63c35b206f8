package cmd

import (
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"dmcow/internal/words"
)

// column is a column of a table.
type column struct {
	Head  string
	Right bool // its cells end in one line, as numbers should
}

// rows writes a table. On a terminal that is too narrow for it, it goes without bars, and where that does not help,
// each row becomes a sheet, so that a long name breaks no row. A cell of "-" does not apply.
func (a *app) rows(head []column, of func(cells int) [][]string) error {
	width := a.stdout.Width()
	for _, cells := range []int{10, 0} {
		text, err := table(head, of(cells))
		if err != nil {
			return err
		}
		if width == 0 || widest(text) <= width {
			return a.print("%s", text)
		}
	}
	var all []string
	for _, row := range of(0) {
		var pairs [][2]string
		for i, c := range head {
			if row[i] != "-" {
				pairs = append(pairs, [2]string{c.Head, strings.TrimLeft(row[i], " ")})
			}
		}
		all = append(all, words.Sheet(pairs, width))
	}
	return a.print("%s", strings.Join(all, "\n"))
}

func widest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, words.Width(strings.TrimRight(line, "\n")))
	}
	return n
}

// table is rows under a head. It has no lines to be drawn: it is read on the consoles of rescue systems, too.
func table(head []column, rows [][]string) (string, error) {
	var names []string
	var align []tw.Align
	for _, c := range head {
		names = append(names, c.Head)
		if c.Right {
			align = append(align, tw.AlignRight)
		} else {
			align = append(align, tw.AlignLeft)
		}
	}
	var b, trimmed strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Right: "  ", Overwrite: true}))
	t.Header(names)
	if err := t.Bulk(rows); err != nil {
		return "", err
	}
	if err := t.Render(); err != nil {
		return "", err
	}
	for line := range strings.Lines(b.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return trimmed.String(), nil
}
