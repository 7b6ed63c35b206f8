package cmd

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store"
)

// section names a COW store inside a larger image.
type section struct {
	Offset  size  `placeholder:"SIZE" help:"The store begins at this offset of the device or image."`
	Size    *size `placeholder:"SIZE" help:"The store is this large, not all that follows the offset."`
	volumes `embed:""`
}

func (s section) given() bool { return s.Offset != 0 || s.Size != nil }

// named is a device as the command line names it. What it stands for is found out once in a
// run, so that it is the same device throughout.
type named struct {
	path   string         // or VG/LV
	volume *volume.Volume // nil where it is a path
	where  volumes        // it was looked for
}

// named finds out what a name stands for. write is for a command that is going to write to
// it. The error is a failure.
func (a *app) named(name string, s volumes, write bool) (named, error) {
	v, err := a.findVolume(name, s, write)
	return named{path: name, volume: v, where: s}, err
}

// again is the device as a command line names it, for a command that the user is told.
func (n named) again() string { return n.where.again(n.path) }

// ownSize is the size of a snapshot of LVM, 0 where it is none, or that is not known.
func (n named) ownSize() format.Bytes {
	if n.volume == nil {
		return 0
	}
	return format.Bytes(n.volume.SnapshotSize)
}

// open opens the device for reading.
func (a *app) open(n named) (*device.Device, error) {
	open := func() (*device.Device, error) { return device.Open(n.path) }
	if n.volume != nil {
		open = n.volume.Open
	}
	d, err := open()
	if err != nil {
		return nil, a.unreadable(n.path, err)
	}
	if n.volume != nil && n.volume.Gone != nil {
		a.status |= a.outcomes.unreadable
	}
	return d, nil
}

// openToWrite opens the device for writing.
func (n named) openToWrite() (*device.Writable, error) {
	open := func() (*device.Writable, error) { return device.OpenWritable(n.path) }
	if n.volume != nil {
		open = n.volume.OpenWritable
	}
	d, err := open()
	if err != nil {
		return nil, &failure{n.path, statusFailed, err}
	}
	return d, nil
}

// asCOW is the failure of a name that is not that of a COW device.
func (a *app) asCOW(n named, s section) error {
	switch {
	case n.volume == nil:
		return nil
	case s.given():
		return &failure{n.path, statusWrongUse, errors.New("--offset and --size: expected a device or an image, not VG/LV")}
	}
	return a.volumeFailure(n.path, n.volume.NoSnapshot())
}

// cow is a COW device that was opened.
type cow struct {
	named
	device  *device.Device
	id      store.Identity  // what its start says
	fresh   format.Geometry // of a new store, by the chunk size that was asked for
	holders []string        // who else has it open
	// container says what the file is, where it keeps a disk, but not as that is.
	container string
}

// openCOW opens a COW device and identifies it. chunk is the chunk size of the
// store that the kernel would make of a blank device, 0 for the default. The
// error is a failure.
func (a *app) openCOW(path string, s section, chunk chunkSize) (*cow, error) {
	n, err := a.named(path, s.volumes, false)
	if err != nil {
		return nil, err
	}
	return a.openNamed(n, s, chunk)
}

// openNamed is openCOW of a name that is known.
func (a *app) openNamed(n named, s section, chunk chunkSize) (*cow, error) {
	if err := a.asCOW(n, s); err != nil {
		return nil, err
	}
	d, err := a.open(n)
	if err != nil {
		return nil, err
	}
	c := &cow{named: n, device: d, holders: d.Holders()}
	if err := a.identify(c, s, chunk); err != nil {
		d.Close()
		return nil, err
	}
	a.tellLVM(c)
	if err := a.tellMerging(c); err != nil {
		d.Close()
		return nil, err
	}
	if !d.AccessTimeKept() {
		a.verbose(n.path, "its access time may change: only its owner and root can prevent that")
	}
	a.verbose(n.path, "%d bytes, logical blocks of %d bytes, %s", d.Size(), d.LogicalBlockSize(), how(d))
	if len(c.holders) > 0 {
		a.verbose(n.path, "in use by %s: figures may move", strings.Join(c.holders, ", "))
	}
	return c, nil
}

// tellLVM says that a device that holds no store has physical volumes of LVM: those may have
// some.
func (a *app) tellLVM(c *cow) {
	if c.volume != nil || c.id.State != store.Foreign {
		return
	}
	if found, _ := lvm.Find(c.device, c.path); len(found) > 0 {
		a.say(c.path, "there is a physical volume of LVM on it: dmcow list --pv %s shows its snapshots", shellWord(c.path))
	}
}

// tellMerging says how far a merge is that LVM has begun. The error is the failure of an
// interruption.
func (a *app) tellMerging(c *cow) error {
	if c.volume == nil || !c.volume.Merging {
		return nil
	}
	s, err := a.survey(c)
	if err != nil {
		return err
	}
	left := "how far it has come cannot be read"
	if s.Complete() {
		left = "left to merge: " + count(s.Usage.End.Exceptions, "exception")
	}
	if c.volume.Active != nil {
		a.say(c.path, "the kernel is merging it into its origin; %s", left)
		return nil
	}
	a.say(c.path, "LVM has begun to merge it into %s, and the kernel goes on with that when the origin is activated; %s", c.volume.OriginName(), left)
	return nil
}

// identify narrows c.device down to the section and finds out what it holds.
func (a *app) identify(c *cow, s section, chunk chunkSize) error {
	if what := misdirection(c.device); what != "" {
		return &failure{c.path, statusFailed, errors.New(what)}
	}
	if chunk == 0 {
		chunk = chunkSize(store.FreshGeometry(c.device).ChunkSectors())
		if n := c.recorded(); format.CheckChunkSectors(n, format.Bytes(c.device.LogicalBlockSize())) == nil {
			chunk = chunkSize(n)
		}
	}
	fresh, err := freshGeometry(c.device, c.path, chunk)
	if err != nil {
		return err
	}
	if c.container, err = containerOf(c.device); err != nil {
		return a.unreadable(c.path, err)
	}
	length := int64(-1)
	if s.Size != nil {
		length = int64(*s.Size)
	}
	part, err := c.device.Section(int64(s.Offset), length)
	if err != nil {
		return &failure{c.path, statusWrongUse, err}
	}
	c.device = part
	if s.given() && c.size() == 0 {
		return &failure{c.path, statusWrongUse, fmt.Errorf("nothing is left of it at offset %d", s.Offset)}
	}
	c.fresh = fresh
	if c.id, err = store.Identify(c.device, fresh); err != nil {
		return a.unreadable(c.path, err)
	}
	if c.container != "" {
		c.id = store.Identity{State: store.Foreign, Header: c.id.Header, Fault: c.container}
		return nil
	}
	return a.probeWiped(c)
}

// containerOf says what a file is that holds a disk in another format than the disk's own; it is
// empty for others. The error is one of reading.
func containerOf(d *device.Device) (string, error) {
	name, err := d.Container()
	if name == "" {
		return "", err
	}
	return device.AboutContainer(name), nil
}

// probeWiped takes a device that is blank as far as LVM blanks a new one, and has a list behind
// that, for a store whose header was wiped. The error says that it was interrupted.
func (a *app) probeWiped(c *cow) error {
	if !c.id.Leftover || c.id.Unfinished || c.id.State != store.Uninitialized {
		return nil
	}
	p := a.walking(c, true)
	defer p.end()
	e, err := check.Probe(c.device, p.area)
	if err != nil || e == nil { // what cannot be read speaks for nothing
		return ended(c.path, interruption(err))
	}
	c.id.State, c.id.Fresh = store.Damaged, format.Geometry{}
	c.id.Fault = fmt.Sprintf("the first 4096 bytes are zero, and behind them stands the list of a store with chunks of %d sectors, with %s: "+
		"its header was wiped, and the kernel would write an empty store over it: do not activate it, dmcow repair --header %ds --valid 0|1 writes the header anew; "+
		"or, which is rarer, this is a new LVM snapshot that was never active, over the blocks of an old one (dmcow initialize --force makes it that)",
		e.Geometry.ChunkSectors(), count(e.Exceptions, "exception"), e.Geometry.ChunkSectors())
	return nil
}

// interruption is an error if it is one of that kind, else nil.
func interruption(err error) error {
	if errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// freshGeometry is the geometry of a new store with chunks of the given size. It is
// wrong use where the kernel would not take that for the sake of the device, COW
// device or origin.
func freshGeometry(d *device.Device, path string, chunk chunkSize) (format.Geometry, error) {
	block := format.Bytes(d.LogicalBlockSize())
	g, err := format.NewGeometry(uint32(chunk))
	if err == nil {
		err = format.CheckChunkSectors(uint32(chunk), block)
	}
	if err != nil {
		return g, &failure{path, statusWrongUse, fmt.Errorf("--chunk-size of %d sectors: %w (%d bytes)", chunk, err, block)}
	}
	return g, nil
}

// openOrigin opens the origin of a snapshot, or an image of one, for reading.
func (a *app) openOrigin(name string, s volumes) (*device.Device, error) {
	n, err := a.named(name, s, false)
	if err != nil {
		return nil, err
	}
	return a.openNamedOrigin(n)
}

// openNamedOrigin is openOrigin of a name that is known.
func (a *app) openNamedOrigin(n named) (*device.Device, error) {
	d, err := a.open(n)
	if err != nil {
		return nil, err
	}
	if err := a.isOrigin(d); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

var errSwapped = errors.New("holds a COW store, expected an origin: are the two swapped?")

// isOrigin is the failure of a device that can be no origin, nil for others. One that cannot
// be read where a COW store has its header may be one: the rest of it is as good as before.
func (a *app) isOrigin(d *device.Device) error {
	if d.Size() < format.SectorSize {
		return &failure{d.Path(), statusFailed, fmt.Errorf("has %d bytes, expected an origin", d.Size())}
	}
	head := make([]byte, format.HeaderSize)
	if _, err := d.ReadAt(head, 0); err == nil && format.DecodeHeader(head).Magic == format.Magic {
		return &failure{d.Path(), statusFailed, errSwapped}
	}
	if what, err := containerOf(d); err == nil && what != "" {
		return &failure{d.Path(), statusFailed, errors.New(what)}
	}
	return nil
}

func (c *cow) close() { c.device.Close() }

// recorded is the chunk size that LVM has on record, in sectors, 0 where it has none, or that
// is not known.
func (c *cow) recorded() uint32 {
	if c.volume == nil {
		return 0
	}
	return uint32(min(c.volume.ChunkSectors, math.MaxUint32)) // which is no chunk size
}

// size is the size of the COW device, or of its section.
func (c *cow) size() format.Bytes { return format.Bytes(c.device.Size()) }

// walk is the way through the store's metadata.
func (c *cow) walk() format.Walk {
	w := c.id.Walk(c.device)
	w.Live = len(c.holders) > 0
	return w
}

// misdirection says what a device is that is not the store of a snapshot but
// the snapshot itself, or its origin. What those hold is not looked at: it may
// be anything. It is empty for other devices.
func misdirection(d *device.Device) string {
	t, ok := d.Target()
	switch {
	case ok && t.Type == "snapshot" && len(t.Args) > 1:
		return "is the snapshot's view, not its store: the COW device is " + deviceName(t.Args[1])
	case ok && t.Type == "snapshot-merge" && len(t.Args) > 1:
		return "is an origin that a snapshot is being merged into: the snapshot's COW device is " + deviceName(t.Args[1])
	case ok && t.Type == "snapshot-origin":
		return "is the origin of snapshots, not the store of one: the COW device of an LVM snapshot is its -cow device in /dev/mapper"
	}
	return ""
}

func how(d *device.Device) string {
	if d.Direct() {
		return "read with O_DIRECT"
	}
	return "read through the page cache"
}

// deviceName is the path of a device that a device-mapper table names by its
// number.
func deviceName(number string) string {
	n, ok := device.ParseNumber(number)
	if !ok {
		return number
	}
	return n.Name()
}
