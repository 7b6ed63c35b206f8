package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"dmcow/dump"
	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type listCmd struct {
	Disk       []path `arg:"" optional:"" help:"Where to look, as with --pv."`
	Output     string `short:"o" default:"human" enum:"human,csv,json,prometheus" help:"Output format: human, csv, json or prometheus."`
	monitoring `embed:""`
	volumes    `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *listCmd) Validate() error { return c.monitoring.check(c.Output) }

func (c *listCmd) Run(a *app) error {
	c.PV = append(c.PV, c.Disk...)
	file, err := c.outputFile(a)
	if err != nil {
		return err
	}
	all, err := a.inventory(a.begin(c.volumes, ""))
	if err != nil {
		return err
	}
	switch {
	case c.isPlugin():
		return c.plugin(a, ofInventory(all))
	case c.Output == "prometheus":
		return c.prometheus(a, file, ofInventory(all))
	}
	switch c.Output {
	case "json":
		return dump.ListJSON(a.stdout, record.Listed(all))
	case "csv":
		return dump.ListCSV(a.stdout, record.Listed(all))
	}
	if len(all) == 0 {
		a.say("list", "no COW store found")
		return nil
	}
	return show.List(a.text(), all)
}

// inventory is every store in sight, and tells what is wrong with it, and what cannot be seen.
func (a *app) inventory(session *snapshot.Session) ([]*snapshot.Listed, error) {
	i, err := session.Inventory()
	if err != nil {
		return nil, err
	}
	if i.Looked == 0 && len(i.All) == 0 {
		return nil, unable("list", unseen(i))
	}
	a.tell()
	a.tellUnseen(i)
	for _, l := range i.All {
		if err := session.Examine(l); err != nil {
			return nil, err
		}
		if l.Err != nil {
			a.fail(l.Err)
			continue
		}
		a.conclude(l.Name, l.COW, l.Survey)
	}
	return i.All, nil
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
	for _, err := range i.Bare {
		a.say("list", "%v", err)
	}
	for _, err := range i.Copies {
		a.say("list", "%v; another copy is whole", err)
	}
}
