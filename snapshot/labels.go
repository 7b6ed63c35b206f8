package snapshot

import (
	"dmcow/internal/inuse"
	"dmcow/lvm"
)

// Labels are by what a monitor knows a store. What is not known is empty.
type Labels struct {
	VG, LV string // of an LVM snapshot
	UUID   string // the logical volume's
	Origin string
}

// Labels are the store's.
func (u *Used) Labels() Labels { return labelsOf(u.COW.Name, u.mapped(), originNamed(u.Origin.Name)) }

// Labels are the store's, also where it cannot be read.
func (l *Listed) Labels() Labels {
	return labelsOf(Name{Text: l.Name, Volume: l.volume}, l.mapping, l.Origin)
}

// Labels are those of a store that cannot be read, by its name, as far as that is found out.
func (s *Session) Labels(name string) Labels {
	n, err := s.find(name, false)
	if err != nil {
		return Labels{}
	}
	return labelsOf(n, mappingOf(n), originNamed(OriginFacts{}.of(n.Volume).Name))
}

// originNamed is an origin as a monitor knows it: where it is known by its number, which is another one after the next
// start of the machine, by its name.
func originNamed(name string) string {
	if _, ok := inuse.ParseNumber(name); !ok {
		return name
	}
	for _, m := range inuse.Mappings() {
		if vg, lv, _, ok := lvm.MappedName(m.Name); ok && lvm.Mapped(m.UUID) && m.Number.String() == name {
			return vg + "/" + lv
		}
	}
	return deviceName(name)
}

// labelsOf are those of a name, and of the device-mapper device that it stands for, nil where there is none.
func labelsOf(n Name, m *inuse.Mapping, origin string) Labels {
	x := Labels{Origin: origin}
	switch v := n.Volume; {
	case m != nil && lvm.Mapped(m.UUID):
		x.VG, x.LV, _, _ = lvm.MappedName(m.Name)
		x.UUID = lvm.MappedUUID(m.UUID)
	case v != nil && v.Logical != nil:
		x.VG, x.LV, _ = lvm.SplitName(n.Text)
		x.UUID = v.Logical.UUID
	}
	return x
}

// mapped is the COW device, as device-mapper has it; nil where it does not.
func (u *Used) mapped() *inuse.Mapping {
	if u.mapping != nil {
		return u.mapping
	}
	return mappingOf(u.COW.Name)
}

// mappingOf is the device-mapper device that a name stands for, nil where it stands for something else.
func mappingOf(n Name) *inuse.Mapping {
	if n.Volume != nil {
		return n.Volume.Active
	}
	number := numberOf(n.Text)
	for _, m := range inuse.Mappings() {
		if m.Number == number {
			return &m
		}
	}
	return nil
}
