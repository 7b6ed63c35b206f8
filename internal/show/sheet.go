package show

import (
	"strings"

	"dmcow/internal/words"
)

// gap stands between a name and what it is.
const gap = "  "

// sheet writes what there is to say of one thing.
func (t *Text) sheet(pairs [][2]string) { t.write(sheet(pairs, t.columns), nil) }

// sheet has a line for each property of a thing, which goes on under its beginning where it is longer than so many
// columns, 0 for never.
func sheet(pairs [][2]string, columns int) string {
	wide := 0
	for _, p := range pairs {
		wide = max(wide, words.Width(p[0]))
	}
	var b strings.Builder
	hang := strings.Repeat(" ", wide+len(gap))
	for _, p := range pairs {
		name := p[0] + hang[words.Width(p[0]):]
		b.WriteString(strings.TrimRight(words.Wrap(name+p[1], columns, hang), " ") + "\n")
	}
	return b.String()
}
