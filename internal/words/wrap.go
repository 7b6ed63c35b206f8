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

// Command is a command line to be typed: where it is longer than so many columns, 0 for never, it goes on behind
// backslashes, so that it can be copied.
func Command(line string, columns int) string {
	const more = ` \`
	if columns <= 0 || Width(line) <= columns {
		return line
	}
	return strings.ReplaceAll(Wrap(line, columns-len(more), "    "), "\n", more+"\n")
}

// Examples is a text in which some lines are command lines of dmcow: those go on behind backslashes, and the others
// are wrapped.
func Examples(text string, columns int) string {
	if columns <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(strings.TrimLeft(body, " "), "dmcow ") && strings.HasPrefix(body, " ") {
			b.WriteString(Command(body, columns))
		} else {
			b.WriteString(Wrap(body, columns, "    "))
		}
		b.WriteString(line[len(body):])
	}
	return b.String()
}
