package volume

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/lvm"
)

// Mapping is the COW device of a snapshot of the metadata, nil if there is none. Its UUID
// alone does not tell: the metadata may be a copy's.
func (v *Volume) Mapping(all []inuse.Mapping) *inuse.Mapping {
	uuid := lvm.MappingUUID(v.Group, v.Logical) + "-cow"
	i := slices.IndexFunc(all, func(m inuse.Mapping) bool { return m.UUID == uuid && !m.Suspended })
	if i < 0 {
		return nil
	}
	here, err := v.place()
	if err != nil {
		return nil
	}
	d, err := device.Open(all[i].Path())
	if err != nil {
		return nil
	}
	defer d.Close()
	if !d.Overlaps(here) {
		return nil
	}
	return &all[i]
}

// Table is the device-mapper table of a volume of the group, a line for each segment; a
// comment, where it cannot be told.
func (v *Volume) Table(l *lvm.Logical) string {
	table, err := v.TableOn(l, (*device.Device).TableName)
	if err != nil {
		return fmt.Sprintf("# %v\n", err)
	}
	return table
}

// TableOn is that table with the names that its devices are given.
func (v *Volume) TableOn(l *lvm.Logical, name func(*device.Device) string) (string, error) {
	layout, err := v.Group.Layout(l)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	start := int64(0)
	for _, p := range layout {
		if len(p.Places) == 0 || p.Type == "mirror" || slices.ContainsFunc(p.Places, func(at lvm.Place) bool { return at.On == nil }) {
			return "", v.Group.Unsupported(l, p.Segment, "for which there is no table of one device")
		}
		target := "linear"
		if len(p.Places) > 1 {
			target = fmt.Sprintf("striped %d %d", len(p.Places), p.Chunk/lvm.SectorSize)
		}
		fmt.Fprintf(&b, "%d %d %s", start/lvm.SectorSize, p.Length/lvm.SectorSize, target)
		for _, at := range p.Places {
			f, missing, err := v.physical(at.On)
			if err != nil || missing != nil {
				return "", errors.Join(err, missing)
			}
			if fixed := diskOf(f).fixed; fixed != nil {
				return "", fixed
			}
			fmt.Fprintf(&b, " %s %d", name(diskOf(f).Device), (f.Start+at.Start)/lvm.SectorSize)
		}
		b.WriteString("\n")
		start += p.Length
	}
	return b.String(), nil
}
