package show

import (
	"slices"
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

// table writes a table: a row for each of some things, with bars of so many cells.
func table[T any](t *Text, head []column, all []T, row func(x T, cells int) []string) error {
	t.write(fitted(head, func(cells int) (rows [][]string) {
		for _, x := range all {
			rows = append(rows, row(x, cells))
		}
		return rows
	}, t.columns))
	return t.err
}

// fitted is a table for a terminal of a width, 0 for any. Where that is too narrow, it goes without bars, and where that does not help,
// each row becomes a sheet, so that a long name breaks no row. A cell of "-" does not apply; a column that has no
// others is left out.
func fitted(head []column, of func(cells int) [][]string, width int) (string, error) {
	for _, cells := range []int{10, 0} {
		text, err := drawn(used(head, of(cells)))
		if err != nil || width == 0 || widest(text) <= width {
			return text, err
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
		all = append(all, sheet(pairs, width))
	}
	return strings.Join(all, "\n"), nil
}

// used are the columns in which some row has more than a dash.
func used(head []column, rows [][]string) ([]column, [][]string) {
	var names []column
	cut := make([][]string, len(rows))
	for i, c := range head {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "-" }) {
			continue
		}
		names = append(names, c)
		for n, row := range rows {
			cut[n] = append(cut[n], row[i])
		}
	}
	return names, cut
}

func widest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, words.Width(strings.TrimRight(line, "\n")))
	}
	return n
}

// drawn is rows under a head. It has no lines to be drawn: it is read on the consoles of rescue systems, too.
func drawn(head []column, rows [][]string) (string, error) {
	var names []string
	for i, c := range head {
		names = append(names, c.Head)
		if c.Right {
			alignRight(names, rows, i)
		}
	}
	var b, trimmed strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithTrimSpace(tw.Off),
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

// alignRight has the cells of a column end in one line. (The library's own alignment adds nothing where a column has
// no padding on its left.)
func alignRight(head []string, rows [][]string, column int) {
	rows = append(slices.Clone(rows), head)
	wide := 0
	for _, row := range rows {
		wide = max(wide, words.Width(row[column]))
	}
	for _, row := range rows {
		row[column] = strings.Repeat(" ", wide-words.Width(row[column])) + row[column]
	}
}
