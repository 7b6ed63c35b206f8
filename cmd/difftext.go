package cmd

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/words"
)

// mapWidth is how wide a map is where that is not the terminal's width.
const mapWidth = 80

// width is how many columns there are for a map.
func (d *difference) width() int {
	if f := d.app.stdout.File(); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return mapWidth
}

// shades are how a cell of a map looks, by how much of it differs: nothing, some, more, most, all.
var shades = struct{ blocks, ascii []string }{
	blocks: []string{"·", "░", "▒", "▓", "█"},
	ascii:  []string{".", "-", "+", "*", "#"},
}

// signs are the shades that the terminal can show.
func signs() []string {
	locale := strings.ToLower(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	if strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8") {
		return shades.blocks
	}
	return shades.ascii
}

// picture is the map as a picture.
func (d *difference) picture() string {
	ranges, bytes := d.total()
	text := fmt.Sprintf("%s in %s: %s, %.2f%% of %s",
		words.Count(d.changes.Chunks(), "chunk"), words.Count(ranges, "range"), words.Size(bytes), d.share(bytes), words.Size(d.changes.Size))
	other := cmp.Or(words.Printable(d.against), "its origin")
	return dump.SVG(d.changes, "Where "+words.Printable(d.name)+" and "+other+" differ", text)
}

// human prints ranges for people: rows, or a map, and totals.
func (d *difference) human() error {
	w := bufio.NewWriter(d.app.stdout)
	fmt.Fprintf(w, "%s  %s\n", "snapshot", words.Printable(d.name))
	fmt.Fprintf(w, "%s    %s, %s\n", "origin", words.Printable(d.of.Origin.Text), words.Bytes(d.changes.Size))
	if d.against != "" {
		fmt.Fprintf(w, "%s   %s\n", "against", words.Printable(d.against))
	}
	switch {
	case d.flags.Map:
		fmt.Fprintf(w, "\n%s", dump.Map(d.changes, d.width(), signs()))
	case !d.flags.Summary:
		d.rows(w)
	}
	ranges, bytes := d.total()
	text := fmt.Sprintf("\n%s differ, in %s: %s, %.2f%% of the origin", words.Count(d.changes.Chunks(), "chunk"), words.Count(ranges, "range"), words.Bytes(bytes), d.share(bytes))
	if d.flags.Content {
		text += fmt.Sprintf("; %s equal after all", words.Count(d.equal, "chunk"))
	} else {
		text += " (--content compares the data)"
	}
	fmt.Fprintln(w, text)
	return w.Flush()
}

func (d *difference) rows(w *bufio.Writer) {
	if d.changes.Chunks() == 0 {
		return
	}
	width := len(strconv.FormatUint(uint64(d.changes.Size), 10))
	fmt.Fprintf(w, "\n%*s  %*s  %s\n", max(width, len("offset")), "offset", max(width, len("bytes")), "bytes", "size")
	for r := range d.changes.Ranges() {
		fmt.Fprintf(w, "%*d  %*d  %s\n", max(width, len("offset")), uint64(r.Offset), max(width, len("bytes")), uint64(r.Length), words.Size(r.Length))
	}
}

// total is the number of ranges, and how long they are together.
func (d *difference) total() (ranges uint64, bytes format.Bytes) {
	for r := range d.changes.Ranges() {
		ranges, bytes = ranges+1, bytes+r.Length
	}
	return ranges, bytes
}
