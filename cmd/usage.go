package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store"
)

type usageCmd struct {
	COW       []path    `arg:"" help:"COW devices, images of them, or VG/LV, snapshots of LVM."`
	Output    string    `default:"human" enum:"human,json,prometheus" help:"How to write: ${enum}."`
	ChunkSize chunkSize `placeholder:"SIZE" help:"Chunk size of the store that the kernel would make on a blank device. Default: 32 sectors, or the logical block if that is larger."`
	Table     bool      `help:"Print the device-mapper tables that load the store read-only and that merge it."`
	Warn      *percent  `placeholder:"PCT" help:"Be a monitoring plugin: WARNING when a store is this full."`
	Crit      *percent  `placeholder:"PCT" help:"Be a monitoring plugin: CRITICAL when a store is this full, or is lost."`
	theOrigin `embed:""`
	section   `embed:""`
}

func (usageCmd) Help() string {
	return `
Prints what the kernel's status line says of a store, and what that means: how
full it is, as lvs shows it; how many chunks can still be written before the
snapshot is lost; how many were lost to holes; to what size it can be shrunk,
and how large it must be for never running full.

  dmcow usage vg0/snap
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
	plugin := c.Warn != nil || c.Crit != nil
	switch {
	case c.theOrigin.invalid() != nil:
		return c.theOrigin.invalid()
	case len(c.COW) > 1 && c.given():
		return errors.New("--offset and --size: expected a single COW device")
	case c.Table && c.Origin == "" && c.OriginSize == nil && slices.ContainsFunc(c.COW, func(p path) bool { return !isVolumeName(string(p)) }):
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

// report is what is known of one store.
type report struct {
	*cow
	store.Survey
	origin
}

// origin is what is known of the snapshots' origin.
type origin struct {
	name    string         // in a table
	sectors format.Sectors // of the snapshot, which may be fewer than the origin has; 0 when not known
	whole   format.Sectors // of the origin itself; 0 when not known
	block   format.Bytes   // its logical block
}

// unreadCOW is a device that could not be read, and why.
type unreadCOW struct {
	path string
	err  error
}

func (c *usageCmd) Run(a *app) error {
	o, err := c.origin(a)
	if err != nil {
		return err
	}
	var all []report
	var unread []unreadCOW
	for i, p := range c.COW {
		if slices.Contains(c.COW[:i], p) {
			continue
		}
		r, err := c.look(a, string(p), o)
		var f *failure
		switch {
		case errors.As(err, &f) && f.status == a.outcomes.unreadable:
			a.fail(err)
			unread = append(unread, unreadCOW{string(p), f.err})
			continue
		case err != nil:
			return err
		}
		if err := r.unread(); err != nil {
			unread = append(unread, unreadCOW{string(p), err})
		}
		all = append(all, r)
	}
	return c.write(a, all, unread)
}

func (c *usageCmd) origin(a *app) (origin, error) {
	if c.Origin == "" {
		o := origin{name: "ORIGIN", block: format.SectorSize}
		if c.OriginSize != nil {
			o.sectors = format.Bytes(*c.OriginSize).Sectors()
			o.whole = o.sectors
		}
		return o, nil
	}
	name := string(c.Origin)
	d, err := a.openOrigin(name, c.volumes)
	if err != nil {
		return origin{}, err
	}
	defer d.Close()
	sectors := format.Bytes(d.Size()).Sectors()
	return origin{d.TableName(), sectors, sectors, format.Bytes(d.LogicalBlockSize())}, nil
}

// orOf is the origin, or where nothing was said of that, the one that LVM has on record
// for a snapshot. Of that, the snapshot may be smaller.
func (o origin) orOf(v *volume.Volume) origin {
	if v == nil {
		return o
	}
	if o.whole == 0 {
		o.whole = format.Bytes(v.OriginSize).Sectors()
		o.name = cmp.Or(v.OriginName(), v.OriginNumber, o.name)
	}
	if o.whole == format.Bytes(v.OriginSize).Sectors() {
		o.sectors = format.Bytes(v.SnapshotSize).Sectors()
	}
	return o
}

// look finds out about one store, and tells what is wrong with it.
func (c *usageCmd) look(a *app, name string, o origin) (report, error) {
	w, err := a.openCOW(name, c.section, c.ChunkSize)
	if err != nil {
		return report{}, err
	}
	defer w.close()
	s, err := a.survey(w)
	if err != nil {
		return report{}, err
	}
	a.conclude(w, s)
	if s.Identity.Leftover && s.State() == store.Uninitialized {
		a.say(name, "%s", describe(s))
	}
	return report{w, s, o.orOf(w.volume)}, nil
}

// write writes the reports in the form that was asked for.
func (c *usageCmd) write(a *app, all []report, unread []unreadCOW) error {
	switch {
	case c.Warn != nil || c.Crit != nil:
		return c.plugin(a, all, unread)
	case c.Table:
		return a.tables(all)
	case c.Output == "json":
		return dump.UsageJSON(a.stdout, c.inOrder(all, unread))
	case c.Output == "prometheus":
		readable := slices.DeleteFunc(all, func(r report) bool { return r.Unreadable() != nil })
		var names []string
		for _, u := range unread {
			names = append(names, u.path)
		}
		return dump.UsagePrometheus(a.stdout, records(readable), names)
	case len(c.COW) > 1:
		return a.table([]string{"device", "state", "full", "chunks left", "lost", "size", "shrink to", "at most"}, a.usageRows(all))
	case len(all) == 1:
		return a.table(nil, a.usageSheet(&all[0]))
	}
	return nil
}

func records(all []report) []dump.Usage {
	var records []dump.Usage
	for i := range all {
		records = append(records, all[i].record())
	}
	return records
}

// inOrder are the records of all stores, in the order in which they were named.
func (c *usageCmd) inOrder(all []report, unread []unreadCOW) []dump.Usage {
	list := records(all)
	for _, u := range unread {
		if !slices.ContainsFunc(all, func(r report) bool { return r.path == u.path }) {
			list = append(list, dump.Usage{Device: u.path, State: unreadableState, Error: new(u.err.Error())})
		}
	}
	place := func(u dump.Usage) int { return slices.Index(c.COW, path(u.Device)) }
	slices.SortStableFunc(list, func(a, b dump.Usage) int { return cmp.Compare(place(a), place(b)) })
	return list
}

// unreadableState is the state of what could not be read, for programs.
const unreadableState = "unreadable"

// unread is why some of a store could not be read, nil where all could.
func (r *report) unread() error {
	if err := r.Unreadable(); err != nil || r.volume == nil {
		return err
	}
	return r.volume.Gone
}

// record is a store's usage as programs are told it. Where the list could not
// be read to its end, what that would tell is not known.
func (r *report) record() dump.Usage {
	u := r.Usage
	d := dump.Usage{Device: r.path, State: r.State().String(), TotalSectors: new(uint64(u.Total()))}
	if line, ok := r.Status(); ok {
		d.Status = &line
	}
	if err := r.unread(); err != nil {
		d.State, d.Error = unreadableState, new(err.Error())
	}
	if u.Geometry.IsZero() {
		return d
	}
	d.ChunkSectors = new(uint64(u.Geometry.ChunkSectors()))
	d.Exceptions = new(u.End.Exceptions)
	if !r.Complete() {
		return d
	}
	d.MetadataSectors = new(uint64(u.Metadata()))
	d.Areas = new(u.Areas())
	if u.End.Beyond != nil {
		return d // the rest would be an artefact of the damage
	}
	d.AllocatedSectors = new(uint64(u.Allocated()))
	d.NextFreeChunk = new(uint64(u.End.NextFree))
	d.FreeChunks = new(u.Free())
	d.Percent, d.FilledPercent = new(r.percent()), new(u.Percent())
	d.LeakedChunks = new(u.Leaked())
	if least, ok := u.Minimum(); ok {
		d.MinimumSectors = new(uint64(least))
	}
	if most, ok := r.maximum(); ok {
		d.MaximumSectors = new(uint64(most))
	}
	return d
}

// percent is how full lvs shows the snapshot: one that is lost is full.
func (r *report) percent() float64 {
	if r.State() == store.Invalid {
		return 100
	}
	return r.Usage.Percent()
}

// maximum is what the store needs at most, if that can be told.
func (r *report) maximum() (format.Sectors, bool) {
	if r.sectors == 0 || !r.Complete() || r.State() == store.Damaged {
		return 0, false
	}
	return r.Usage.Maximum(r.sectors), true
}

// tables writes device-mapper tables for the stores that are fit to be loaded,
// each under a comment that says what it does. dmsetup reads comments too.
func (a *app) tables(all []report) error {
	var b strings.Builder
	for i := range all {
		if why := all[i].unfit(); why != "" {
			a.say(all[i].path, "no table: %s", why)
			continue
		}
		all[i].writeTables(&b)
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

// unfit says why there is no table for a store; it is empty where there is one.
func (r *report) unfit() string {
	g := r.Usage.Geometry
	switch {
	case r.State() != store.Valid:
		return describe(r.Survey)
	case r.Unreadable() != nil:
		return "the list cannot be read"
	case r.volume != nil && r.volume.Gone != nil:
		return "some of the volume is missing"
	case r.sectors == 0:
		return "the origin is not known (--origin tells)"
	case g.ChunkBytes()%r.block != 0:
		return fmt.Sprintf("%v of the origin (%d bytes)", format.ErrNotBlockSized, r.block)
	case strings.ContainsAny(r.name+r.device.TableName(), " \t\n\\"):
		return "a table cannot name a file with blanks"
	}
	return ""
}

func (r *report) writeTables(b *strings.Builder) {
	if v := r.volume; v != nil && v.Snapshot != nil {
		for _, l := range []*lvm.Logical{v.Snapshot.COW, v.Snapshot.Origin} {
			loop := ""
			if !v.OnBlocks() {
				loop = " (put loop devices in place of image files)"
			}
			fmt.Fprintf(b, "# %s, for dmsetup create, --readonly unless it is to be merged%s\n%s", v.InGroup(l), loop, v.Table(l))
		}
	}
	for _, t := range []struct {
		comment, target, kind string
		sectors               format.Sectors
	}{
		{"the snapshot, for dmsetup create --readonly", "snapshot", "P", r.sectors},
		{"the same; were it writable, a write to it that finds no room would fail and not drop it", "snapshot", "PO", r.sectors},
		{"the origin while the snapshot is merged into it", "snapshot-merge", "P", r.whole},
	} {
		fmt.Fprintf(b, "# %s: %s%s\n0 %d %s %s %s %s %d\n", printable(r.path), t.comment, r.hint(),
			t.sectors, t.target, r.name, r.device.TableName(), t.kind, r.Usage.Geometry.ChunkSectors())
	}
}

// hint says what a table lacks before the kernel takes it.
func (r *report) hint() string {
	switch {
	case r.volume != nil && r.volume.Snapshot != nil:
		return fmt.Sprintf(" (put devices of the tables above in place of %s and %s)", r.name, r.path)
	case r.name == "ORIGIN":
		return " (put the origin in place of ORIGIN)"
	case !r.device.IsBlock():
		return " (put loop devices in place of image files)"
	}
	return ""
}
