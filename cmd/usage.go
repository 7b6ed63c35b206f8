package cmd

import (
	"errors"
	"slices"

	"dmcow/dump"
	"dmcow/internal/dmtable"
	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/units"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type usageCmd struct {
	COW        []path             `arg:"" optional:"" help:"COW devices, images of them, patterns of these in quotes, or VG/LV (LVM snapshots)."`
	All        bool               `help:"All snapshots in sight, as list finds them."`
	Output     string             `short:"o" default:"human" enum:"human,json,prometheus" help:"Output format: human, json or prometheus."`
	ChunkSize  units.ChunkSectors `placeholder:"SIZE" help:"For a blank device: chunk size of the store that the kernel would write. Default: 32 sectors, or the logical block if that is larger."`
	Table      bool               `help:"Print the device-mapper tables to load the store read-only and to merge it."`
	Script     bool               `help:"With --table: print a shell script that shows the snapshot read-only (up) and takes it down again (down)."`
	ByFile     bool               `help:"Show which files the chunks belong to, on the snapshot and on the origin (ext2, ext3, ext4 and XFS)."`
	Top        int                `placeholder:"N" help:"With --by-file: show only the N files with the most bytes."`
	Live       bool               `help:"With --by-file: read devices that are in use, too."`
	monitoring `embed:""`
	filesystem `embed:""`
	theOrigin  `embed:""`
	section    `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *usageCmd) Validate() error {
	switch {
	case len(c.COW) == 0 && !c.All:
		return errors.New("missing COW")
	case c.All && (len(c.COW) > 0 || c.Table || c.ByFile || c.isGiven() || len(c.Piece) > 0 || c.Origin != "" || c.OriginSize != nil || c.ChunkSize != 0):
		return errors.New("--all takes no COW device, origin, piece or --chunk-size, and no --table or --by-file")
	case c.theOrigin.check() != nil:
		return c.theOrigin.check()
	case c.ByFile:
		return c.checkByFile()
	case c.Top != 0 || c.Live || c.Partition != 0:
		return errors.New("--top, --live and --partition need --by-file")
	case len(c.COW) > 1 && c.isGiven():
		return errors.New("--offset and --size need a single COW device")
	case c.Table && c.Origin == "" && c.OriginSize == nil && slices.ContainsFunc(c.COW, func(p path) bool { return !p.isVolume() }):
		return errors.New("--table needs --origin or --origin-size")
	case c.Script && !c.Table:
		return errors.New("--script needs --table")
	case c.Script && len(c.COW) > 1:
		return errors.New("--script needs a single COW device")
	case c.Script && (c.OriginSize != nil || c.Origin.isVolume()):
		return errors.New("--script needs the origin: give its path with --origin, or COW as VG/LV")
	case c.Table && c.isGiven():
		return errors.New("--table cannot be combined with --offset or --size: first make a device of that part (losetup)")
	case c.Table && len(c.Piece) > 0:
		return errors.New("--table cannot be combined with --piece: first make a device of the pieces (dmsetup)")
	case c.Table && (c.isPlugin() || c.Output != "human"):
		return errors.New("--table cannot be combined with --output, --warn or --crit")
	}
	return c.monitoring.check(c.Output)
}

func (c *usageCmd) Run(a *app) error {
	if c.ByFile {
		return c.byFile(a)
	}
	file, err := c.outputFile(a, append(c.COW, c.Origin)...)
	if err != nil {
		return err
	}
	of, err := c.find(a)
	if err != nil {
		return err
	}
	return c.write(a, of, file)
}

// find finds out about the stores.
func (c *usageCmd) find(a *app) (m monitored, err error) {
	session := a.begin(c.volumes, "")
	if c.All {
		i, err := a.inventory(session)
		if err != nil {
			return m, err
		}
		return ofInventory(i), nil
	}
	origin, err := session.OriginFacts(c.base())
	if err != nil {
		return m, err
	}
	c.expand(a, &m)
	for i, p := range c.COW {
		if slices.Contains(c.COW[:i], p) {
			continue
		}
		r := c.request(p)
		r.ChunkSectors = uint32(c.ChunkSize)
		u, err := session.Usage(r, origin)
		if x := (*snapshot.Refusal)(nil); errors.As(err, &x) && a.ended(x.Code) == a.outcomes.unreadable {
			a.fail(err) // others may be read
			m.miss(string(p), err, session.Labels(string(p)))
			continue
		}
		if err != nil {
			return m, err
		}
		a.conclude(u.COW.Text, u.COW, u.Survey)
		if u.Survey.Identity.Leftover && u.Survey.State() == look.Uninitialized {
			a.say(u.COW.Text, "%s", show.Describe(u.Survey))
		}
		m.add(u)
	}
	return m, nil
}

func (c *usageCmd) write(a *app, m monitored, file snapshot.ListFile) error {
	switch {
	case c.isPlugin():
		return c.plugin(a, m)
	case c.Table:
		return c.tables(a, m.all)
	case c.Output == "json":
		return dump.UsageJSON(a.stdout, record.InOrder(c.names(), a.usageRecords(m.all), m.unread))
	case c.Output == "prometheus":
		return c.prometheus(a, file, m)
	case len(c.COW) > 1 || c.All:
		return show.Stores(a.text(), m.all)
	case len(m.all) == 1:
		return show.Store(a.text(), m.all[0], a.session.Created(m.all[0]), a.session.Extension(m.all[0]))
	}
	return nil
}

// tables writes device-mapper tables for the stores that are fit to be loaded, or a script.
func (c *usageCmd) tables(a *app, all []*snapshot.Used) error {
	for _, u := range all {
		text, why := "", u.Unfit()
		if u.Survey.State() != look.Valid {
			why = show.Describe(u.Survey)
		}
		if why == "" {
			of := dmtable.Tables
			if c.Script {
				of = dmtable.Script
			}
			var err error
			if text, err = of(u); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			a.say(u.COW.Text, "no table: %s", why)
		} else if err := a.print("%s", text); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) usageRecords(all []*snapshot.Used) (records []dump.Usage) {
	for _, u := range all {
		records = append(records, record.Extended(record.Usage(u, a.session.Created(u)), a.session.Extension(u)))
	}
	return records
}

// names are the stores, as they were named.
func (c *usageCmd) names() (all []string) {
	for _, p := range c.COW {
		all = append(all, string(p))
	}
	return all
}
