package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"dmcow/dump"
	"dmcow/internal/units"
	"dmcow/snapshot"
	"dmcow/store"
)

type usageCmd struct {
	COW       []path             `arg:"" help:"COW devices, images of them, or VG/LV, snapshots of LVM."`
	Output    string             `default:"human" enum:"human,json,prometheus" help:"How to write: ${enum}."`
	ChunkSize units.ChunkSectors `placeholder:"SIZE" help:"Chunk size of the store that the kernel would make on a blank device. Default: 32 sectors, or the logical block if that is larger."`
	Table     bool               `help:"Print the device-mapper tables that load the store read-only and that merge it."`
	Warn      *units.Percent     `placeholder:"PCT" help:"Be a monitoring plugin: WARNING when a store is this full."`
	Crit      *units.Percent     `placeholder:"PCT" help:"Be a monitoring plugin: CRITICAL when a store is this full, or is lost."`
	theOrigin `embed:""`
	section   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *usageCmd) Validate() error {
	plugin := c.Warn != nil || c.Crit != nil
	switch {
	case c.theOrigin.check() != nil:
		return c.theOrigin.check()
	case len(c.COW) > 1 && c.given():
		return errors.New("--offset and --size: expected a single COW device")
	case c.Table && c.Origin == "" && c.OriginSize == nil && slices.ContainsFunc(c.COW, func(p path) bool { return !snapshot.IsVolume(string(p)) }):
		return errors.New("--table: expected --origin as well, or --origin-size")
	case c.Table && c.given():
		return errors.New("--table: expected a COW device of its own, without --offset and --size (losetup makes one)")
	case c.Table && (plugin || c.Output != "human"):
		return errors.New("--table: cannot go with --output, --warn or --crit")
	case plugin && c.Output != "human":
		return errors.New("--warn and --crit: cannot go with --output")
	case c.Warn != nil && c.Crit != nil && *c.Warn > *c.Crit:
		return fmt.Errorf("--warn %v: expected no more than --crit %v", c.Warn, c.Crit)
	}
	return nil
}

// unreadCOW is a device that could not be read, and why.
type unreadCOW struct {
	path string
	err  error
}

func (c *usageCmd) Run(a *app) error {
	session := a.begin(c.volumes, "")
	origin, err := session.OriginFacts(c.base())
	if err != nil {
		return err
	}
	var all []*snapshot.Used
	var unread []unreadCOW
	for i, p := range c.COW {
		if slices.Contains(c.COW[:i], p) {
			continue
		}
		r := c.request(p)
		r.ChunkSectors = uint32(c.ChunkSize)
		u, err := session.Usage(r, origin)
		if refusal, ok := a.isUnreadable(err); ok {
			a.fail(err)
			unread = append(unread, unreadCOW{string(p), refusal.Err})
			continue
		}
		if err != nil {
			return err
		}
		u.Survey.Identity.Fault = a.fault(u.COW)
		a.conclude(u.COW.Text, u.Survey)
		if u.Survey.Identity.Leftover && u.Survey.State() == store.Uninitialized {
			a.say(u.COW.Text, "%s", describe(u.Survey))
		}
		if err := u.Unread(); err != nil {
			unread = append(unread, unreadCOW{string(p), err})
		}
		all = append(all, u)
	}
	return c.write(a, all, unread)
}

// write writes the reports in the form that was asked for.
func (c *usageCmd) write(a *app, all []*snapshot.Used, unread []unreadCOW) error {
	switch {
	case c.Warn != nil || c.Crit != nil:
		return c.plugin(a, all, unread)
	case c.Table:
		return a.tables(all)
	case c.Output == "json":
		return dump.UsageJSON(a.stdout, c.inOrder(all, unread))
	case c.Output == "prometheus":
		readable := slices.DeleteFunc(all, func(r *snapshot.Used) bool { return r.Survey.Unreadable() != nil })
		var names []string
		for _, u := range unread {
			names = append(names, u.path)
		}
		return dump.UsagePrometheus(a.stdout, records(readable), names)
	case len(c.COW) > 1:
		return a.table([]string{"device", "state", "full", "chunks left", "lost", "size", "shrink to", "at most"}, a.usageRows(all))
	case len(all) == 1:
		return a.table(nil, a.usageSheet(all[0]))
	}
	return nil
}

func records(all []*snapshot.Used) []dump.Usage {
	var records []dump.Usage
	for _, u := range all {
		records = append(records, record(u))
	}
	return records
}

// inOrder are the records of all stores, in the order in which they were named.
func (c *usageCmd) inOrder(all []*snapshot.Used, unread []unreadCOW) []dump.Usage {
	list := records(all)
	for _, u := range unread {
		if !slices.ContainsFunc(all, func(r *snapshot.Used) bool { return r.COW.Text == u.path }) {
			list = append(list, dump.Usage{Device: u.path, State: dump.Unreadable, Error: new(u.err.Error())})
		}
	}
	place := func(u dump.Usage) int { return slices.Index(c.COW, path(u.Device)) }
	slices.SortStableFunc(list, func(a, b dump.Usage) int { return cmp.Compare(place(a), place(b)) })
	return list
}

// record is a store's usage as programs are told it.
func record(r *snapshot.Used) dump.Usage {
	return dump.UsageOf(r.COW.Text, r.Survey, r.Origin.Sectors, r.Unread())
}
