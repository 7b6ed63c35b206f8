package show

import (
	"fmt"
	"strings"

	"github.com/fatih/color"

	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// Describe says what the state of a store means.
func Describe(s look.Survey) string {
	switch s.State() {
	case look.Invalid:
		return "the snapshot is marked invalid: the kernel does not serve it"
	case look.Uninitialized:
		if s.Identity.Leftover {
			return "uninitialized: the kernel would write a new store here. The first 4096 bytes are zero, what follows is not: " +
				"a new LVM snapshot on old blocks, or a lost header"
		}
		return "uninitialized: the device is blank; the kernel would write a new store here"
	}
	return s.State().String()
}

// paintState colours a text that tells a state.
func (t *Text) paintState(s look.State, text string) string {
	switch s {
	case look.Valid:
		return t.paint(color.FgGreen, text)
	case look.Uninitialized:
		return text
	}
	return t.paint(color.FgRed, text)
}

// inTable is how wide figures are in a table, so that they end in one line: 100.00%.
const inTable = 6

// bar is how full a store is, for the eye, in so many cells, and in figures of at least so many characters.
func (t *Text) bar(s look.Survey, cells, pad int) string {
	p := s.Percent()
	full := int(min(max(p, 0), 100) / 100 * float64(cells))
	if p > 0 {
		full = max(full, 1)
	}
	level := color.FgGreen
	switch {
	case p >= 90 || s.Usage.Free() == 0:
		level = color.FgRed
	case p >= 70:
		level = color.FgYellow
	}
	percent := fmt.Sprintf("%*.2f%%", pad, p)
	if cells == 0 {
		return t.paint(level, percent)
	}
	return fmt.Sprintf("[%s%s] %s", t.paint(level, strings.Repeat("#", full)), strings.Repeat(".", cells-full), percent)
}

// sized is a size for people, with the sectors that dmsetup and lvextend take.
func sized[N ~uint64](sectors N) string {
	return fmt.Sprintf("%s (%ds)", words.Size(uint64(sectors)*512), uint64(sectors))
}

// inUse says who else has a device open; it is empty if nobody has.
func inUse(c *snapshot.COW) string {
	if len(c.Holders) == 0 {
		return ""
	}
	return strings.Join(c.Holders, ", ") + ": figures may change"
}

// users is a row on who else has a device open, if somebody has.
func users(c *snapshot.COW) [][2]string {
	if by := inUse(c); by != "" {
		return [][2]string{{"in use by", by}}
	}
	return nil
}

// stateOf is a store's state in a table, and how much is left of a merge that was begun.
func (t *Text) stateOf(u *snapshot.Used) string {
	text := t.paintState(u.Survey.State(), u.Survey.State().String())
	if !u.Merging {
		return text
	}
	text += ", merging"
	if n, known := u.LeftToMerge(); known {
		text += fmt.Sprintf(" (%d left)", n)
	}
	return text
}
