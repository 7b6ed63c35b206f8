package words

import (
	"slices"
	"strings"
)

// Column is a column of a table.
type Column struct {
	Head  string
	Right bool // its cells end in one line, as numbers should
}

// gap stands between two columns.
const gap = "  "

// Table is rows under a head, in columns that are as wide as they need to be. It has no lines to be drawn: it is
// read on the consoles of rescue systems, too. Where that would take more than so many columns of the terminal (0
// for any number), each row becomes a [Sheet] of its own, so that a long name breaks no row. A column in which no row
// has more than a dash is left out.
func Table(head []Column, rows [][]string, columns int) string {
	head, rows = used(head, rows)
	wide := make([]int, len(head))
	total := (len(head) - 1) * len(gap)
	for i, c := range head {
		wide[i] = Width(c.Head)
		for _, row := range rows {
			wide[i] = max(wide[i], Width(row[i]))
		}
		total += wide[i]
	}
	if columns > 0 && total > columns {
		return sheets(head, rows, columns)
	}
	var b strings.Builder
	line := func(cell func(int) string) {
		var row strings.Builder
		for i, c := range head {
			text := cell(i)
			fill := strings.Repeat(" ", wide[i]-Width(text))
			if c.Right {
				text, fill = fill+text, ""
			}
			row.WriteString(text + fill + gap)
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	line(func(i int) string { return head[i].Head })
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return b.String()
}

// used are the columns in which a row has something.
func used(head []Column, rows [][]string) (some []Column, cells [][]string) {
	cells = make([][]string, len(rows))
	for i, c := range head {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "-" }) {
			continue
		}
		some = append(some, c)
		for n, row := range rows {
			cells[n] = append(cells[n], row[i])
		}
	}
	return some, cells
}

func sheets(head []Column, rows [][]string, columns int) string {
	var all []string
	for _, row := range rows {
		var pairs [][2]string
		for i, c := range head {
			if row[i] != "-" { // it does not apply
				pairs = append(pairs, [2]string{c.Head, strings.TrimLeft(row[i], " ")})
			}
		}
		all = append(all, Sheet(pairs, columns))
	}
	return strings.Join(all, "\n")
}

// Sheet is what there is to say of one thing: a line for each of its properties, and more under its beginning where
// it is longer than so many columns, 0 for never.
func Sheet(pairs [][2]string, columns int) string {
	wide := 0
	for _, p := range pairs {
		wide = max(wide, Width(p[0]))
	}
	var b strings.Builder
	hang := strings.Repeat(" ", wide+len(gap))
	for _, p := range pairs {
		name := p[0] + hang[Width(p[0]):]
		b.WriteString(strings.TrimRight(Wrap(name+p[1], columns, hang), " ") + "\n")
	}
	return b.String()
}
