package snapshot

import (
	"os"

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
func (u *Used) Labels() Labels { return labelsOf(u.COW.Name, u.Origin.Name) }

// Labels are the store's, also where it cannot be read.
func (l *Listed) Labels() Labels {
	if l.COW != nil {
		return labelsOf(l.COW.Name, l.Origin)
	}
	return labelsOf(Name{Text: l.Name, Volume: l.volume}, l.Origin)
}

// Labels are those of a store that cannot be read, by its name, as far as that is found out.
func (s *Session) Labels(name string) Labels {
	n, err := s.find(name, false)
	switch {
	case err != nil:
		return Labels{}
	case n.Volume == nil:
		return labelsOf(n, "")
	}
	return labelsOf(n, n.Volume.OriginName())
}

func labelsOf(n Name, origin string) (x Labels) {
	x.Origin = origin
	x.VG, x.LV, _ = lvm.SplitName(n.Text)
	switch v := n.Volume; {
	case v == nil:
		x.VG, x.LV = "", ""
		x.ofDevice(n.Text)
	case v.Active != nil:
		x.UUID = lvm.MappedUUID(v.Active.UUID)
	case v.Logical != nil:
		x.UUID = v.Logical.UUID
	}
	return x
}

// ofDevice finds what logical volume a device is.
func (x *Labels) ofDevice(path string) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	for _, m := range inuse.Mappings() {
		if m.Number == inuse.NumberOf(info) && lvm.Mapped(m.UUID) {
			x.VG, x.LV, _, _ = lvm.MappedName(m.Name)
			x.UUID = lvm.MappedUUID(m.UUID)
		}
	}
}
