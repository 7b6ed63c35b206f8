package show

import (
	"bufio"
	"cmp"
	"fmt"
	"strconv"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/words"
)

// Diff is what differs between a snapshot and its origin, or another snapshot.
type Diff struct {
	dump.Diff
	Summary bool // shows the totals alone
	Map     int  // shows a map of so many columns in place of rows; 0 for none
	Blocks  bool // the map is made of blocks, which not every terminal has
}

// shades are how a cell of a map looks, by how much of it differs: nothing, some, more, most, all.
var shades = map[bool][]string{true: {"·", "░", "▒", "▓", "█"}, false: {".", "-", "+", "*", "#"}}

// Write writes ranges, or a map, and totals.
func (d *Diff) Write(t *Text) error {
	head := [][2]string{{"snapshot", words.Printable(d.Device)}, {"origin", words.Printable(d.Origin) + ", " + words.Bytes(d.Changes.Size)}}
	if d.Against != "" {
		head = append(head, [2]string{"against", words.Printable(d.Against)})
	}
	t.sheet(head)
	switch {
	case d.Map > 0:
		t.write("\n"+dump.Map(d.Changes, d.Map, shades[d.Blocks]), nil)
	case !d.Summary && d.Changes.Chunks() > 0:
		t.write("", d.rows(t))
	}
	ranges, bytes := d.total()
	text := fmt.Sprintf("%s differ, in %s: %s, %.2f%% of the origin", words.Count(d.Changes.Chunks(), "chunk"), words.Count(ranges, "range"), words.Bytes(bytes), d.share(bytes))
	if d.Content {
		text += fmt.Sprintf("; %s equal after all", words.Count(d.Equal, "chunk"))
	} else {
		text += " (--content compares the data)"
	}
	t.Line("\n%s", text)
	return t.err
}

// rows writes a row for each range: there may be millions.
func (d *Diff) rows(t *Text) error {
	if t.err != nil {
		return nil
	}
	w := bufio.NewWriter(t.to)
	digits := len(strconv.FormatUint(uint64(d.Changes.Size), 10))
	offset, bytes := max(digits, len("offset")), max(digits, len("bytes"))
	fmt.Fprintf(w, "\n%*s  %*s  %s\n", offset, "offset", bytes, "bytes", "size")
	for r := range d.Changes.Ranges() {
		fmt.Fprintf(w, "%*d  %*d  %s\n", offset, uint64(r.Offset), bytes, uint64(r.Length), words.Size(r.Length))
	}
	return w.Flush()
}

// Picture is the map as a picture.
func (d *Diff) Picture() string {
	ranges, bytes := d.total()
	text := fmt.Sprintf("%s in %s: %s, %.2f%% of %s",
		words.Count(d.Changes.Chunks(), "chunk"), words.Count(ranges, "range"), words.Size(bytes), d.share(bytes), words.Size(d.Changes.Size))
	other := cmp.Or(words.Printable(d.Against), "its origin")
	return dump.SVG(d.Changes, "Where "+words.Printable(d.Device)+" and "+other+" differ", text)
}

// total is the number of ranges, and how long they are together.
func (d *Diff) total() (ranges uint64, bytes format.Bytes) {
	for r := range d.Changes.Ranges() {
		ranges, bytes = ranges+1, bytes+r.Length
	}
	return ranges, bytes
}

// share is how much of the origin differs, in per cent.
func (d *Diff) share(bytes format.Bytes) float64 {
	return 100 * float64(bytes) / float64(max(d.Changes.Size, 1))
}
