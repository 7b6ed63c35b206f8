package words

import (
	"strings"
	"unicode/utf8"
)

// The widths to which text is wrapped: a narrower terminal breaks lines itself, and a wider one would have lines
// that the eye loses.
const (
	narrowest = 60
	widest    = 200
)

// Columns is the width that text is wrapped to on a terminal of so many columns; of 0, for what is no terminal, it
// is 0, and nothing is wrapped.
func Columns(terminal int) int {
	if terminal <= 0 {
		return 0
	}
	return min(max(terminal, narrowest), widest)
}

// Wrap breaks the lines of a text at blanks where they are longer than so many columns, 0 for never. What goes on
// in the next line begins with the line's own indentation, and then with hang. A word that is longer than a line
// stays whole.
func Wrap(text string, columns int, hang string) string {
	if columns <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, ended := strings.CutSuffix(line, "\n")
		wrapLine(&b, body, columns, hang)
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func wrapLine(b *strings.Builder, line string, columns int, hang string) {
	if Width(line) <= columns {
		b.WriteString(line)
		return
	}
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	at, first := len(indent), true
	b.WriteString(indent)
	for word := range strings.SplitSeq(text, " ") {
		wide := Width(word)
		switch {
		case first:
		case at+1+wide > columns:
			b.WriteString("\n" + indent + hang)
			at = len(indent) + len(hang)
		default:
			b.WriteByte(' ')
			at++
		}
		first = false
		b.WriteString(word)
		at += wide
	}
}

// Width is how many columns a text takes on a terminal. Its colours take none.
func Width(text string) int {
	n := 0
	for {
		plain, rest, coloured := strings.Cut(text, "\x1b[")
		n += utf8.RuneCountInString(plain)
		if !coloured {
			return n
		}
		_, text, _ = strings.Cut(rest, "m")
	}
}
