package cmd

import (
	"bytes"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"dmcow/dump"
	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/words"
)

// watchScreen is a terminal that is drawn on. What is said meanwhile would be drawn over, so it is shown under the
// table, and said at the end.
type watchScreen struct {
	said   bytes.Buffer
	stderr *os.File // standard error, if that is a terminal, where it is said then; nil if it is written to at once
}

func newWatchScreen(a *app) *watchScreen {
	s := new(watchScreen)
	if f := a.stderr.File(); isTerminal(f) {
		s.stderr = f
		a.stderr.Become(&s.said)
	}
	return s
}

// lines are the last lines of what was said, four at most, for a terminal of so many columns and lines.
func (s *watchScreen) lines(columns, rows int) string {
	most := 4
	if rows > 0 {
		most = max(0, min(most, (rows-4)/2))
	}
	all := strings.SplitAfter(wrapLines(s.said.String(), columns), "\n")
	for i, line := range all {
		if r := []rune(line); columns > 0 && len(r) > columns+1 { // a long word
			all[i] = string(r[:columns-1]) + "~\n"
		}
	}
	return strings.Join(all[max(0, len(all)-1-most):], "")
}

func wrapLines(text string, columns int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(words.Wrap(strings.TrimSuffix(line, "\n"), columns, "  ") + "\n")
	}
	return b.String()
}

// leave leaves the terminal with what was seen last, and says what was said under it.
func (w *watching) leave() error {
	s := w.screen
	if s == nil {
		return nil
	}
	var err error
	said := s.said.String()
	if s.said.Reset(); w.now > 0 {
		err = w.show()
	}
	if err == nil {
		err = w.app.print("\n")
	}
	if s.stderr != nil {
		w.app.stderr.Become(s.stderr)
		io.WriteString(w.app.stderr, wrapLines(said, w.app.stderr.Width()))
	}
	return err
}

// show writes what was seen.
func (w *watching) show() error {
	a := w.app
	switch w.Output {
	case "csv":
		return dump.WatchedCSV(a.stdout, false, record.Watched(w.at, w.tracks.All))
	case "json":
		return dump.WatchedJSON(a.stdout, record.Watched(w.at, w.tracks.All))
	}
	s, head := show.Screen{Colours: a.takesColours(), Blocks: hasBlocks()}, w.at.Format("2006-01-02 15:04:05")+"\n"
	if f := a.stdout.File(); isTerminal(f) {
		s.Width, s.Height, _ = term.GetSize(int(f.Fd()))
	}
	if w.screen != nil {
		s.Width = max(s.Width-1, 0) // what stood in the last column would be erased with the rest of its line
		said := w.screen.lines(s.Width, s.Height)
		if s.Height > 0 {
			s.Height = max(s.Height-1-strings.Count(said, "\n"), 1)
		}
		text, err := w.table(s, "no snapshot in sight\n")
		if err != nil {
			return err
		}
		return a.print("%s", show.Redrawn(head+text+said))
	}
	s.Height = 0 // what does not fit scrolls
	text, err := w.table(s, "")
	if err == nil && !w.Once {
		text = head + text + "\n"
	}
	if err != nil {
		return err
	}
	return a.print("%s", text)
}

// table is what was seen last, or in its place what there is to say of nothing.
func (w *watching) table(s show.Screen, nothing string) (string, error) {
	if len(w.tracks.All) == 0 {
		return nothing, nil
	}
	return s.Watch(w.tracks.All)
}

// draw writes the picture of the whole run.
func (w *watching) draw(to io.Writer) error {
	var all []dump.Course
	for _, x := range w.tracks.Drawn {
		c := dump.Course{Name: x.Name}
		for _, p := range x.Course.Points {
			c.At, c.Percents = append(c.At, p.At), append(c.Percents, p.Percent)
		}
		all = append(all, c)
	}
	return dump.CourseSVG(to, all, w.began, w.now)
}
