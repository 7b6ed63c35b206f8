package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/dump"
	"dmcow/internal/units"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type usageCmd struct {
	COW       []path             `arg:"" help:"COW devices, images of them, or VG/LV, snapshots of LVM."`
	Output    string             `short:"o" default:"human" enum:"human,json,prometheus" help:"How to write: ${enum}."`
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
	case len(c.COW) > 1 && c.isGiven():
		return errors.New("--offset and --size go with a single COW device")
	case c.Table && c.Origin == "" && c.OriginSize == nil && slices.ContainsFunc(c.COW, func(p path) bool { return !p.isVolume() }):
		return errors.New("--table needs --origin or --origin-size")
	case c.Table && c.isGiven():
		return errors.New("--table excludes --offset and --size: make a device of that part first (losetup)")
	case c.Table && (plugin || c.Output != "human"):
		return errors.New("--table excludes --output, --warn and --crit")
	case plugin && c.Output != "human":
		return errors.New("--warn and --crit exclude --output")
	case c.Warn != nil && c.Crit != nil && *c.Warn > *c.Crit:
		return fmt.Errorf("--warn %v is above --crit %v", c.Warn, c.Crit)
	}
	return nil
}

func (c *usageCmd) Run(a *app) error {
	session := a.begin(c.volumes, "")
	origin, err := session.OriginFacts(c.base())
	if err != nil {
		return err
	}
	var all []*snapshot.Used
	var unread []dump.Monitored
	for i, p := range c.COW {
		if slices.Contains(c.COW[:i], p) {
			continue
		}
		r := c.request(p)
		r.ChunkSectors = uint32(c.ChunkSize)
		u, err := session.Usage(r, origin)
		if x := (*snapshot.Refusal)(nil); errors.As(err, &x) && a.ended(x.Code) == a.outcomes.unreadable {
			a.fail(err) // others may be read
			unread = append(unread, dump.Monitored{Name: string(p), Err: x.Err})
			continue
		}
		if err != nil {
			return err
		}
		a.conclude(u.COW.Text, u.COW, u.Survey)
		if u.Survey.Identity.Leftover && u.Survey.State() == look.Uninitialized {
			a.say(u.COW.Text, "%s", describe(u.Survey))
		}
		if err := u.Unread(); err != nil {
			unread = append(unread, dump.Monitored{Name: string(p), Err: err})
		}
		all = append(all, u)
	}
	return c.write(a, all, unread)
}

func (c *usageCmd) write(a *app, all []*snapshot.Used, unread []dump.Monitored) error {
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
			names = append(names, u.Name)
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
func (c *usageCmd) inOrder(all []*snapshot.Used, unread []dump.Monitored) []dump.Usage {
	list := records(all)
	for _, u := range unread {
		if !slices.ContainsFunc(all, func(r *snapshot.Used) bool { return r.COW.Text == u.Name }) {
			list = append(list, dump.Usage{Device: u.Name, State: dump.Unreadable, Error: new(u.Err.Error())})
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

// isMonitoring reports whether a command line asks for the monitoring plugin, also
// where it cannot be parsed: the plugin's exit statuses hold then too.
func isMonitoring(args []string) bool {
	usage := false
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return false
		case name == "--warn" || name == "--crit":
			return usage
		case !strings.HasPrefix(arg, "-") && !usage:
			if arg != "usage" {
				return false
			}
			usage = true
		}
	}
	return false
}

// plugin writes the monitoring plugin's line and raises the alarm that it tells of.
func (c *usageCmd) plugin(a *app, all []*snapshot.Used, unread []dump.Monitored) error {
	var stores []dump.Monitored
	for _, u := range all {
		if u.Survey.Unreadable() == nil { // else it is among unread
			stores = append(stores, dump.Monitored{Name: u.COW.Text, Survey: u.Survey})
		}
	}
	line, level := dump.Plugin(append(stores, unread...), c.Warn, c.Crit)
	a.alarm = &level
	return a.print("%s\n", line)
}
