package snapshot

import (
	"errors"
	"fmt"
	"os"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/volume"
	"dmcow/lvm"
)

// Name is a device as people name it: by its path, or as VG/LV, a volume of LVM.
type Name struct {
	Text   string
	Volume *volume.Volume // nil where it is a path
	pieces *pieces        // nil where it does not stand for some
}

// IsPhysical reports whether a file or block device has a physical volume of LVM.
func IsPhysical(name string) bool { return volume.IsPhysical(name) }

// IsVolume reports whether a name has the form VG/LV.
func IsVolume(name string) bool {
	_, _, ok := lvm.SplitName(name)
	return ok
}

// sees looks at LVM, once. The error is of a place that was given, or of an interruption:
// [ofVolume] makes a refusal of it.
func (s *Session) sees() (*volume.Sight, error) {
	if s.sight == nil {
		s.sight, s.unseen = volume.Look(volume.Options{
			Given: s.options.Where, Foreign: s.options.Host, Visit: s.options.Interrupted,
			Tell: func(about, text string) { s.note(about, Fine, "%s", text) },
		})
	}
	return s.sight, s.unseen
}

// find finds out what a name stands for:
//   - a name that does not have the form VG/LV is a path;
//   - so is the name of a file, where it was not said for this run where to look for volumes;
//   - and where it was, if all that is there could be seen, and no group has that name.
//
// writes is for what is going to be written to: LVM's lock of the group is taken then. The error is a refusal.
func (s *Session) find(name string, writes bool) (n Name, err error) {
	n.Text = name
	if p := s.options.Pieces; len(p.All) > 0 && name == p.Name {
		n.pieces = &pieces{p, s}
		return n, nil
	}
	group, logical, ok := lvm.SplitName(name)
	if !ok || (len(s.options.Where) == 0 || s.options.Usual) && exists(name) {
		return n, nil
	}
	if len(s.options.Where) == 0 {
		n.Volume = volume.ActiveSnapshot(name, group, logical)
	}
	if n.Volume == nil {
		n.Volume, err = s.recorded(name, group, logical, writes)
	}
	if errors.As(err, new(*lvm.NoGroupError)) && len(s.options.Where) > 0 && s.sight.IsWhole() && exists(name) {
		s.note(name, Fine, "is taken for the file of that name: no volume group %s is among those that were found", group)
		return Name{Text: name}, nil
	}
	return n, err
}

// recorded is a volume as the metadata has it. The error is a refusal.
func (s *Session) recorded(name, group, logical string, writes bool) (*volume.Volume, error) {
	sight, err := s.sees()
	if err != nil {
		return nil, ofVolume(name, err)
	}
	g, err := sight.Group(group)
	if err == nil && writes {
		if err = sight.Lock(g, s.options.Patience); err == nil {
			g, err = sight.Group(group) // as it is now
		}
	}
	if err != nil {
		return nil, s.noSuch(name, err)
	}
	l := g.Find(logical)
	if l == nil {
		return nil, refuse(name, Unreadable, &lvm.NoVolumeError{Group: g, Name: logical})
	}
	return sight.Volume(name, g, l), nil
}

// noSuch is the refusal of a name that stands for nothing.
func (s *Session) noSuch(name string, err error) error {
	switch none := errors.As(err, new(*lvm.NoGroupError)); {
	case none && exists(name):
		return refusef(name, Unreadable, "%w; the file of that name is ./%s", err, name)
	case !none || len(s.options.Where) > 0:
		return ofVolume(name, err)
	}
	return refuse(name, Unreadable, fmt.Errorf("not found: no such file, and %w", err), LookElsewhere)
}

// readRecord finds out what LVM has on record of a snapshot that is active, if its metadata can be read.
func (s *Session) readRecord(n Name) {
	if n.Volume == nil || n.Volume.Active == nil {
		return
	}
	group, logical, _ := lvm.SplitName(n.Text)
	v, err := s.recorded(n.Text, group, logical, false)
	if err != nil {
		s.detail(n.Text, "LVM's metadata for it cannot be read: %v", errors.Unwrap(err))
		return
	}
	n.Volume.ChunkSectors, n.Volume.Created = v.ChunkSectors, v.Created
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (n Name) beside(l *lvm.Logical) Name {
	v := n.Volume.Beside(l)
	return Name{Text: v.Name, Volume: v}
}

// ownSize is the size of a snapshot of LVM, 0 where it is none, or that is not known.
func (n Name) ownSize() format.Bytes {
	if n.Volume == nil {
		return 0
	}
	return format.Bytes(n.Volume.SnapshotSize)
}

// recordedSize is a volume's size in bytes, by LVM's metadata; 0 where it is none, or that is not known.
func (n Name) recordedSize() int64 {
	if n.Volume == nil || n.Volume.Group == nil {
		return 0
	}
	return n.Volume.Group.Size(n.Volume.Logical)
}

// open opens the device for reading. The error is a refusal.
func (s *Session) open(n Name) (d *device.Device, err error) {
	if n.pieces != nil {
		return n.pieces.open()
	}
	if n.Volume == nil {
		d, err = device.Open(n.Text)
		return d, failed(n.Text, Unreadable, err)
	}
	d, err = n.Volume.Open()
	if err == nil && n.Volume.Gone != nil {
		s.note(n.Text, Unreadable, "") // the volume has said why
	}
	return d, failed(n.Text, Unreadable, err)
}

// openToWrite opens the device for writing. The error is a refusal.
func (n Name) openToWrite() (d *device.Writable, err error) {
	if n.pieces != nil {
		return n.pieces.openToWrite()
	}
	if n.Volume == nil {
		d, err = device.OpenWritable(n.Text)
	} else {
		d, err = n.Volume.OpenWritable()
	}
	return d, failed(n.Text, Unable, err)
}

// checkWritable refuses a volume that must not be written to.
func (n Name) checkWritable() error {
	if n.Volume == nil {
		return nil
	}
	return failed(n.Text, Unable, n.Volume.RefuseWriting())
}
