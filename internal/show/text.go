// Package show tells people what was found, planned and done: it makes text of results, as wide as a terminal and in
// its colours. What is shown, and where, others decide; what programs are told is package dump's.
package show

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/fatih/color"

	"dmcow/format"
	"dmcow/internal/words"
)

// Text is text for people on its way to a writer.
type Text struct {
	to      io.Writer
	columns int // that lines are wrapped to; 0 for never
	colours bool
	lines   int
	err     error // the first one, after which nothing is written
}

// On is text on a writer, in colours or without. Where the writer knows its width, lines are wrapped to that.
func On(w io.Writer, colours bool) *Text { return &Text{to: w, columns: Columns(w), colours: colours} }

// Columns is how wide text may be on a writer; 0 where nothing is wrapped.
func Columns(w io.Writer) int {
	if x, ok := w.(interface{ Width() int }); ok {
		return x.Width()
	}
	return 0
}

// Line writes a line, or more where it has to be wrapped.
func (t *Text) Line(format string, args ...any) {
	t.plain(words.Wrap(fmt.Sprintf(format, args...), t.columns, "  "))
}

// Lines is how many lines were written, wrapped or not.
func (t *Text) Lines() int { return t.lines }

// Err is why not all could be written.
func (t *Text) Err() error { return t.err }

// plain writes a line that is wrapped already.
func (t *Text) plain(line string) {
	t.lines++
	t.write(line+"\n", nil)
}

// command writes a line with a command line that can be copied.
func (t *Text) command(line string) { t.plain(words.Command(line, t.columns)) }

// write writes a text, unless it could not be made.
func (t *Text) write(text string, err error) {
	if t.err = cmp.Or(t.err, err); t.err == nil {
		_, t.err = io.WriteString(t.to, text)
	}
}

// paint colours a text where colours are taken.
func (t *Text) paint(c color.Attribute, text string) string {
	p := color.New(c)
	if t.colours {
		p.EnableColor()
	} else {
		p.DisableColor()
	}
	return p.Sprint(text)
}

// speed is how long work took, and how fast so many bytes were done.
func speed(bytes format.Bytes, took time.Duration) string {
	if took < time.Second { // the rate of a moment says nothing
		return fmt.Sprintf("in %.1f s", took.Seconds())
	}
	return fmt.Sprintf("in %.1f s (%s/s)", took.Seconds(), words.Size(int64(float64(bytes)/took.Seconds())))
}

// clock is a moment for people, by their clock.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
