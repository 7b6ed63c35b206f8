package cmd

import (
	"errors"
	"fmt"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

type usageCmd struct {
	COW        []string  `arg:"" help:"COW devices, or images of them."`
	Output     string    `default:"human" enum:"human,json,prometheus" help:"How to write: ${enum}."`
	Origin     string    `placeholder:"DEV" help:"The snapshot's origin: tells what the store needs at most."`
	OriginSize *size     `placeholder:"SIZE" help:"The origin's size, in place of the origin."`
	ChunkSize  chunkSize `placeholder:"SIZE" help:"Chunk size of the store that the kernel would make on a blank device. Default: 32 sectors, or the logical block if that is larger."`
	Table      bool      `help:"Print the device-mapper tables that load the store read-only and that merge it."`
	Warn       *percent  `placeholder:"PCT" help:"Be a monitoring plugin: WARNING when a store is this full."`
	Crit       *percent  `placeholder:"PCT" help:"Be a monitoring plugin: CRITICAL when a store is this full, or is lost."`
	section    `embed:""`
}

func (usageCmd) Help() string {
	return `
Prints what the kernel's status line says of a store, and what that means: how
full it is, as lvs shows it; how many chunks can still be written before the
snapshot is lost; how many were lost to holes; to what size it can be shrunk,
and how large it must be for never running full.

  dmcow usage /dev/mapper/vg0-snap-cow
  dmcow usage --origin /dev/vg0/data --output json snap.img
  dmcow usage --output prometheus /dev/mapper/*-cow >cow.prom
  dmcow usage --warn 80 --crit 95 /dev/mapper/vg0-snap-cow
  dmcow usage --table --origin /dev/vg0/data snap.img

With --warn or --crit it is a monitoring plugin and exits 0 OK, 1 WARNING,
2 CRITICAL (also for an invalid snapshot) or 3 UNKNOWN.
`
}

// Validate tells wrong use that single flags do not show.
func (c *usageCmd) Validate() error {
	switch {
	case c.Origin != "" && c.OriginSize != nil:
		return errors.New("--origin and --origin-size: expected one of them")
	case len(c.COW) > 1 && c.given():
		return errors.New("--offset and --size: expected a single COW device")
	case c.Table && c.Origin == "" && c.OriginSize == nil:
		return errors.New("--table: expected --origin as well, or --origin-size")
	case c.Table && (c.Warn != nil || c.Crit != nil):
		return errors.New("--table: expected neither --warn nor --crit")
	case c.Warn != nil && c.Crit != nil && *c.Warn > *c.Crit:
		return fmt.Errorf("--warn %v: expected no more than --crit %v", c.Warn, c.Crit)
	}
	return nil
}

func (c *usageCmd) Run(a *app) error {
	o, ok := c.origin(a)
	if !ok {
		return nil
	}
	var r report
	for _, path := range c.COW {
		c.look(a, path, o, &r)
		if a.status&statusInterrupted != 0 {
			return nil
		}
	}
	c.write(a, r)
	return nil
}

// report is what is known of all the stores.
type report struct {
	all        []dump.Usage
	tables     []string
	unreadable []string
}

// origin is what is known of the snapshots' origin.
type origin struct {
	name    string          // in a table
	sectors *format.Sectors // nil when not known
}

func (c *usageCmd) origin(a *app) (o origin, ok bool) {
	o.name = "ORIGIN"
	if c.OriginSize != nil {
		o.sectors = new(format.Bytes(*c.OriginSize).Sectors())
	}
	if c.Origin == "" {
		return o, true
	}
	d, err := device.Open(c.Origin)
	if err != nil {
		a.say(c.Origin, "%v", err)
		a.found(unreadable)
		return o, false
	}
	defer d.Close()
	return origin{tableName(d), new(format.Bytes(d.Size()).Sectors())}, true
}

// tableName is a device's name in a device-mapper table: its number, as the
// kernel has it, or the path of an image file, which wants a loop device.
func tableName(d *device.Device) string {
	if d.IsBlock() {
		return d.Number().String()
	}
	return d.Path()
}

// look finds out about one store.
func (c *usageCmd) look(a *app, path string, o origin, r *report) {
	w, ok := a.openCOW(path, c.section, c.ChunkSize)
	if !ok {
		r.unreadable = append(r.unreadable, path)
		return
	}
	defer w.Close()
	u, err := a.scan(w)
	a.conclude(w, u, err)
	if w.Leftover {
		a.say(path, "%s", w.describe(w.State))
	}
	r.all = append(r.all, w.record(u, err, o))
	if c.Table && w.Fault == "" && err == nil {
		r.tables = append(r.tables, w.tables(u, o)...)
	}
}

// write writes the report in the form that was asked for.
func (c *usageCmd) write(a *app, r report) {
	var err error
	switch {
	case c.Warn != nil || c.Crit != nil:
		line, level := c.plugin(r.all, r.unreadable)
		_, err = fmt.Fprintln(a.stdout, line)
		a.status = status(level)
	case c.Table:
		for _, line := range r.tables {
			fmt.Fprintln(a.stdout, line)
		}
	case c.Output == "json":
		err = dump.UsageJSON(a.stdout, r.all, len(c.COW) > 1)
	case c.Output == "prometheus":
		err = dump.UsagePrometheus(a.stdout, r.all, r.unreadable)
	default:
		err = a.usage(r.all)
	}
	a.written(err)
}

// record is the usage of a store as programs are told it.
func (w cow) record(u store.Usage, err error, o origin) dump.Usage {
	r := dump.Usage{
		Device:       w.Path(),
		State:        string(w.state(u, err)),
		TotalSectors: uint64(format.Bytes(w.Size()).Sectors()),
	}
	switch {
	case w.State == store.Invalid:
		r.Status = new("Invalid")
	case !w.Fresh.IsZero():
		r.Status = new(store.FreshUsage(w.Fresh, u.Size).Status())
	case w.Fault == "" && err == nil:
		r.Status = new(u.Status())
	}
	if u.Geometry.IsZero() {
		return r
	}
	r.ChunkSectors = new(uint64(u.Geometry.ChunkSectors()))
	r.AllocatedSectors = new(uint64(u.Allocated()))
	r.MetadataSectors = new(uint64(u.Metadata()))
	r.Percent = new(u.Percent())
	r.Exceptions = new(u.End.Exceptions)
	r.Areas = new(u.Areas())
	r.NextFreeChunk = new(uint64(u.End.NextFree))
	r.FreeChunks = new(u.Free())
	r.LeakedChunks = new(u.Leaked())
	if least, ok := u.Minimum(); ok {
		r.MinimumSectors = new(uint64(least))
	}
	if o.sectors != nil {
		r.MaximumSectors = new(uint64(u.Maximum(*o.sectors)))
	}
	return r
}

// tables are the device-mapper tables for a store, each under a comment that
// says what it does. dmsetup reads comments too.
func (w cow) tables(u store.Usage, o origin) []string {
	line := func(target, kind string) string {
		return fmt.Sprintf("0 %d %s %s %s %s %d", *o.sectors, target, o.name, tableName(w.Device), kind, u.Geometry.ChunkSectors())
	}
	return []string{
		"# " + w.Path() + ": the snapshot, for dmsetup create --readonly",
		line("snapshot", "P"),
		"# the same; were it writable, a write to it that finds no room would fail and not drop it",
		line("snapshot", "PO"),
		"# the origin while the snapshot is merged into it",
		line("snapshot-merge", "P"),
	}
}
