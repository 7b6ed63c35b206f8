package cmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"

	"dmcow/format"
)

// human prints ranges for people: rows, or a map, and totals.
func (d *difference) human() error {
	w := bufio.NewWriter(d.stdout)
	fmt.Fprintf(w, "%s  %s\n", "snapshot", printable(d.path))
	fmt.Fprintf(w, "%s    %s, %s\n", "origin", printable(d.originName), sizeInBytes(d.Changes.Size))
	if d.against != "" {
		fmt.Fprintf(w, "%s   %s\n", "against", printable(d.against))
	}
	switch {
	case d.Map:
		fmt.Fprintf(w, "\n%s", d.drawing(d.width()))
	case !d.Summary:
		d.rows(w)
	}
	ranges, bytes := d.total()
	text := fmt.Sprintf("\n%s differ, in %s: %s, %.2f%% of the origin", count(d.Chunks(), "chunk"), count(ranges, "range"), sizeInBytes(bytes), d.share(bytes))
	if d.Content {
		text += fmt.Sprintf("; %s equal after all", count(d.equal, "chunk"))
	} else {
		text += " (--content compares the data)"
	}
	fmt.Fprintln(w, text)
	return w.Flush()
}

// rows prints a row for each range.
func (d *difference) rows(w *bufio.Writer) {
	if d.Chunks() == 0 {
		return
	}
	width := len(strconv.FormatUint(uint64(d.Changes.Size), 10))
	fmt.Fprintf(w, "\n%*s  %*s  %s\n", max(width, len("offset")), "offset", max(width, len("bytes")), "bytes", "size")
	for r := range d.Ranges() {
		fmt.Fprintf(w, "%*d  %*d  %s\n", max(width, len("offset")), uint64(r.Offset), max(width, len("bytes")), uint64(r.Length), binarySize(r.Length))
	}
}

// total is the number of ranges, and how long they are together.
func (d *difference) total() (ranges uint64, bytes format.Bytes) {
	for r := range d.Ranges() {
		ranges, bytes = ranges+1, bytes+r.Length
	}
	return ranges, bytes
}

// sizeInBytes is a size, exact and for people.
func sizeInBytes(b format.Bytes) string {
	if b < 1024 {
		return count(uint64(b), "byte")
	}
	return fmt.Sprintf("%s (%s)", count(uint64(b), "byte"), binarySize(b))
}

// csv prints ranges as CSV.
func (d *difference) csv() error {
	w := bufio.NewWriter(d.stdout)
	fmt.Fprint(w, "offset,length\n")
	d.eachRange(w, "", ",", "\n", "")
	return w.Flush()
}

// eachRange writes ranges: two numbers each, with texts before, between and behind them, and
// between two ranges.
func (d *difference) eachRange(w *bufio.Writer, before, between, behind, separator string) {
	buf := make([]byte, 0, 128)
	first := true
	for r := range d.Ranges() {
		buf = buf[:0]
		if !first {
			buf = append(buf, separator...)
		}
		first = false
		buf = append(buf, before...)
		buf = strconv.AppendUint(buf, uint64(r.Offset), 10)
		buf = append(buf, between...)
		buf = strconv.AppendUint(buf, uint64(r.Length), 10)
		buf = append(buf, behind...)
		if _, err := w.Write(buf); err != nil {
			return // Flush tells
		}
	}
}

// json prints ranges as JSON.
func (d *difference) json() error {
	ranges, bytes := d.total()
	head := struct {
		Device  string  `json:"device"`
		State   string  `json:"state"`
		Origin  string  `json:"origin"`
		Against *string `json:"against"`
		Size    uint64  `json:"origin_bytes"`
		Chunk   uint64  `json:"chunk_bytes"`
		Content bool    `json:"content"`
		Equal   *uint64 `json:"equal_chunks"`
		Chunks  uint64  `json:"chunks"`
		Bytes   uint64  `json:"bytes"`
		Count   uint64  `json:"range_count"`
	}{d.path, d.id.State.String(), d.originName, nil, uint64(d.Changes.Size), uint64(d.Grain), d.Content, nil, d.Chunks(), uint64(bytes), ranges}
	if d.against != "" {
		head.Against = &d.against
	}
	if d.Content {
		head.Equal = &d.equal
	}
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(d.stdout)
	if d.Summary {
		fmt.Fprintf(w, "%s\n", text)
		return w.Flush()
	}
	fmt.Fprintf(w, "%s, \"ranges\": [", text[:len(text)-1])
	d.eachRange(w, "\n  {\"offset\": ", ", \"length\": ", "}", ",")
	fmt.Fprint(w, "]}\n")
	return w.Flush()
}
