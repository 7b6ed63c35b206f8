package cmd

import (
	"fmt"
	"strings"

	"github.com/fatih/color"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/store"
)

// barWidth is the width of the bar that shows how full a store is.
const barWidth = 20

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

// usage writes what people want to know of stores: of one on a sheet that
// explains, of several in a table that compares.
func (a *app) usage(all []dump.Usage) error {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return a.table(nil, a.usageSheet(&all[0]))
	}
	header := []string{"device", "state", "full", "chunks left", "lost", "size", "shrink to", "at most"}
	var rows [][]string
	for i := range all {
		u := &all[i]
		rows = append(rows, []string{
			u.Device,
			a.paintState(store.State(u.State), u.State),
			a.bar(u),
			number(u.FreeChunks),
			number(u.LeakedChunks),
			bytesOf(&u.TotalSectors),
			exact(u.MinimumSectors),
			exact(u.MaximumSectors),
		})
	}
	return a.table(header, rows)
}

// usageSheet is all there is to say of one store. What is not known is left
// out.
func (a *app) usageSheet(u *dump.Usage) [][]string {
	rows := [][]string{
		{"device", u.Device},
		{"state", a.paintState(store.State(u.State), u.State)},
		{"kernel's status", text(u.Status)},
		{"size", sectors(&u.TotalSectors)},
	}
	if u.Percent == nil {
		return rows
	}
	rows = append(rows,
		[]string{"full", a.bar(u)},
		[]string{"exceptions", number(u.Exceptions) + ", of " + sectors(u.ChunkSectors)},
		[]string{"chunks left", number(u.FreeChunks) + ", until the snapshot is lost"},
		[]string{"chunks lost", number(u.LeakedChunks) + ", to holes"})
	if u.MinimumSectors != nil {
		rows = append(rows, []string{"can shrink to", sectors(u.MinimumSectors) + "; the store is full then"})
	}
	if u.MaximumSectors != nil {
		rows = append(rows, []string{"needs at most", sectors(u.MaximumSectors) + ", when the whole origin has changed"})
	}
	return rows
}

// bar is how full a store is, for the eye and in figures.
func (a *app) bar(u *dump.Usage) string {
	if u.Percent == nil {
		return "-"
	}
	p := *u.Percent
	full := int(min(max(p, 0), 100) / 100 * barWidth)
	if p > 0 {
		full = max(full, 1)
	}
	level := color.FgGreen
	switch {
	case p >= 90 || *u.FreeChunks == 0:
		level = color.FgRed
	case p >= 70:
		level = color.FgYellow
	}
	bar := a.paint(level, strings.Repeat("#", full)) + strings.Repeat(".", barWidth-full)
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

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func sectors(n *uint64) string {
	return fmt.Sprintf("%d sectors (%s)", *n, bytesOf(n))
}

func bytesOf(sectors *uint64) string {
	return binarySize(format.Sectors(*sectors).Bytes())
}

// exact is a size in the form that LVM's commands take too: nobody is to shrink
// a device to a rounded one.
func exact(sectors *uint64) string {
	if sectors == nil {
		return "-"
	}
	return fmt.Sprintf("%ds", *sectors)
}

func text(s *string) string {
	if s == nil {
		return "none: the kernel refuses it"
	}
	return *s
}
