package dump

import (
	"fmt"
	"math"

	"dmcow/format"
)

// Format is how exceptions are written.
type Format string

// The formats, by the names that the command line has for them.
const (
	Human Format = "human"
	CSV   Format = "csv"
	JSON  Format = "json"
)

// entry is what a row says.
type entry struct {
	format.Place
	format.Exception
	chunks uint64 // in the run, where runs are joined
	hidden bool
}

// layout is the look of a format's rows: the text before each number and
// behind the last, and the columns' widths.
type layout struct {
	area, index, old, new, chunks string
	live, hidden                  string
	narrow, wide                  int // 0 where columns are not aligned
	runs                          bool
	title                         string // the line above the rows
}

func newLayout(f Format, sel Selection) *layout {
	l := humanLayout(sel)
	switch f {
	case CSV:
		l = csvLayout(sel)
	case JSON:
		l = jsonLayout(sel)
	}
	l.mustFit()
	return l
}

// mustFit makes sure that the texts fit the blocks of pieceWriter.
func (l *layout) mustFit() {
	const longest = math.MaxUint64
	switch {
	case len(l.appendStart(nil, longest)) > len(startBlock{}),
		max(len(l.old), len(l.new)) > len(block{}),
		max(len(l.live), len(l.hidden)) > len(endBlock{}):
		panic("dump: a text is longer than its block")
	}
}

func csvLayout(sel Selection) *layout {
	l := &layout{runs: sel.Ranges, title: "area,index,old_chunk,new_chunk"}
	l.index, l.old, l.new, l.chunks = ",", ",", ",", ","
	if sel.Ranges {
		l.title += ",chunks"
	}
	l.live = "\n"
	if sel.Hidden {
		l.title += ",state"
		l.live, l.hidden = ",live\n", ",hidden\n"
	}
	l.title += "\n"
	return l
}

func jsonLayout(sel Selection) *layout {
	l := &layout{
		runs:   sel.Ranges,
		area:   ",\n  {\"area\": ",
		index:  `, "index": `,
		old:    `, "old_chunk": `,
		new:    `, "new_chunk": `,
		chunks: `, "chunks": `,
		live:   "}",
	}
	if sel.Hidden {
		l.live, l.hidden = `, "state": "live"}`, `, "state": "hidden"}`
	}
	return l
}

func humanLayout(sel Selection) *layout {
	l := &layout{runs: sel.Ranges, narrow: 8, wide: 14}
	gap := "  "
	l.index, l.old, l.new, l.chunks = gap, gap, gap, gap
	l.title = fmt.Sprintf("%*s  %*s  %*s  %*s", l.narrow, "area", l.narrow, "index", l.wide, "old chunk", l.wide, "new chunk")
	if sel.Ranges {
		l.title += fmt.Sprintf("  %*s", l.narrow, "chunks")
	}
	l.live = "\n"
	if sel.Hidden {
		l.title += "  state"
		l.live, l.hidden = "  live\n", "  hidden\n"
	}
	l.title += "\n"
	return l
}

// appendRow appends one row.
func (l *layout) appendRow(dst []byte, e *entry) []byte {
	dst = l.appendStart(dst, e.Area)
	dst = appendNumber(dst, uint64(e.Index), l.narrow)
	dst = append(dst, l.old...)
	dst = appendNumber(dst, uint64(e.Old), l.wide)
	dst = append(dst, l.new...)
	dst = appendNumber(dst, uint64(e.New), l.wide)
	if l.runs {
		dst = append(dst, l.chunks...)
		dst = appendNumber(dst, e.chunks, l.narrow)
	}
	return append(dst, l.end(e.hidden)...)
}

// appendStart appends the beginning of the rows of an area, up to the index:
// the same for all of them.
func (l *layout) appendStart(dst []byte, area format.AreaIndex) []byte {
	dst = append(dst, l.area...)
	dst = appendNumber(dst, uint64(area), l.narrow)
	return append(dst, l.index...)
}

// end is what ends a row.
func (l *layout) end(hidden bool) string {
	if hidden {
		return l.hidden
	}
	return l.live
}
