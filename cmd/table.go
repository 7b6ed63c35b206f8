package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fatih/color"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"dmcow/format"
	"dmcow/store"
)

// table writes rows, under a header where there is one, and a blank line
// behind them. It has no lines to be drawn: it is read on the consoles of
// rescue systems too.
func (a *app) table(header []string, rows [][]string) error {
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Right: "  ", Overwrite: true}))
	t.Header(header)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	if err := t.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(a.stdout, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.stdout)
	return err
}

// usageRows compares stores, a row each.
func (a *app) usageRows(all []report) [][]string {
	var rows [][]string
	for i := range all {
		r := &all[i]
		row := []string{printable(r.path), a.paintState(r.State(), r.State().String()), "-", "-", "-", fmt.Sprintf("%ds", r.Usage.Total()), "-", "-"}
		if r.Complete() && r.State() != store.Damaged {
			u := r.Usage
			row[2], row[3], row[4] = a.bar(r, 10), strconv.FormatUint(u.Free(), 10), strconv.FormatUint(u.Leaked(), 10)
			// Sizes are exact, in the form that LVM's commands take too: nobody is
			// to shrink a device to a rounded one.
			if least, ok := u.Minimum(); ok {
				row[6] = fmt.Sprintf("%ds", least)
			}
			if most, ok := r.maximum(); ok {
				row[7] = fmt.Sprintf("%ds", most)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// usageSheet is all there is to say of one store. What is not known is left
// out, and of a damaged store what is only an artefact of the damage.
func (a *app) usageSheet(r *report) [][]string {
	u := r.Usage
	rows := [][]string{
		{"device", printable(r.path)},
		{"state", a.paintState(r.State(), describe(r.Survey))},
		{"kernel's status", r.statusText()},
		{"size", sectors(u.Total())},
	}
	if !u.Geometry.IsZero() {
		rows = append(rows,
			[]string{"chunk size", sectors(u.Geometry.ChunkSectors())},
			[]string{"exceptions", strconv.FormatUint(u.End.Exceptions, 10)})
	}
	if r.Complete() && r.State() != store.Damaged {
		rows = append(rows, a.room(r)...)
	}
	return append(rows, users(r.cow)...)
}

// statusText is the kernel's status line, or why there is none.
func (r *report) statusText() string {
	line, loads := r.Status()
	switch {
	case r.Unreadable() != nil && !loads:
		return "not known: the list cannot be read to its end"
	case !loads && r.Identity.Leftover:
		return "none: the kernel would write an empty store over it"
	case !loads:
		return "none: the kernel refuses it"
	case !r.Identity.Fresh.IsZero():
		return line + ", of the new store that the kernel would make here"
	}
	return line
}

// room is how the space of a store that can be read is used.
func (a *app) room(r *report) [][]string {
	u := r.Usage
	rows := [][]string{{"full", a.bar(r, 20)}}
	if r.State() == store.Invalid {
		rows[0][1] += fmt.Sprintf(", as lvs shows it; the list fills %.2f%%", u.Percent())
		return rows // the snapshot is lost: nothing can be won or lost any more
	}
	left := fmt.Sprintf("%d (then the snapshot is lost)", u.Free())
	if u.Free() == 0 {
		left = "0: the next new chunk loses the snapshot"
	}
	rows = append(rows,
		[]string{"chunks left", left},
		[]string{"chunks lost", fmt.Sprintf("%d (data chunks that no exception uses)", u.Leaked())})
	if least, ok := u.Minimum(); ok {
		rows = append(rows, []string{"can shrink to", sectors(least) + ", and is full then"})
	}
	if most, ok := r.maximum(); ok {
		rows = append(rows, []string{"needs at most", sectors(most) + ", when the whole origin has changed"})
	}
	return rows
}

// users is a row on who else has a device open, if somebody has.
func users(c *cow) [][]string {
	if len(c.holders) == 0 {
		return nil
	}
	return [][]string{{"in use by", strings.Join(c.holders, ", ") + ": figures may move"}}
}

// bar is how full a store is, for the eye, in so many cells, and in figures.
func (a *app) bar(r *report, cells int) string {
	p := r.percent()
	full := int(min(max(p, 0), 100) / 100 * float64(cells))
	if p > 0 {
		full = max(full, 1)
	}
	level := color.FgGreen
	switch {
	case p >= 90 || r.Usage.Free() == 0:
		level = color.FgRed
	case p >= 70:
		level = color.FgYellow
	}
	bar := a.paint(level, strings.Repeat("#", full)) + strings.Repeat(".", cells-full)
	return fmt.Sprintf("[%s] %.2f%%", bar, p)
}

// paintState colours a text that tells a state.
func (a *app) paintState(s store.State, text string) string {
	switch s {
	case store.Valid, store.Uninitialized:
		return text
	}
	return a.paint(color.FgRed, text)
}

// paint colours a text where standard output takes colours.
func (a *app) paint(c color.Attribute, text string) string {
	p := color.New(c)
	if a.colours() {
		p.EnableColor()
	} else {
		p.DisableColor()
	}
	return p.Sprint(text)
}

// sectors is a size, exact and for people.
func sectors(n format.Sectors) string {
	unit := "sectors"
	if n == 1 {
		unit = "sector"
	}
	return fmt.Sprintf("%d %s (%s)", n, unit, binarySize(n.Bytes()))
}

// printable is a text on one line that does nothing to a terminal: names of
// files may hold anything.
func printable(s string) string {
	for _, r := range s {
		if r == '\uFFFD' || !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
