package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fatih/color"

	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// sheet writes what there is to say of one thing.
func (a *app) sheet(pairs [][2]string) error {
	return a.print("%s", words.Sheet(pairs, a.stdout.Width()))
}

// size is a size for people, with the sectors that dmsetup and lvextend take.
func size[N ~uint64](sectors N) string {
	return fmt.Sprintf("%s (%ds)", words.Size(uint64(sectors)*512), uint64(sectors))
}

// usageHead is over what compares stores.
var usageHead = []column{{Head: "device"}, {Head: "state"}, {Head: "full"}, {Head: "chunks left", Right: true}, {Head: "lost", Right: true}, {Head: "size", Right: true}, {Head: "shrink to", Right: true}, {Head: "at most", Right: true}}

// usageRows compares stores, a row each.
func (a *app) usageRows(all []*snapshot.Used, cells int) [][]string {
	var rows [][]string
	for _, r := range all {
		row := []string{words.Printable(r.COW.Text), a.paintState(r.Survey.State(), r.Survey.State().String()), "-", "-", "-", words.Size(uint64(r.Survey.Usage.Total()) * 512), "-", "-"}
		if r.Survey.Complete() && r.Survey.State() != look.Damaged {
			u := r.Survey.Usage
			row[2], row[3], row[4] = a.bar(r, cells, inTable), strconv.FormatUint(u.Free(), 10), strconv.FormatUint(u.Leaked(), 10)
			// Sizes to be typed are exact, too: nobody is to shrink a device to a rounded one.
			if least, ok := u.Minimum(); ok {
				row[6] = size(least)
			}
			if most, ok := r.Survey.Maximum(r.Origin.Sectors); ok {
				row[7] = size(most)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// usageSheet is all there is to say of one store. What is not known is left
// out, and of a damaged store what is only an artefact of the damage.
func (a *app) usageSheet(r *snapshot.Used) [][2]string {
	u := r.Survey.Usage
	rows := [][2]string{
		{"device", words.Printable(r.COW.Text)},
		{"state", a.paintState(r.Survey.State(), describe(r.Survey))},
		{"kernel's status", statusText(r)},
		{"size", words.Sectors(u.Total())},
	}
	if !u.Geometry.IsZero() {
		rows = append(rows,
			[2]string{"chunk size", words.Sectors(u.Geometry.ChunkSectors())},
			[2]string{"exceptions", strconv.FormatUint(u.End.Exceptions, 10)})
	}
	if r.Survey.Complete() && r.Survey.State() != look.Damaged {
		rows = append(rows, a.room(r)...)
	}
	if made := a.session.Created(r); !made.IsZero() {
		rows = append(rows, [2]string{"created", when(made)})
	}
	return append(rows, users(r.COW)...)
}

// statusText is the kernel's status line, or why there is none.
func statusText(r *snapshot.Used) string {
	line, loads := r.Survey.Status()
	switch {
	case r.Survey.Unreadable() != nil && !loads:
		return "not known: the list cannot be read to its end"
	case !loads && r.Survey.Identity.Leftover:
		return "none: the kernel would write an empty store over it"
	case !loads:
		return "none: the kernel refuses it"
	case !r.Survey.Identity.Fresh.IsZero():
		return line + " (of the new store that the kernel would write here)"
	}
	return line
}

// room is how the space of a store that can be read is used.
func (a *app) room(r *snapshot.Used) [][2]string {
	u := r.Survey.Usage
	rows := [][2]string{{"full", a.bar(r, 20, 0)}}
	if r.Survey.State() == look.Invalid {
		rows[0][1] += fmt.Sprintf(", as lvs shows it; the list fills %.2f%%", u.Percent())
		return rows // the snapshot is lost: nothing can be won or lost any more
	}
	left := fmt.Sprintf("%d (then the snapshot is lost)", u.Free())
	if u.Free() == 0 {
		left = "0: the next new chunk loses the snapshot"
	}
	rows = append(rows,
		[2]string{"chunks left", left},
		[2]string{"chunks lost", fmt.Sprintf("%d (data chunks without an exception)", u.Leaked())})
	if least, ok := u.Minimum(); ok {
		rows = append(rows, [2]string{"can shrink to", words.Sectors(least) + "; then it is full"})
	}
	if most, ok := r.Survey.Maximum(r.Origin.Sectors); ok {
		rows = append(rows, [2]string{"needs at most", words.Sectors(most) + ", if the whole origin changes"})
	}
	return rows
}

// users is a row on who else has a device open, if somebody has.
func users(c *snapshot.COW) [][2]string {
	if len(c.Holders) == 0 {
		return nil
	}
	return [][2]string{{"in use by", strings.Join(c.Holders, ", ") + ": figures may change"}}
}

// inTable is how wide figures are in a table, so that they end in one line: 100.00%.
const inTable = 6

// bar is how full a store is, for the eye, in so many cells, and in figures of at least so many characters.
func (a *app) bar(r *snapshot.Used, cells, pad int) string {
	p := r.Survey.Percent()
	full := int(min(max(p, 0), 100) / 100 * float64(cells))
	if p > 0 {
		full = max(full, 1)
	}
	level := color.FgGreen
	switch {
	case p >= 90 || r.Survey.Usage.Free() == 0:
		level = color.FgRed
	case p >= 70:
		level = color.FgYellow
	}
	percent := fmt.Sprintf("%*.2f%%", pad, p)
	if cells == 0 {
		return a.paint(level, percent)
	}
	return fmt.Sprintf("[%s%s] %s", a.paint(level, strings.Repeat("#", full)), strings.Repeat(".", cells-full), percent)
}

// paintState colours a text that tells a state.
func (a *app) paintState(s look.State, text string) string {
	switch s {
	case look.Valid:
		return a.paint(color.FgGreen, text)
	case look.Uninitialized:
		return text
	}
	return a.paint(color.FgRed, text)
}

// paint colours a text where standard output takes colours.
func (a *app) paint(c color.Attribute, text string) string {
	p := color.New(c)
	if a.takesColours() {
		p.EnableColor()
	} else {
		p.DisableColor()
	}
	return p.Sprint(text)
}

// conclude tells what is wrong with a store, and adds the status for what it is.
func (a *app) conclude(name string, c *snapshot.COW, s look.Survey) {
	a.tell()
	for i, fault := range s.Faults() {
		a.say(name, "%s", fault)
		if i == 0 {
			a.tellHints(a.hints(c.Text, c.Remedies)...)
		}
	}
	if err := s.Unreadable(); err != nil {
		a.fail(&snapshot.Refusal{Device: name, Code: snapshot.Unreadable, Err: err})
	}
	// A store can be both damaged and marked invalid.
	a.status |= a.ended(snapshot.CodeOf(s.Identity.State)) | a.ended(snapshot.CodeOf(s.State()))
}

// interruptedBy makes a refusal of an interruption, and passes other errors on.
func interruptedBy(name string, err error) error {
	if errors.Is(err, snapshot.ErrInterrupted) {
		return &snapshot.Refusal{Device: name, Code: snapshot.Interrupted, Err: err}
	}
	return err
}

// describe says what a state means.
func describe(s look.Survey) string {
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
