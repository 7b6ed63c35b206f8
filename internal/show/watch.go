package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"

	"dmcow/internal/pace"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// Screen is what snapshots that are watched are shown on.
type Screen struct {
	Width, Height int // in characters; 0 for as much as it takes
	Colours       bool
	Blocks        bool // more than ASCII can be shown
}

// watchLook is how much of each snapshot there is room for.
type watchLook struct {
	spark  int  // signs of the last hour
	chunks bool // rates in chunks, too
	out    []string
}

// watchLooks are what is tried, one after the other, until it fits.
var watchLooks = []watchLook{
	{30, true, nil}, {15, true, nil}, {15, false, nil}, {10, false, nil}, {0, false, nil},
	{0, false, []string{"15 min"}},
	{0, false, []string{"15 min", "chunks left"}},
	{0, false, []string{"15 min", "chunks left", "1 min"}},
	{0, false, []string{"15 min", "chunks left", "1 min", "state"}},
}

var watchHead = []column{
	{Head: "name"}, {Head: "state"}, {Head: "full", Right: true}, {Head: "chunks left", Right: true}, {Head: "1 min", Right: true}, {Head: "15 min", Right: true}, {Head: "time left", Right: true}, {Head: "last hour"},
}

// Watch is snapshots as they are at a moment, a line each, the most urgent ones first.
func (s Screen) Watch(all []*snapshot.Tracked) (string, error) {
	shown := all
	if most := s.Height - 2; s.Height > 0 && len(all) > most { // the head, and what is left out
		shown = all[:max(most, 1)]
	}
	text, err := s.fit(shown)
	if err != nil {
		return "", err
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	for i, x := range shown {
		lines[i+1] = s.paint(x, strings.TrimSuffix(lines[i+1], "\n")) + "\n"
	}
	if left := len(all) - len(shown); left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more\n", left))
		lines = lines[:min(len(lines), s.Height)]
	}
	return strings.Join(lines, ""), nil
}

// fit is the table as it fits the width: with as much of it as there is room for, and at last with names cut short.
func (s Screen) fit(all []*snapshot.Tracked) (text string, err error) {
	name := 0
	for _, look := range watchLooks {
		if text, err = s.table(all, look, 0); err != nil || s.Width == 0 || widest(text) <= s.Width {
			return text, err
		}
	}
	for _, x := range all {
		name = max(name, words.Width(words.Printable(x.Name)))
	}
	name = max(name-(widest(text)-s.Width), 4)
	return s.table(all, watchLooks[len(watchLooks)-1], name)
}

func (s Screen) table(all []*snapshot.Tracked, look watchLook, name int) (string, error) {
	var head []column
	rows := make([][]string, len(all))
	for _, c := range watchHead {
		if slices.Contains(look.out, c.Head) || c.Head == "last hour" && look.spark == 0 {
			continue
		}
		head = append(head, c)
		for i, x := range all {
			rows[i] = append(rows[i], s.cell(x, c.Head, look, name))
		}
	}
	return drawn(used(head, rows))
}

func (s Screen) cell(x *snapshot.Tracked, column string, look watchLook, name int) string {
	switch column {
	case "name":
		return words.Tail(words.Printable(x.Name), name, "~")
	case "state":
		return watchState(x)
	case "full":
		if p, known := x.Percent(); known && !x.Gone {
			return fmt.Sprintf("%.2f%%", p)
		}
	case "chunks left":
		switch {
		case x.Gone || !x.Known || x.Lost():
		case x.Merging:
			return fmt.Sprintf("%d to merge", x.Usage.End.Exceptions)
		default:
			return fmt.Sprint(x.Usage.Free())
		}
	case "1 min":
		return watchRate(x, pace.Short, look.chunks)
	case "15 min":
		return watchRate(x, pace.Long, look.chunks)
	case "time left":
		return timeLeft(x)
	case "last hour":
		return s.spark(x, look.spark)
	}
	return "-"
}

func watchState(x *snapshot.Tracked) string {
	switch {
	case x.Gone:
		return "gone"
	case x.Merging && x.State == "valid":
		return "merging"
	case x.State == "valid" && !x.Active:
		return "not active"
	}
	return x.State
}

func watchRate(x *snapshot.Tracked, window time.Duration, chunks bool) string {
	perSecond, known := x.History.Rate(window)
	if x.Gone || !x.Known || !known {
		return "-"
	}
	if perSecond == 0 {
		return "0"
	}
	bytes := words.Size(int64(perSecond*float64(x.Usage.Geometry.ChunkBytes()))) + "/s"
	if !chunks {
		return bytes
	}
	if perSecond < 1 {
		return fmt.Sprintf("%.2g chunks/s, %s", perSecond, bytes)
	}
	return fmt.Sprintf("%.1f chunks/s, %s", perSecond, bytes)
}

// timeLeft is when a snapshot will be full, or merged.
func timeLeft(x *snapshot.Tracked) string {
	f := x.Forecast()
	switch {
	case x.Gone:
		return "-"
	case x.Lost():
		return "lost"
	case !x.Active && !x.Merging && f.Known && !f.Ever, !x.Known:
		return "-"
	case !f.Known:
		return "not known yet"
	case !f.Ever && x.Merging:
		return "stands still"
	case !f.Ever:
		return "does not fill"
	case f.Left >= pace.Longest:
		return "over 100 years"
	case x.Merging:
		return fmt.Sprintf("%s (%d%% merged)", words.Span(f.Left), 100-100*x.Usage.End.Exceptions/max(x.ToMerge, 1))
	}
	return words.Span(f.Left)
}

// Signs of the last hour, from nothing to the most.
var (
	sparkBlocks = []rune(" ▁▂▃▄▅▆▇█")
	sparkASCII  = []rune(" .:-=+*#@")
)

// spark draws how much was stored, or merged, in each part of the last hour, against the part with the most.
func (s Screen) spark(x *snapshot.Tracked, cells int) string {
	if cells == 0 || x.Gone || !x.Known {
		return "-"
	}
	signs := sparkASCII
	if s.Blocks {
		signs = sparkBlocks
	}
	steps := x.History.Steps(cells, time.Hour)
	most := slices.Max(steps)
	if most < 0 {
		return "-" // nothing is known yet
	}
	var b strings.Builder
	for _, n := range steps {
		sign := 0
		if n > 0 {
			sign = max(1, int(n/most*float64(len(signs)-1)+0.5))
		}
		b.WriteRune(signs[sign])
	}
	return b.String()
}

// When a snapshot is urgent: red, and yellow before that.
const (
	redLeft, yellowLeft = time.Hour, 24 * time.Hour
	redFull, yellowFull = 95, 80
)

func (s Screen) paint(x *snapshot.Tracked, line string) string {
	t := &Text{colours: s.Colours}
	percent, _ := x.Percent()
	f := x.Forecast()
	switch {
	case x.Gone, x.Merging && !x.Lost():
		return line
	case x.Lost(), f.Ever && f.Left < redLeft, percent >= redFull:
		return t.paint(color.FgRed, line)
	case x.Err != nil, f.Ever && f.Left < yellowLeft, percent >= yellowFull:
		return t.paint(color.FgYellow, line)
	}
	return line
}

// Redrawn is a text that takes the place of what a terminal shows.
func Redrawn(text string) string {
	const home, toEndOfLine, toEnd = "\x1b[H", "\x1b[K", "\x1b[J"
	text = strings.TrimSuffix(text, "\n")
	return home + strings.ReplaceAll(text, "\n", toEndOfLine+"\r\n") + toEndOfLine + toEnd
}
