package volume

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// splitGiven takes from the names that were given those of volumes, VG/LV, that no file has.
func splitGiven(given []string) (plain, inside []string) {
	for _, name := range given {
		if _, _, ok := lvm.SplitName(name); ok {
			if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
				inside = append(inside, name)
				continue
			}
		}
		plain = append(plain, name)
	}
	return plain, inside
}

// lookInside looks at a logical volume, which may be the disk of a virtual machine. It is one of those that are in sight by
// now, so that a volume in it may be looked into next.
func (s *Sight) lookInside(name string) error {
	if err := s.options.Visit(); err != nil {
		return err
	}
	v, err := s.inSight(name)
	if errors.As(err, new(*lvm.NoGroupError)) {
		err = fmt.Errorf("no such file, and %w", err)
	}
	if err != nil {
		return &Error{name, err}
	}
	all := inuse.Mappings()
	if i := slices.IndexFunc(all, func(m inuse.Mapping) bool { return m.UUID == lvm.MappingUUID(v.Group, v.Logical) && v.OnBlocks() }); i >= 0 {
		return s.look(image{name: all[i].Path()}) // as the kernel shows it
	}
	d, err := v.Open()
	if err != nil {
		return &Error{name, err}
	}
	s.Looked++
	s.lookOn(device.Computed(name, d.Size(), d, d), image{
		name: name, fixed: words.Hint(fmt.Errorf("physical volume %s is a logical volume, and can only be read", name), "to write, activate %s, and give its device", name),
	})
	return nil
}

// inSight is a volume of a group in sight, or of one that others are seen in.
func (s *Sight) inSight(name string) (*Volume, error) {
	group, logical, _ := lvm.SplitName(name)
	from := s
	g, err := s.Group(group)
	if none := new(*lvm.NoGroupError); errors.As(err, none) && s.outer != nil {
		from = s.outer
		g, err = from.Group(group)
	}
	if err != nil {
		return nil, err
	}
	l := g.Find(logical)
	if l == nil {
		return nil, &lvm.NoVolumeError{Group: g, Name: logical, Any: true}
	}
	return from.Volume(name, g, l), nil
}
