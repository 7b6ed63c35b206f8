package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dmcow/internal/device"
	"dmcow/lvm"
)

// volumes says where to look for volume groups of LVM.
type volumes struct {
	PV []path `name:"pv" sep:"none" placeholder:"PATH" help:"Where VG/LV is looked for: a physical volume, or a disk or an image with one in a partition. May be given several times. Default: all block devices."`
}

// sight is what there is to see of LVM on some devices: physical volumes, and the
// volume groups that their metadata tells of.
type sight struct {
	app    *app
	given  []path
	disks  []*disk
	found  []*lvm.Found
	groups *lvm.Groups
	failed error           // why nothing is seen
	closed []error         // of devices that could not be opened
	faults []error         // of labels
	told   map[string]bool // what the user was told of it
	locked map[string]bool // groups whose lock is held, by UUID
	locks  []func()
}

// disk is a device with physical volumes on it.
type disk struct {
	*device.Device
	out *device.Writable // the same, where it was opened for writing
}

// sight looks at the physical volumes that were given, or at all block devices. It does so
// once in a run. The error is the failure of one that was given.
func (a *app) sight(given []path) (*sight, error) {
	for _, s := range a.sights {
		if slices.Equal(s.given, given) {
			return s, s.failed
		}
	}
	s := &sight{app: a, given: given, told: map[string]bool{}, locked: map[string]bool{}}
	a.sights = append(a.sights, s)
	for _, name := range s.candidates() {
		if s.failed = s.look(name); s.failed != nil {
			return nil, s.failed
		}
	}
	s.dropHidden()
	s.groups = lvm.Read(s.found)
	return s, nil
}

// closeSights gives back what looking at LVM took.
func (a *app) closeSights() {
	for _, s := range a.sights {
		for _, d := range s.disks {
			if d.out != nil {
				d.out.Close()
			}
			d.Close()
		}
		for _, release := range s.locks {
			release()
		}
	}
	a.sights = nil
}

// candidates are the devices to look at. LVM's own volumes are none of them, unless they
// were given: as for LVM, a group in a volume is that of a virtual machine. Nor are those
// that are suspended, which nobody can read.
func (s *sight) candidates() (names []string) {
	for _, p := range s.given {
		names = append(names, string(p))
	}
	if len(s.given) > 0 {
		return names
	}
	var own []string
	for _, m := range device.Mappings() {
		if lvm.Mapped(m.UUID) || m.Suspended {
			own = append(own, m.Path())
		}
	}
	return slices.DeleteFunc(device.Blocks(), func(name string) bool { return slices.Contains(own, name) })
}

// look looks at a device, and at the partitions that the kernel shows of it. The error is
// the failure of one that was given.
func (s *sight) look(name string) error {
	d, err := device.Open(name)
	if err != nil {
		s.closed = append(s.closed, fmt.Errorf("%s: %w", name, err))
		if len(s.given) > 0 {
			return s.app.unreadable(name, err)
		}
		return nil
	}
	// Where the kernel shows partitions, they are what is on the device, as for LVM.
	partitions := d.Partitions()
	var found []*lvm.Found
	if len(partitions) == 0 {
		var errs []error
		found, errs = lvm.Find(d, name)
		s.faults = append(s.faults, errs...)
	}
	if len(found) == 0 {
		d.Close()
	} else {
		k := &disk{Device: d}
		s.disks = append(s.disks, k)
		for _, f := range found {
			f.Disk = k
		}
		s.found = append(s.found, found...)
	}
	if len(s.given) == 0 {
		return nil // they are among all block devices
	}
	for _, p := range partitions {
		if err := s.look(p); err != nil {
			return err
		}
	}
	return nil
}

// dropHidden leaves a physical volume out where a device that is kept on it shows it, too,
// as an md array does, or all paths to a disk together; and one that was seen before, by
// another name for the same bytes.
func (s *sight) dropHidden() {
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

// shadows tells whether a physical volume is to be taken in place of another one with the same
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
	return before && stretch(one).Overlaps(stretch(other))
}

// stretch is the physical volume as a device.
func stretch(f *lvm.Found) *device.Device {
	d, err := device.Join(f.Name, []device.Part{{Length: f.Length, Stripes: []device.Stripe{{On: diskOf(f).Device, Start: f.Start}}}})
	if err != nil {
		return device.Nothing() // it was found there
	}
	return d
}

func diskOf(f *lvm.Found) *disk { return f.Disk.(*disk) }

// group is the volume group of a name or UUID. The error says what there is instead.
func (s *sight) group(name string) (*lvm.Group, error) {
	g, err := s.groups.Named(name)
	if err != nil {
		return nil, s.withFaults(err)
	}
	if g.SystemID != "" {
		s.tell(g.Name, "the volume group belongs to the host %s", printable(g.SystemID))
	}
	if g.Exported {
		return nil, fmt.Errorf("volume group %s is exported, and not to be used: vgimport takes it in", g.Name)
	}
	return g, nil
}

// withFaults adds to an error what could not be seen, the first of it.
func (s *sight) withFaults(err error) error {
	const most = 3
	all := slices.Clone(s.faults)
	for _, c := range s.groups.Unread() {
		all = append(all, fmt.Errorf("%v: %w", c.On, c.Err))
	}
	all = append(all, s.closed...)
	for i, fault := range all {
		if i == most {
			return fmt.Errorf("%w; and %d more", err, len(all)-most)
		}
		err = fmt.Errorf("%w; %w", err, fault)
	}
	return err
}

// tell tells the user, once in a run.
func (s *sight) tell(about, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !s.told[about+text] {
		s.told[about+text] = true
		s.app.say(about, "%s", text)
	}
}

// onBlocks tells whether some of the group is on block devices: then LVM may be at work
// on it.
func (s *sight) onBlocks(g *lvm.Group) bool {
	for _, p := range g.Physical {
		for _, f := range s.groups.Found(p.UUID) {
			if diskOf(f).IsBlock() {
				return true
			}
		}
	}
	return false
}

// lockPatience is how long a lock of LVM's is waited for: most of its commands take less.
var lockPatience = 5 * time.Second

// lock takes LVM's lock of a volume group, for as long as the run lasts, and reads the
// metadata again, which may have changed before.
func (s *sight) lock(g *lvm.Group) error {
	if s.locked[g.UUID] || !s.onBlocks(g) {
		return nil
	}
	file := filepath.Join(lockingDir(), g.LockFile())
	release, err := device.LockFile(file, lockPatience)
	var busy *device.BusyError
	switch {
	case errors.As(err, &busy):
		return &failure{g.Name, statusFailed, fmt.Errorf("LVM's lock of the volume group, %s, is %w", file, err)}
	case err != nil:
		return &failure{file, statusFailed, fmt.Errorf("LVM's lock of the volume group cannot be taken: %w", err)}
	}
	s.locks = append(s.locks, release)
	s.locked[g.UUID] = true
	s.groups = lvm.Read(s.found)
	return nil
}

// lockingDir is where LVM keeps its lock files.
func lockingDir() string {
	system := os.Getenv("LVM_SYSTEM_DIR")
	if system == "" {
		system = "/etc/lvm"
	}
	dir := "/run/lock/lvm"
	for _, name := range []string{"lvm.conf", "lvmlocal.conf"} {
		text, err := os.ReadFile(filepath.Join(system, name))
		if err != nil {
			continue
		}
		if d := lvm.LockingDir(text); d != "" {
			dir = d
		}
	}
	return dir
}
