package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"dmcow/dump"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type listCmd struct {
	Disk    []path `arg:"" optional:"" help:"Where to look, as with --pv."`
	Output  string `short:"o" default:"human" enum:"human,csv,json" help:"How to write: ${enum}."`
	volumes `embed:""`
}

func (c *listCmd) Run(a *app) error {
	c.PV = append(c.PV, c.Disk...)
	session := a.begin(c.volumes, "")
	i, err := session.Inventory()
	if err != nil {
		return err
	}
	if i.Looked == 0 && len(i.All) == 0 {
		return unable("list", unseen(i))
	}
	a.tell()
	a.tellUnseen(i)
	for _, l := range i.All {
		if err := session.Examine(l); err != nil {
			return err
		}
		if l.Err != nil {
			a.fail(l.Err)
			continue
		}
		a.conclude(l.Name, l.COW, l.Survey)
	}
	switch c.Output {
	case "json":
		return dump.ListJSON(a.stdout, listRecords(i.All))
	case "csv":
		return dump.ListCSV(a.stdout, listRecords(i.All))
	}
	if len(i.All) == 0 {
		a.say("list", "no COW store found")
		return nil
	}
	return a.table([]string{"name", "state", "active", "full", "size", "chunk", "origin"}, a.listRows(i.All))
}

// unseen says why no block device was looked at: a list of nothing would say too much then.
func unseen(i *snapshot.Inventory) error {
	if len(i.Closed) == 0 {
		return words.Hinted("the kernel shows no block device", "mount /sys, or "+lookHint())
	}
	return words.Hint(fmt.Errorf("cannot read %s, and there are no others: %w", words.Count(len(i.Closed), "block device"), i.Closed[0]), "%s", lookHint())
}

// tellUnseen tells what could not be seen. Where the metadata has no other copy, the list may lack something.
func (a *app) tellUnseen(i *snapshot.Inventory) {
	if len(i.Closed) > 0 {
		a.say("list", "cannot read %s: %v", words.Count(len(i.Closed), "block device"), i.Closed[0])
		a.tellHints(lookHint())
		if errors.Is(errors.Join(i.Closed...), fs.ErrPermission) {
			a.status |= a.outcomes.unreadable
		}
	}
	for _, err := range i.Empty {
		a.fail(err)
	}
	for _, err := range slices.Concat(i.Faults, i.Unread) {
		a.fail(unable("list", err))
	}
	for _, err := range i.Copies {
		a.say("list", "%v; another copy is whole", err)
	}
}

// recorded is what is known of a store that cannot be read: LVM's record of it.
func recorded(l *snapshot.Listed) dump.Usage {
	u := dump.Usage{Device: l.Name, State: dump.Unreadable}
	var r *snapshot.Refusal
	if errors.As(l.Err, &r) {
		u.Error = new(r.Err.Error())
	}
	if size, chunk := l.Recorded(); size > 0 {
		u.TotalSectors, u.ChunkSectors = new(uint64(size.Sectors())), &chunk
	}
	return u
}

func listRecords(all []*snapshot.Listed) (records []dump.Listed) {
	for _, l := range all {
		r := dump.Listed{Name: l.Name, Active: l.Active, Merging: l.Merging}
		if l.Origin != "" {
			r.Origin = &l.Origin
		}
		if l.COWDevice != "" {
			r.COWDevice = &l.COWDevice
		}
		if l.Sectors > 0 {
			r.OriginSectors = new(uint64(l.Sectors))
		}
		r.Usage = recorded(l)
		if u := l.Used(); u != nil {
			r.Usage = record(u)
		}
		records = append(records, r)
	}
	return records
}

func (a *app) listRows(all []*snapshot.Listed) (rows [][]string) {
	for i, u := range listRecords(all) {
		l := all[i]
		row := []string{words.Printable(l.Name), "cannot be read", "no", "-", "-", "-", words.Printable(l.Origin)}
		if u.Active {
			row[2] = "yes"
		}
		if u.TotalSectors != nil {
			row[4] = fmt.Sprintf("%ds", *u.TotalSectors)
		}
		if u.ChunkSectors != nil {
			row[5] = fmt.Sprintf("%ds", *u.ChunkSectors)
		}
		if l.COW != nil {
			state := l.Survey.State()
			row[1] = a.paintState(state, state.String())
			if l.Survey.Complete() && state != look.Damaged {
				row[3] = a.bar(l.Used(), 10)
			}
		}
		if l.Merging {
			row[1] += ", merging"
		}
		rows = append(rows, row)
	}
	return rows
}
