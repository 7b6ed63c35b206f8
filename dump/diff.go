package dump

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"dmcow/view"
)

// Diff is what differs between a snapshot and its origin, or another snapshot.
type Diff struct {
	Device, State, Origin string
	Against               string // the other snapshot; empty for the origin
	Changes               *view.Changes
	Content               bool   // the data were compared, and
	Equal                 uint64 // so many chunks were left out
}

// DiffCSV writes ranges as CSV.
func DiffCSV(to io.Writer, d Diff) error {
	w := bufio.NewWriter(to)
	fmt.Fprint(w, "offset,length\n")
	d.eachRange(w, "", ",", "\n", "")
	return w.Flush()
}

// eachRange writes ranges: two numbers each, with texts before, between and behind them, and
// between two ranges.
func (d Diff) eachRange(w *bufio.Writer, before, between, behind, separator string) {
	buf := make([]byte, 0, 128)
	first := true
	for r := range d.Changes.Ranges() {
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

// DiffJSON writes one object; with summary, without the ranges.
func DiffJSON(to io.Writer, d Diff, summary bool) error {
	var ranges, bytes uint64
	for r := range d.Changes.Ranges() {
		ranges, bytes = ranges+1, bytes+uint64(r.Length)
	}
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
	}{d.Device, d.State, d.Origin, nil, uint64(d.Changes.Size), uint64(d.Changes.Grain), d.Content, nil, d.Changes.Chunks(), bytes, ranges}
	if d.Against != "" {
		head.Against = &d.Against
	}
	if d.Content {
		head.Equal = &d.Equal
	}
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	if summary {
		fmt.Fprintf(w, "%s\n", text)
		return w.Flush()
	}
	fmt.Fprintf(w, "%s, \"ranges\": [", text[:len(text)-1])
	d.eachRange(w, "\n  {\"offset\": ", ", \"length\": ", "}", ",")
	fmt.Fprint(w, "]}\n")
	return w.Flush()
}
