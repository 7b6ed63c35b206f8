package volume

import (
	"fmt"

	"dmcow/internal/device"
	"dmcow/internal/marks"
	"dmcow/internal/mirrorlog"
	"dmcow/internal/raidmeta"
	"dmcow/lvm"
)

// record is what an array or a mirror keeps on record of its regions, and the parts of the volumes where it does.
type record struct {
	marks.Record
	parts [][]device.Part
}

// Marks are the records of a volume that was opened for writing, empty where nothing of it is kept more than once, or
// nothing on record: a mirror with its log in memory is brought in sync as a whole at each activation.
func (v *Volume) Marks() marks.Marks { return v.marks }

// openMarks opens what records are kept on.
func (v *Volume) openMarks(all []*record) error {
	v.marks = nil
	for _, r := range all {
		for i, log := range r.Logs {
			w, err := device.JoinWritable(log.Name, r.parts[i])
			if err != nil {
				return fmt.Errorf("%s: %w", log.Name, err)
			}
			v.sight.joined = append(v.sight.joined, &w.Device)
			log.On = w
		}
		v.marks = append(v.marks, &r.Record)
	}
	return nil
}

// record takes in what an array or a mirror keeps on record of so many regions, on other volumes of the group.
func (t *tree) record(l *lvm.Logical, r marks.Record, regions uint64, on ...*lvm.Logical) error {
	if need := uint64((r.Length-1)/r.Region) + 1; regions < need || need > mirrorlog.MaxRegions {
		return fmt.Errorf("%s keeps %d regions on record, and has %d", t.InGroup(l), regions, need)
	}
	if r.All = len(t.path) > 1; !r.All {
		r.Start = t.at
	}
	all := &record{Record: r}
	for _, log := range on {
		parts, err := t.volume(log)
		if err != nil {
			return err
		}
		if missing := firstGone(parts); missing != nil {
			return missing
		}
		if marks.Size(r.BitsAt, int64(regions/8+1)) > t.Group.Size(log) {
			return fmt.Errorf("%s is too small for the record of %d regions", t.InGroup(log), regions)
		}
		all.Logs, all.parts = append(all.Logs, &marks.Log{Name: t.InGroup(log)}), append(all.parts, parts)
	}
	t.records = append(t.records, all)
	return nil
}

// recordBitmaps takes in the bitmaps of an array.
func (a *array) recordBitmaps() error {
	if a.purpose != toWrite || a.geo.Level == 0 {
		return nil
	}
	var on []*lvm.Logical
	for i, b := range a.bitmaps {
		if b == nil || !a.bitmaps[0].Alike(b) {
			return fmt.Errorf("%s has no bitmap, or another one than the other images", a.InGroup(a.part.Images[i].Data))
		}
		on = append(on, a.part.Images[i].Metadata)
	}
	regions, size, at := a.bitmaps[0].Regions()
	return a.record(a.of, marks.Record{Length: a.part.Length, Region: size, BitsAt: at, Mark: raidmeta.Mark}, regions, on...)
}

// recordLog takes in the log of a mirror.
func (t *tree) recordLog(l *lvm.Logical, p lvm.Part, log *lvm.Logical) error {
	size := int64(p.Number("region_size")) * lvm.SectorSize
	return t.record(l, marks.Record{Length: p.Length, Region: size, BitsAt: mirrorlog.BitsAt, InSync: true, Mark: mirrorlog.Mark}, uint64((p.Length-1)/size)+1, log)
}
