// Package volume finds the logical volumes of LVM on the devices of this machine, and in
// images: what lvm reads, joined to devices that can be read and written.
package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/md"
	"dmcow/internal/signature"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// Sight is what there is to see of LVM on some devices: physical volumes, and the volume
// groups that their metadata tells of.
type Sight struct {
	Groups *lvm.Groups
	Looked int     // how many devices were opened
	Closed []error // of devices that could not be opened
	Faults []error // of labels
	Empty  []error // of devices that were given and have no physical volume

	options Options
	told    map[string]bool
	disks   []*disk
	joined  []*device.Device         // from what is on the disks
	pieces  []*device.Device         // of images that are kept in several files
	outer   *Sight                   // where the volumes are that others are seen in, if they are not seen themselves
	members map[md.UUID][]*lvm.Found // members of arrays of md, by array
	found   []*lvm.Found
	locked  map[string]func() // what gives a group's lock back, by UUID
	users   map[*lvm.Logical][]string
	host    func() (*Host, error) // this one
}

// Options say what to look at, and how.
type Options struct {
	Given []string                 // devices, directories that have some, or patterns; all block devices where none is given
	Tell  func(about, text string) // is called with what the user should know, once with each text
	// Foreign is the system ID of another host, whose groups are written to all the same.
	Foreign string
	// Visit is called between two devices, and while a lock is waited for: its error ends that.
	// It may be nil.
	Visit func() error
}

type disk struct {
	*device.Device
	out   *device.Writable // the same, where it was opened for writing
	fixed error            // why it cannot be; nil where it can
}

// Error is an error that is about a device, or something else that was not asked for by the
// caller's name.
type Error struct {
	About string
	Err   error
}

func (e *Error) Error() string { return e.About + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Look looks at devices. The error is an [*Error], of a device that was given and cannot be
// opened, or Visit's own. The caller closes what is seen in any case.
func Look(o Options) (*Sight, error) {
	var inside []string
	o.Given, inside = splitGiven(o.Given)
	s := newSight(o)
	if err := s.lookAtAll(); err != nil || len(inside) == 0 {
		return s, err
	}
	if len(o.Given) == 0 {
		outer := s
		o.Given = inside
		s = newSight(o)
		s.outer = outer
	}
	for _, name := range inside {
		if err := s.lookInside(name); err != nil {
			return s, err
		}
		s.settle()
	}
	return s, nil
}

func newSight(o Options) *Sight {
	if o.Visit == nil {
		o.Visit = func() error { return nil }
	}
	return &Sight{
		options: o, told: map[string]bool{}, locked: map[string]func(){}, users: map[*lvm.Logical][]string{}, host: sync.OnceValues(ReadHost),
		members: map[md.UUID][]*lvm.Found{}, Groups: lvm.Read(nil),
	}
}

func (s *Sight) lookAtAll() error {
	names, err := s.candidates()
	if err != nil {
		return err
	}
	images, err := images(names)
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := s.look(i); err != nil {
			return err
		}
	}
	s.settle()
	return nil
}

// settle reads the metadata on what was found.
func (s *Sight) settle() {
	s.dropHidden()
	s.Groups = lvm.Read(s.found)
}

// Close closes all devices, with what is joined from them, and gives all locks back.
func (s *Sight) Close() {
	for _, d := range s.joined {
		d.Close()
	}
	for _, d := range s.disks {
		if d.out != nil {
			d.out.Close()
		}
		d.Close()
	}
	for _, d := range s.pieces {
		d.Close()
	}
	for _, release := range s.locked {
		release()
	}
	if s.outer != nil {
		s.outer.Close()
	}
}

// candidates are the devices to look at. LVM's own volumes are none of them, unless they
// were given: as for LVM, a group in a volume belongs to a virtual machine.
func (s *Sight) candidates() (names []string, err error) {
	for _, name := range s.options.Given {
		all, err := places(name)
		if err != nil {
			return nil, err
		}
		names = append(names, all...)
	}
	if len(names) > 0 {
		return names, nil
	}
	var own []string
	for _, m := range inuse.Mappings() {
		if lvm.Mapped(m.UUID) {
			own = append(own, m.Path())
		}
	}
	return slices.DeleteFunc(inuse.Blocks(), func(name string) bool { return slices.Contains(own, name) }), nil
}

// look looks at an image, or a device, and at the partitions that the kernel shows of it. The error is
// of one that was given, or Visit's.
func (s *Sight) look(i image) error {
	if err := s.options.Visit(); err != nil {
		return err
	}
	d, err := s.open(i) // what is joined from it is locked
	if err != nil {
		err = &Error{i.name, err}
		if len(s.options.Given) > 0 {
			return err
		}
		s.Closed = append(s.Closed, err)
		return nil
	}
	s.Looked++
	// Where the kernel shows partitions, they are what is on the device, as for LVM.
	partitions := d.Partitions()
	if len(partitions) > 0 || !s.lookOn(d, i) {
		d.Close()
	}
	if len(s.options.Given) == 0 {
		return nil // they are among all block devices
	}
	for _, p := range partitions {
		if err := s.look(image{name: p}); err != nil {
			return err
		}
	}
	return nil
}

// lookOn looks for physical volumes on a device. It reports whether there are some, for which the device is kept
// open.
func (s *Sight) lookOn(d *device.Device, i image) bool {
	found, errs := lvm.FindIn(d, i.name, inArray)
	if len(s.options.Given) == 0 {
		// Of an array that is running its members are no faults.
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.As(err, new(*md.MemberError)) })
	}
	s.Faults = append(s.Faults, errs...)
	if len(found) == 0 {
		if len(s.options.Given) > 0 && len(errs) == 0 {
			s.Empty = append(s.Empty, &Error{i.name, errors.New(empty(d))})
		}
		return false
	}
	k := &disk{Device: d, fixed: i.fixed}
	s.disks = append(s.disks, k)
	for _, f := range found {
		f.Disk = k
		s.noteMember(f)
	}
	s.found = append(s.found, found...)
	return true
}

// empty says what a device is on which nothing was found.
func empty(d *device.Device) string {
	if format, err := signature.Container(d); err == nil && format != "" {
		return signature.AboutContainer(format)
	}
	if cover, err := signature.Cover(d); err == nil && cover != "" {
		return signature.AboutContainer(cover)
	}
	why := "no LVM physical volume on it, or in a partition of it"
	for _, p := range lvm.Partitions(d) {
		if cover, err := signature.Cover(io.NewSectionReader(d, p.Start, p.Length)); err == nil && cover != "" {
			why += fmt.Sprintf("; partition %d %s", p.Partition, signature.AboutContainer(cover))
			if d.IsImage() {
				why += "; losetup --read-only --partscan makes devices of an image's partitions"
			}
		}
	}
	return why
}

// dropHidden leaves a physical volume out where a device that is kept on it shows it, too,
// as an md array does, or all paths to a disk together; and one that was seen before, by
// another name for the same bytes.
func (s *Sight) dropHidden() {
	var all []*lvm.Found
	for i, f := range s.found {
		hidden := slices.ContainsFunc(s.found, func(other *lvm.Found) bool {
			return other != f && other.UUID == f.UUID && shadows(other, f, slices.Contains(s.found[:i], other))
		})
		if !hidden {
			all = append(all, f)
		}
	}
	s.found = all
}

// shadows reports whether a physical volume is to be taken in place of another one with the same
// UUID. before: it was seen before that. Two on different stretches of a disk are copies, of
// which nobody can say which to take.
func shadows(one, other *lvm.Found, before bool) bool {
	a, b := diskOf(one), diskOf(other)
	if a == b {
		return before && one.Start == other.Start
	}
	if over, under := a.IsOn(b.Device), b.IsOn(a.Device); over != under {
		return over
	}
	if x, y := memberOf(one), memberOf(other); x != nil && y != nil && x.Array == y.Array {
		if a, b := md.Newest(x, y), md.Newest(y, x); a == b { // else they are copies
			return a == x
		}
	}
	return before && stretch(one).Overlaps(stretch(other))
}

func stretch(f *lvm.Found) *device.Device {
	d, err := device.Join(f.Name, []device.Part{{Length: f.Length, Stripes: []device.Stripe{{On: diskOf(f).Device, Start: f.Start}}}})
	if err != nil {
		return device.Nothing() // it was found there
	}
	return d
}

func diskOf(f *lvm.Found) *disk { return f.Disk.(*disk) }

// Group is the volume group of a name or UUID, if it may be used. The error says what there
// is instead, and what could not be seen; it may be an [*lvm.NoGroupError].
func (s *Sight) Group(name string) (*lvm.Group, error) {
	g, err := s.Groups.Named(name)
	if err != nil {
		return nil, s.withFaults(err)
	}
	if g.SystemID != "" {
		if h, err := s.host(); err != nil || !h.mayUse(g) {
			s.say(g.Name, "the volume group belongs to host %s", g.SystemID)
		}
	}
	s.TellOf(g)
	if g.Exported {
		return nil, words.Hint(fmt.Errorf("volume group %s is exported", g.Name), "vgimport %s", g.Name)
	}
	return g, nil
}

// IsWhole reports whether all that was looked at could be seen, and has groups: what these do not have is not there.
func (s *Sight) IsWhole() bool {
	return len(s.Groups.All) > 0 && len(s.Closed)+len(s.Faults)+len(s.Empty)+len(s.Groups.Unread())+len(s.Bare()) == 0
}

// TellOf tells of what a group is on that is not whole, or may be old.
func (s *Sight) TellOf(g *lvm.Group) {
	s.tellCut(g)
	s.tellMembers(g)
}

// tellCut tells of physical volumes of a group that are shorter than they were: images, mostly,
// that are not whole.
func (s *Sight) tellCut(g *lvm.Group) {
	for _, f := range s.on(g) {
		if f.Length < int64(min(f.Size, math.MaxInt64)) {
			s.say(f.String(), "is cut short: it has %d of the %d bytes of a physical volume", f.Length, f.Size)
		}
	}
}

// on are the physical volumes of a group, as far as they are there, and all copies of them.
func (s *Sight) on(g *lvm.Group) (all []*lvm.Found) {
	for _, p := range g.Physical {
		all = append(all, s.Groups.Found(p.UUID)...)
	}
	return all
}

// withFaults adds to an error what could not be seen, the first of it.
func (s *Sight) withFaults(err error) error {
	const most = 3
	all := slices.Concat(s.Faults, s.Empty)
	for _, c := range s.Groups.Unread() {
		all = append(all, fmt.Errorf("%v: %w", c.On, c.Err))
	}
	for _, c := range s.Closed {
		if !errors.Is(c, fs.ErrPermission) { // of those, the error speaks already
			all = append(all, c)
		}
	}
	all = append(all, s.Bare()...)
	for i, fault := range all {
		if i == most {
			return fmt.Errorf("%w; and %d more", err, len(all)-most)
		}
		err = fmt.Errorf("%w; %w", err, fault)
	}
	return err
}

// Bare are the errors of devices that were given and have a physical volume without metadata of its own, while none of
// its group's others was found.
func (s *Sight) Bare() (all []error) {
	if len(s.options.Given) == 0 {
		return nil
	}
	for _, f := range s.Groups.Bare() {
		all = append(all, &Error{f.String(), errors.New("is a physical volume without metadata of its own: its group's metadata is on others, which are needed too")})
	}
	return all
}

// say tells the user, once.
func (s *Sight) say(about, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !s.told[about+text] {
		s.told[about+text] = true
		s.options.Tell(about, text)
	}
}

// OnBlocks reports whether some of the group is on block devices: then LVM may be at work
// on it.
func (s *Sight) OnBlocks(g *lvm.Group) bool {
	return slices.ContainsFunc(s.on(g), func(f *lvm.Found) bool { return diskOf(f).IsBlock() })
}

// Lock takes LVM's lock of a volume group, until the sight is closed, and waits so long for it.
// Then it reads the metadata again, which may have changed before. Of a group that is on image
// files alone there is none to take. The error is an [*Error], which may be of what Visit returned.
func (s *Sight) Lock(g *lvm.Group, patience time.Duration) error {
	if s.locked[g.UUID] != nil || !s.OnBlocks(g) {
		return nil
	}
	h, err := s.host()
	if err != nil {
		return err
	}
	file := filepath.Join(h.LockingDir, g.LockFile())
	release, err := inuse.LockFile(file, patience, s.options.Visit)
	var busy *inuse.BusyError
	switch {
	case errors.As(err, &busy):
		return &Error{g.Name, fmt.Errorf("LVM's lock of the volume group, %s, is %w", file, err)}
	case err != nil:
		return &Error{file, fmt.Errorf("LVM's lock of the volume group cannot be taken: %w", err)}
	}
	s.locked[g.UUID] = release
	s.Groups = lvm.Read(s.found)
	return nil
}

// Unlock gives the lock of a group back early. LVM may then change the group: it is for a command
// that goes on for long with devices that it has open for exclusive use.
func (s *Sight) Unlock(g *lvm.Group) {
	if release := s.locked[g.UUID]; release != nil {
		delete(s.locked, g.UUID)
		release()
	}
}
