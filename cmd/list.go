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
	i, err := a.inventory(a.begin(c.volumes, ""))
	if err != nil {
		return err
	}
	switch {
	case c.isPlugin():
		return c.plugin(a, ofInventory(i))
	case c.Output == "prometheus":
		return c.prometheus(a, file, ofInventory(i))
	}
	all := i.All
	switch c.Output {
	case "json":
		return dump.ListJSON(a.stdout, record.Listed(all, a.session.Extension))
	case "csv":
		return dump.ListCSV(a.stdout, record.Listed(all, a.session.Extension))
	}
	if len(all) == 0 {
		a.say("list", "no COW store found")
		return nil
	}
	return show.List(a.text(), all)
}

// inventory is every store in sight, and tells what is wrong with it, and what cannot be seen.
func (a *app) inventory(session *snapshot.Session) (*snapshot.Inventory, error) {
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
	return i, nil
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
		a.say("list", "%v", closed(i))
		a.tellHints(lookHint())
		if areForbidden(i.Closed) {
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

// unseenBy is what raises the exit status in tellUnseen.
func unseenBy(i *snapshot.Inventory) []error {
	all := slices.Concat(i.Empty, i.Faults, i.Unread)
	if areForbidden(i.Closed) {
		all = append(all, closed(i))
	}
	return all
}

func closed(i *snapshot.Inventory) error {
	return fmt.Errorf("cannot read %s: %w", words.Count(len(i.Closed), "block device"), i.Closed[0])
}

// areForbidden reports whether it is for lack of rights that devices could not be read: others, such as drives without
// a medium, hold nothing.
func areForbidden(closed []error) bool { return errors.Is(errors.Join(closed...), fs.ErrPermission) }
