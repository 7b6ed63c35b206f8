package dump

import (
	"fmt"
	"html"
	"strings"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/view"
)

// shade is the look of a cell of which such a share differs.
func shade(share float64, looks []string) string {
	if share <= 0 {
		return looks[0]
	}
	return looks[1+min(int(share*float64(len(looks)-2)), len(looks)-2)]
}

// grid is the origin, divided into cells of one size, in rows.
type grid struct {
	cell    format.Bytes
	shares  []float64
	columns int
}

// newGrid divides the origin into so many rows and columns at most. No cell is smaller than
// a chunk.
func newGrid(c *view.Changes, rows, columns int) grid {
	columns = max(columns, 1)
	n := format.Bytes(max(1, rows*columns))
	cell := (c.Size + n - 1) / n
	cell = max(1, (cell+c.Grain-1)/c.Grain) * c.Grain
	return grid{cell, c.Shares(cell), columns}
}

func (g grid) row(i int) (start format.Bytes, shares []float64) {
	first := i * g.columns
	return format.Bytes(first) * g.cell, g.shares[first:min(first+g.columns, len(g.shares))]
}

func (g grid) rows() int { return (len(g.shares) + g.columns - 1) / g.columns }

// Map draws where a snapshot differs in text, of so many columns. signs are the looks of a cell, by how
// much of it differs.
func Map(c *view.Changes, width int, signs []string) string {
	const rows, margin = 16, len("1023.99 MiB") + 2
	g := newGrid(c, rows, width-margin)
	var b strings.Builder
	for i := range g.rows() {
		start, shares := g.row(i)
		fmt.Fprintf(&b, "%*s  ", margin-2, words.Size(start))
		for _, share := range shares {
			b.WriteString(shade(share, signs))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\neach sign is %s: %s no change  %s to a third  %s to two thirds  %s more  %s all\n",
		words.Size(g.cell), signs[0], signs[1], signs[2], signs[3], signs[4])
	return b.String()
}

// A picture has so many cells in a row, and rows at most. Sizes are in its own units, of
// which a cell has svgCell each way.
const (
	svgColumns = 128
	svgRows    = 64
	svgCell    = 8
	svgMargin  = 100 // to the left of the cells, for offsets
	svgTop     = 64  // above them
)

// SVG is a picture of where a snapshot differs, under a title and a line of text.
func SVG(c *view.Changes, title, text string) string {
	g := newGrid(c, svgRows, svgColumns)
	width := svgMargin + svgColumns*svgCell + 20
	height := svgTop + g.rows()*svgCell + 48
	title = html.EscapeString(title)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", title)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="16">%s</text>`+"\n", svgMargin, title)
	fmt.Fprintf(&b, `<text x="%d" y="46">%s</text>`+"\n", svgMargin, html.EscapeString(text))
	for i := range g.rows() {
		g.svgRow(&b, i)
	}
	g.svgLegend(&b, svgTop+g.rows()*svgCell+24)
	b.WriteString("</svg>\n")
	return b.String()
}

func (g grid) svgRow(b *strings.Builder, i int) {
	start, shares := g.row(i)
	y := svgTop + i*svgCell
	if i%8 == 0 {
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", svgMargin-8, y+svgCell, words.Size(start))
	}
	for at := 0; at < len(shares); {
		n := 1
		for at+n < len(shares) && svgFill(shares[at+n]) == svgFill(shares[at]) {
			n++
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", svgMargin+at*svgCell, y, n*svgCell, svgCell, svgFill(shares[at]))
		at += n
	}
}

var svgFills = []string{"#e8eaed", "#fdd0a2", "#fd8d3c", "#e6550d", "#a63603"}

func svgFill(share float64) string { return shade(share, svgFills) }

func (g grid) svgLegend(b *strings.Builder, y int) {
	x := svgMargin
	for i, text := range []string{"no change", "to a third", "to two thirds", "more", "all of it"} {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, y-10, 12, 12, svgFills[i], x+18, y, text)
		x += 120
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">a cell is %s</text>`+"\n", x, y, words.Size(g.cell))
}
