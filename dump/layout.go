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

type entry struct {
	format.Place
	format.Exception
	chunks uint64 // in the run, where runs are joined
	kind   kind
}

// kind is what an exception is to the store.
type kind uint8

// The kinds. Stale exceptions have one for each grade.
const (
	live kind = iota
	hidden
	good       // nothing speaks against it
	doubtful   // it does not fit its place, or its neighbours
	reused     // a live exception has its data chunk now
	impossible // no store on this device has it
	kinds
)

// states and grades are what rows say of them.
var (
	states = [kinds]string{"live", "hidden", "stale", "stale", "stale", "stale"}
	grades = [kinds]string{good: "good", doubtful: "doubtful", reused: "reused", impossible: "impossible"}
)

// layout is the look of a format's rows: the text before each number and
// behind the last, and the columns' widths.
type layout struct {
	area, index, old, new, chunks string
	ends                          [kinds]string
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
	start, medium := len(l.appendStart(nil, longest)), len("9999999999999999")
	numbers := max(l.narrow, medium) + 2*max(l.wide, medium)
	switch {
	case start > len(startBlock{}), max(len(l.old), len(l.new)) > len(block{}):
		panic("dump: a text is longer than its block")
	case start+numbers+len(l.old)+len(l.new) > within:
		panic("dump: a row is longer than its room")
	}
}

func csvLayout(sel Selection) *layout {
	l := &layout{runs: sel.Ranges, title: "area,index,old_chunk,new_chunk"}
	l.index, l.old, l.new, l.chunks = ",", ",", ",", ","
	if sel.Ranges {
		l.title += ",chunks"
	}
	if sel.states() {
		l.title += ",state"
	}
	if sel.Stale {
		l.title += ",grade"
	}
	l.title += "\n"
	l.setEnds(sel, ",%s", ",%s", ",", "\n")
	return l
}

// setEnds sets what ends the rows of each kind, from the formats of a state and of a grade, what
// stands for a grade where a kind has none, and the end itself.
func (l *layout) setEnds(sel Selection, state, grade, noGrade, end string) {
	for k := range kinds {
		text := ""
		if sel.states() {
			text = fmt.Sprintf(state, states[k])
		}
		switch {
		case sel.Stale && grades[k] == "":
			text += noGrade
		case sel.Stale:
			text += fmt.Sprintf(grade, grades[k])
		}
		l.ends[k] = text + end
	}
}

func jsonLayout(sel Selection) *layout {
	l := &layout{
		runs:   sel.Ranges,
		area:   ",\n  {\"area\": ",
		index:  `, "index": `,
		old:    `, "old_chunk": `,
		new:    `, "new_chunk": `,
		chunks: `, "chunks": `,
	}
	l.setEnds(sel, `, "state": "%s"`, `, "grade": "%s"`, `, "grade": null`, "}")
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
	state := "  %s"
	if sel.states() {
		l.title += "  state"
	}
	if sel.Stale {
		l.title += "   grade"
		state = "  %-6s"
	}
	l.title += "\n"
	l.setEnds(sel, state, "  %s", "  -", "\n")
	return l
}

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
	return append(dst, l.ends[e.kind]...)
}

// appendStart appends the beginning of the rows of an area, up to the index:
// the same for all of them.
func (l *layout) appendStart(dst []byte, area format.AreaIndex) []byte {
	dst = append(dst, l.area...)
	dst = appendNumber(dst, uint64(area), l.narrow)
	return append(dst, l.index...)
}
