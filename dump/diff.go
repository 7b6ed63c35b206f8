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
	Content               bool          // the data were compared, and
	Equal                 uint64        // so many chunks were left out
	Uncertain             *view.Changes // what is not certain, and may differ whether it is among the changes or not
}

// DiffCSV writes ranges as CSV.
func DiffCSV(to io.Writer, d Diff) error {
	w := bufio.NewWriter(to)
	fmt.Fprint(w, "offset,length\n")
	eachRange(w, d.Changes, "", ",", "\n", "")
	return w.Flush()
}

// DiffRBD writes ranges as "rbd diff --format json" does, which backup programs take for hints where to look. Those
// of a volume all exist.
func DiffRBD(to io.Writer, d Diff) error {
	w := bufio.NewWriter(to)
	fmt.Fprint(w, "[")
	eachRange(w, d.Changes, `{"offset":`, `,"length":`, `,"exists":"true"}`, ",")
	fmt.Fprint(w, "]\n")
	return w.Flush()
}

// eachRange writes ranges: two numbers each, with texts before, between and behind them, and
// between two ranges.
func eachRange(w *bufio.Writer, of *view.Changes, before, between, behind, separator string) {
	buf := make([]byte, 0, 128)
	first := true
	for r := range of.Ranges() {
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

// differing is a diff, whole.
type differing struct {
	differingHead
	Ranges    []Stretch `json:"ranges" doc:"where they differ; left out with --summary"`
	Uncertain []Stretch `json:"uncertain" doc:"where the data is uncertain, and may differ even if that is in no range; left out with --summary"`
}

type differingHead struct {
	Device  string  `json:"device" doc:"the COW device, as it was named"`
	State   string  `json:"state" doc:"valid, invalid or damaged"`
	Origin  string  `json:"origin" doc:"the origin, as it was named"`
	Against *string `json:"against" doc:"the other snapshot; null if the snapshot is compared with its origin"`
	Size    uint64  `json:"origin_bytes" doc:"size of what is compared, in bytes"`
	Chunk   uint64  `json:"chunk_bytes" doc:"size of a chunk, in bytes"`
	Content bool    `json:"content" doc:"whether the data was compared, and not only the lists"`
	Equal   *uint64 `json:"equal_chunks" doc:"chunks that were left out because their data is equal; null if the data was not compared"`
	Chunks  uint64  `json:"chunks" doc:"chunks that differ"`
	Bytes   uint64  `json:"bytes" doc:"bytes in all ranges together"`
	Count   uint64  `json:"range_count" doc:"number of ranges"`
	Doubt   uint64  `json:"uncertain_bytes" doc:"bytes that are uncertain: they may differ even if they are in no range. Of an invalid snapshot, all without an exception are (--uncertain FILE lists them)"`
}

// Stretch is a stretch of the volume.
type Stretch struct {
	Offset uint64 `json:"offset" doc:"where the range begins, in bytes"`
	Length uint64 `json:"length" doc:"how long the range is, in bytes"`
}

// DiffJSON writes one object; with summary, without the ranges.
func DiffJSON(to io.Writer, d Diff, summary bool) error {
	var ranges, bytes uint64
	for r := range d.Changes.Ranges() {
		ranges, bytes = ranges+1, bytes+uint64(r.Length)
	}
	head := differingHead{
		Device: d.Device, State: d.State, Origin: d.Origin, Size: uint64(d.Changes.Size), Chunk: uint64(d.Changes.Grain),
		Content: d.Content, Chunks: d.Changes.Chunks(), Bytes: bytes, Count: ranges, Doubt: uint64(d.Uncertain.Bytes()),
	}
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
	eachRange(w, d.Changes, "\n  {\"offset\": ", ", \"length\": ", "}", ",")
	fmt.Fprint(w, "],\n \"uncertain\": [")
	eachRange(w, d.Uncertain, "\n  {\"offset\": ", ", \"length\": ", "}", ",")
	fmt.Fprint(w, "]}\n")
	return w.Flush()
}
