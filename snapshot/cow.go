package snapshot

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/signature"
	"dmcow/internal/volume"
	"dmcow/internal/words"
	"dmcow/store/delta"
	"dmcow/store/look"
)

// Part is a COW store inside a larger device or image.
type Part struct {
	Offset format.Bytes
	Size   *format.Bytes // nil for all that follows
}

// IsGiven reports whether it is not the whole device.
func (p Part) IsGiven() bool { return p.Offset != 0 || p.Size != nil }

// length is the size of a part, -1 for all that follows.
func (p Part) length() int64 {
	if p.Size == nil {
		return -1
	}
	return int64(*p.Size)
}

// COW is a COW device that was opened, and what its start says.
type COW struct {
	Name
	Device   *device.Device
	Identity look.Identity
	Remedies []Remedy        // what can be done about the identity's fault
	Fresh    format.Geometry // of a new store, by the chunk size that was asked for
	Holders  []string        // who else has it open
	// Container says what the file is, where it keeps a disk, but not as that is.
	Container string
	Part      Part
	// Delta is what the store says of itself where it is a delta, once that was asked for; else nil.
	Delta *delta.Head
}

// Request names a COW device.
type Request struct {
	COW  string // a path, or VG/LV
	Part Part
	// ChunkSectors is the chunk size of the store that the kernel would make of a blank device; 0
	// for its own, or LVM's.
	ChunkSectors uint32
}

// Look opens a COW device for reading, whatever is on it. The error is a [*Refusal].
func (s *Session) Look(r Request) (*COW, error) {
	n, err := s.find(r.COW, false)
	if err != nil {
		return nil, err
	}
	return s.look(n, r)
}

// look opens a COW device as openToLook does, and notes how far a merge is that LVM has begun.
func (s *Session) look(n Name, r Request) (*COW, error) {
	c, err := s.openToLook(n, r)
	if err != nil {
		return nil, err
	}
	return orClose(c, s.noteMerging(c, FinishMerge))
}

// openToLook opens a COW device of which it is known what its name stands for.
func (s *Session) openToLook(n Name, r Request) (*COW, error) {
	if err := checkCOWName(n, r.Part); err != nil {
		return nil, err
	}
	d, err := s.open(n)
	if err != nil {
		return nil, err
	}
	c := &COW{Name: n, Device: d, Holders: d.Holders(), Part: r.Part}
	if err = s.identify(c, r.ChunkSectors); err != nil {
		return orClose(c, err)
	}
	s.noteContent(c)
	if !d.AccessTimeKept() {
		s.detail(n.Text, "its access time may change: only its owner or root can prevent that")
	}
	how := "read through the page cache"
	if d.Direct() {
		how = "read with O_DIRECT"
	}
	s.detail(n.Text, "%d bytes, logical blocks of %d bytes, %s", d.Size(), d.LogicalBlockSize(), how)
	if len(c.Holders) > 0 {
		s.detail(n.Text, "in use by %s: figures may change", strings.Join(c.Holders, ", "))
	}
	return c, nil
}

// Close closes the device.
func (c *COW) Close() { c.Device.Close() }

// Size is the size of the COW device, or of its part.
func (c *COW) Size() format.Bytes { return format.Bytes(c.Device.Size()) }

// Walk is the way through the store's metadata.
func (c *COW) Walk() format.Walk {
	w := c.Identity.Walk(c.Device)
	w.Live = len(c.Holders) > 0
	return w
}

// Recorded is the chunk size that LVM has on record, in sectors, 0 where it has none, or that is not known.
func (c *COW) Recorded() uint32 {
	if c.Volume == nil {
		return 0
	}
	return uint32(min(c.Volume.ChunkSectors, math.MaxUint32)) // a chunk never has that many
}

// checkStore refuses a device that holds no store, or none that can be loaded; lack says what a blank one
// has not.
func (c *COW) checkStore(lack string, remedies ...Deed) error {
	var r *Refusal
	switch id := c.Identity; id.State {
	case look.Valid, look.Invalid:
		return nil
	case look.Uninitialized:
		r = refusef(c.Text, Blank, "%s: %s", id.State, lack)
	default:
		r = refuse(c.Text, CodeOf(id.State), errors.New(id.Fault))
		r.Remedies = slices.Clone(c.Remedies)
	}
	return r.with(remedies...)
}

// Survey walks through the store's metadata. The error is the refusal of an interruption.
func (s *Session) Survey(c *COW) (look.Survey, error) {
	w := s.walking(c)
	defer w.End()
	survey, err := c.Identity.Examine(c.Walk(), w.area)
	return survey, failed(c.Text, Unreadable, err)
}

// checkCOWName refuses a name that a COW device cannot have.
func checkCOWName(n Name, p Part) error {
	switch {
	case n.Volume == nil:
		return nil
	case p.IsGiven():
		return refusef(n.Text, WrongUse, "they need a device or an image, not VG/LV").about(ThePart)
	}
	return ofVolume(n.Text, n.Volume.NoSnapshot())
}

// noteContent says what a device holds that holds no store. Physical volumes of LVM may have some; a file system
// is mostly the origin's.
func (s *Session) noteContent(c *COW) {
	zeroed := c.Identity.State == look.Uninitialized && c.Identity.Leftover // as a member of md may begin, too
	if c.Volume != nil || c.Identity.State != look.Foreign && !zeroed || c.Container != "" {
		return
	}
	if volume.HasPhysical(c.Device) {
		s.notes = append(s.notes, Note{Device: c.Text, Text: "holds an LVM physical volume", Remedies: []Remedy{{Do: ListVolumes}}})
		return
	}
	if what, err := signature.Known(c.Device); err == nil && what != "" && !zeroed {
		s.note(c.Text, Fine, "holds no COW store but %s: is it the origin?", what)
	}
}

// identify narrows the device down to its part and finds out what that holds. chunk is as in [Request].
func (s *Session) identify(c *COW, chunk uint32) (err error) {
	if err := c.checkNoView(); err != nil {
		return err
	}
	if chunk == 0 {
		chunk = uint32(look.FreshGeometry(c.Device).ChunkSectors())
		if n := c.Recorded(); format.CheckChunkSectors(n, format.Bytes(c.Device.LogicalBlockSize())) == nil {
			chunk = n
		}
	}
	if c.Fresh, err = freshGeometry(c.Device, c.Text, chunk); err != nil {
		return err
	}
	if c.Container, err = containerOf(c.Device); err != nil {
		return refuse(c.Text, Unreadable, err)
	}
	part, err := c.Device.Section(int64(c.Part.Offset), c.Part.length())
	if err != nil {
		return refuse(c.Text, WrongUse, err)
	}
	c.Device = part
	if c.Part.IsGiven() && c.Size() == 0 {
		return refusef(c.Text, WrongUse, "offset %d is at or past its end", c.Part.Offset)
	}
	if c.Identity, err = look.Identify(c.Device, c.Fresh); err != nil {
		return refuse(c.Text, Unreadable, err)
	}
	if c.Container == "" && c.Identity.State == look.Foreign {
		if c.Container, err = coverOf(c.Device); err != nil {
			return refuse(c.Text, Unreadable, err)
		}
	}
	if c.Container != "" {
		c.Identity = look.Identity{State: look.Foreign, Header: c.Identity.Header, Fault: c.Container}
		return nil
	}
	return s.probeWiped(c)
}

// containerOf says what a file is that holds a disk in another format than the disk's own; it is
// empty for others. The error is one of reading.
func containerOf(d *device.Device) (string, error) {
	name, err := signature.Container(d)
	if name == "" {
		return "", err
	}
	return signature.AboutContainer(name), nil
}

// coverOf says what a device is that holds no store, and is to be opened first; it is empty for others.
func coverOf(d *device.Device) (string, error) {
	name, err := signature.Cover(d)
	if name == "" {
		return "", err
	}
	return signature.AboutContainer(name), nil
}

// probeWiped takes a device that is blank as far as LVM blanks a new one, and has a list behind
// that, for a store whose header was wiped. The error says that it was interrupted.
func (s *Session) probeWiped(c *COW) error {
	if !c.Identity.Leftover || c.Identity.Unfinished || c.Identity.State != look.Uninitialized {
		return nil
	}
	e, err := s.probe(c)
	switch {
	case errors.Is(err, ErrInterrupted):
		return failed(c.Text, Unreadable, err)
	case err != nil || e == nil: // what cannot be read speaks for nothing
		return nil
	}
	c.Identity.State, c.Identity.Fresh = look.Damaged, format.Geometry{}
	c.Identity.Fault = fmt.Sprintf("the header is lost: the first 4096 bytes are zero, and a list with %d-sector chunks and %s follows. "+
		"Do not activate it: the kernel would write an empty store over it",
		e.Geometry.ChunkSectors(), words.Count(e.Exceptions, "exception"))
	c.Remedies = []Remedy{{Do: WriteHeader, Sectors: e.Geometry.ChunkSectors()}, {Do: StartAnew}}
	return nil
}

// probe looks for a list without a header.
func (s *Session) probe(c *COW) (*check.Evidence, error) {
	w := s.walking(c)
	defer w.End()
	return check.Probe(c.Device, w.area)
}

// freshGeometry is the geometry of a new store with chunks of so many sectors. The error is the refusal of a
// chunk size that the kernel would not take for the sake of the device, COW device or origin.
func freshGeometry(d *device.Device, name string, chunk uint32) (format.Geometry, error) {
	block := format.Bytes(d.LogicalBlockSize())
	if err := format.CheckChunkSectors(chunk, block); err != nil {
		return format.Geometry{}, refusef(name, WrongUse, "%d sectors: %w (%d bytes)", chunk, err, block).about(TheChunkSize)
	}
	return format.NewGeometry(chunk) // which takes all that fits a device
}

// checkNoView refuses a device that is not the store of a snapshot but the snapshot itself, or its
// origin. What those hold is not looked at: it may be anything.
func (c *COW) checkNoView() error {
	t, _ := c.Device.Target()
	return checkShowsStore(c.Text, t)
}

// checkShowsStore is checkNoView by the device's target, the zero one where it is not one of device-mapper.
func checkShowsStore(name string, t inuse.Target) error {
	switch {
	case t.Type == "snapshot" && len(t.Args) > 1:
		return refusef(name, Unable, "shows the snapshot; its COW device is %s", deviceName(t.Args[1]))
	case t.Type == "snapshot-merge" && len(t.Args) > 1:
		return refusef(name, Unable, "is an origin that the kernel is merging a snapshot into; the COW device of that snapshot is %s", deviceName(t.Args[1]))
	case t.Type == "snapshot-origin":
		return refusef(name, Unable, "is an origin, not a COW device; the COW device of an LVM snapshot is /dev/mapper/VG-LV-cow")
	}
	return nil
}

// deviceName is the path of a device that a device-mapper table names by its number.
func deviceName(number string) string {
	if n, ok := inuse.ParseNumber(number); ok {
		return n.Path()
	}
	return number
}

// Areas is how many metadata areas fit the device, at most.
func (c *COW) Areas() uint64 {
	g := c.Identity.Geometry
	if g.IsZero() {
		return 0
	}
	return g.Areas(g.Chunks(c.Size()))
}

// Earlier is the geometry of an earlier life of a device that has no list now, zero where nothing speaks for
// one. chunk is its chunk size in sectors, 0 where that is to be found by its list. The error is a [*Refusal].
func (s *Session) Earlier(c *COW, chunk uint32) (g format.Geometry, err error) {
	switch now := c.Identity.Geometry; {
	case !now.IsZero() && chunk != 0 && format.Sectors(chunk) != now.ChunkSectors():
		return g, refusef(c.Text, WrongUse, "the store on it has %d-sector chunks, and what follows its list is read with the same", now.ChunkSectors()).about(TheChunkSize)
	case !now.IsZero():
		return g, nil
	case chunk != 0:
		return format.NewGeometry(chunk)
	}
	e, err := s.probe(c)
	switch {
	case err != nil:
		return g, failed(c.Text, Unreadable, err)
	case e == nil:
		s.note(c.Text, Fine, "no list found, not even of an earlier life: give its chunk size with --chunk-size")
		return g, nil
	}
	s.note(c.Text, Fine, "no list: what an earlier life left is read with %d-sector chunks", e.Geometry.ChunkSectors())
	return e.Geometry, nil
}
