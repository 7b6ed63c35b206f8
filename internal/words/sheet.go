package words

import "strings"

// gap stands between a name and what it is.
const gap = "  "

// Sheet is what there is to say of one thing: a line for each of its properties, and more under its beginning where
// it is longer than so many columns, 0 for never.
func Sheet(pairs [][2]string, columns int) string {
	wide := 0
	for _, p := range pairs {
		wide = max(wide, Width(p[0]))
	}
	var b strings.Builder
	hang := strings.Repeat(" ", wide+len(gap))
	for _, p := range pairs {
		name := p[0] + hang[Width(p[0]):]
		b.WriteString(strings.TrimRight(Wrap(name+p[1], columns, hang), " ") + "\n")
	}
	return b.String()
}
