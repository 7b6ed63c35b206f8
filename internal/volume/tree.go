package volume

import (
	"fmt"
	"slices"

	"dmcow/internal/device"
	"dmcow/lvm"
)

// purpose is what a volume's parts are asked for.
type purpose int

const (
	toRead  purpose = iota
	toWrite         // then all must be kept as it is read
	toPlace         // where they lie, not what is on them
)

// tree makes the parts that a logical volume is joined from, segment by segment: of what is on physical volumes,
// and of other logical volumes, whose parts are made so, too.
type tree struct {
	*Volume
	disk    func(*disk) (*device.Device, error) // the device that stands for a disk
	purpose purpose
	path    []*lvm.Logical // from the volume down to the one whose parts are made
	made    int            // parts
	done    map[*lvm.Logical][]device.Part
	devices []*device.Device
	at      int64     // where in the volume itself the segment begins whose parts are made
	records []*record // of what is kept more than once and is to be written
}

// What LVM makes is within these: a cached thin pool on RAID with integrity is eight deep.
const (
	maxDepth = 16
	maxParts = 1 << 20
)

// parts are those that the volume is joined from. Of extents that cannot be had, on a physical volume that is not
// there, gone makes the error with which they are read, or stops with it where it is to.
func (v *Volume) parts(on func(*disk) (*device.Device, error), purpose purpose, gone func(from, to uint64, missing error) error) ([]device.Part, error) {
	all, _, err := v.partsAndRecords(on, purpose, gone)
	return all, err
}

func (v *Volume) partsAndRecords(on func(*disk) (*device.Device, error), purpose purpose, gone func(from, to uint64, missing error) error) ([]device.Part, []*record, error) {
	t := &tree{Volume: v, disk: on, purpose: purpose, done: map[*lvm.Logical][]device.Part{}}
	all, err := t.volume(v.Logical)
	v.sight.joined = append(v.sight.joined, t.devices...)
	if err != nil {
		return nil, nil, err
	}
	extent := int64(v.Group.ExtentSize) * lvm.SectorSize
	at := int64(0)
	for _, p := range all {
		if missing := p.Stripes[0].Gone; missing != nil {
			if err := gone(uint64(at/extent), uint64((at+p.Length-1)/extent), missing); err != nil {
				return nil, nil, err
			}
		}
		at += p.Length
	}
	return all, t.records, nil
}

// volume makes the parts of a logical volume. One that cannot be had has one stripe, which is gone.
func (t *tree) volume(l *lvm.Logical) (all []device.Part, err error) {
	if all, ok := t.done[l]; ok {
		return slices.Clone(all), nil
	}
	if len(t.path) == maxDepth {
		return nil, fmt.Errorf("%s is made of volumes that are made of others, more than %d deep", t.InGroup(t.Logical), maxDepth)
	}
	layout, err := t.Group.Layout(l)
	if err != nil {
		return nil, err
	}
	t.path = append(t.path, l)
	defer func() { t.path = t.path[:len(t.path)-1] }()
	for _, p := range layout {
		if len(t.path) == 1 {
			t.at = lengthOf(all)
		}
		parts, err := t.segment(l, p)
		if err != nil {
			return nil, err
		}
		if err := t.count(parts); err != nil {
			return nil, err
		}
		all = append(all, parts...)
	}
	t.done[l] = slices.Clone(all)
	return all, nil
}

func lengthOf(parts []device.Part) (length int64) {
	for _, p := range parts {
		length += p.Length
	}
	return length
}

// count refuses a volume that is made of too many parts, or copies of such.
func (t *tree) count(parts []device.Part) error {
	for _, p := range parts {
		for _, s := range p.Stripes {
			t.made += 1 + len(s.Copies)
		}
	}
	if t.made > maxParts {
		return fmt.Errorf("%s is made of more than %d parts", t.InGroup(t.Logical), maxParts)
	}
	return nil
}

// segment makes the parts of a segment of a logical volume.
func (t *tree) segment(l *lvm.Logical, p lvm.Part) ([]device.Part, error) {
	if err := t.checkWritable(l, p); err != nil {
		return nil, err
	}
	switch p.Type {
	case "linear", "striped":
		if !slices.ContainsFunc(p.Places, func(at lvm.Place) bool { return at.In != nil }) {
			return t.striped(p)
		}
		return t.stripedOnVolumes(p)
	case "mirror":
		return t.mirror(l, p)
	case "zero":
		return []device.Part{{Length: p.Length, Stripes: []device.Stripe{{On: device.Zeros(l.Name, p.Length)}}}}, nil
	case "thin":
		return t.target(l, p, (*target).thin)
	case "cache":
		return t.target(l, p, (*target).cache)
	case "writecache":
		return t.target(l, p, (*target).writecache)
	case "integrity":
		return t.target(l, p, (*target).integrity)
	case "error":
		return gone(p.Length, fmt.Errorf("extents %d to %d of %s are of type error", p.Start, p.Start+p.Count-1, t.InGroup(l))), nil
	}
	if _, ok := levels[p.Type]; ok {
		return t.raid(l, p)
	}
	return nil, t.Group.Unsupported(l, p.Segment, "which cannot be read")
}

// checkWritable refuses a segment that is to be written, and of which only the kernel knows how. A snapshot's own
// volume is never kept more than once: LVM does not let it be.
func (t *tree) checkWritable(l *lvm.Logical, p lvm.Part) error {
	if t.purpose != toWrite {
		return nil
	}
	switch p.Type {
	case "linear", "striped", "raid0", "raid0_meta":
		return nil
	case "mirror":
		if l.Moving || t.Snapshot == nil {
			return nil
		}
	case "raid1", "raid10", "raid10_near":
		if t.Snapshot == nil {
			return nil
		}
	}
	return &OnlyKernelError{t.Group.Unsupported(l, p.Segment, "which only the kernel can write")}
}

// OnlyKernelError is the error of a volume that only the kernel can write.
type OnlyKernelError struct{ error }

func (e *OnlyKernelError) Unwrap() error { return e.error }

// line is the content of a volume as parts of one stripe each.
func (t *tree) line(l *lvm.Logical) ([]device.Part, error) {
	all, err := t.volume(l)
	if err != nil {
		return nil, err
	}
	for i, p := range all {
		if len(p.Stripes) == 1 {
			continue
		}
		d, err := t.join(l.Name, []device.Part{p})
		if err != nil {
			return nil, err
		}
		all[i] = device.Part{Length: p.Length, Stripes: []device.Stripe{{On: device.Within(d)}}}
	}
	return all, nil
}

// join makes a device for the tree's own use. It is open as long as the sight.
func (t *tree) join(name string, parts []device.Part) (*device.Device, error) {
	d, err := device.Join(name, parts)
	if err == nil {
		t.devices = append(t.devices, d)
	}
	return d, err
}

func gone(length int64, why error) []device.Part {
	return []device.Part{{Length: length, Stripes: []device.Stripe{{Gone: why}}}}
}

// striped makes the parts of a segment that is linear or striped, on physical volumes.
func (t *tree) striped(p lvm.Part) ([]device.Part, error) {
	there, stripes, missing, err := t.stripes(p)
	if err != nil {
		return nil, err
	}
	var all []device.Part
	if there > 0 {
		all = append(all, device.Part{Length: there, Chunk: p.Chunk, Stripes: stripes})
	}
	if there < p.Length {
		all = append(all, gone(p.Length-there, missing)...)
	}
	return all, nil
}

// stripes are those of a part, and how much of it is there, in bytes: all of it, or where
// it is linear, up to the end of its physical volume. missing says what is not.
func (t *tree) stripes(p lvm.Part) (there int64, all []device.Stripe, missing, err error) {
	need := p.Length / int64(len(p.Places))
	there = p.Length
	for _, at := range p.Places {
		f, gone, err := t.physical(at.On)
		if err != nil {
			return 0, nil, nil, err
		}
		if gone != nil {
			return 0, nil, gone, nil
		}
		if length := max(0, f.Length-at.Start); length < need {
			missing = fmt.Errorf("%v is cut short: from byte %[5]d on, it has %[3]d of the %[4]d bytes of physical volume %[2]s", f, at.On.UUID, length, need, at.Start)
			if there = 0; len(p.Places) == 1 {
				there = length / lvm.SectorSize * lvm.SectorSize
			}
		}
		d, err := t.disk(diskOf(f))
		if err != nil {
			return 0, nil, nil, err
		}
		all = append(all, device.Stripe{On: d, Start: f.Start + at.Start})
	}
	return there, all, missing, nil
}

// stripedOnVolumes makes the parts of a segment that is on other logical volumes, as all that pvmove is at work
// on is.
func (t *tree) stripedOnVolumes(p lvm.Part) ([]device.Part, error) {
	lines, err := t.lines(p.Places, p.Length/int64(len(p.Places)))
	if err != nil {
		return nil, err
	}
	return t.stripe(lines, p.Chunk)
}

// lines are the first length bytes of each place.
func (t *tree) lines(places []lvm.Place, length int64) (all [][]device.Part, err error) {
	for _, at := range places {
		var line []device.Part
		if at.In != nil {
			if line, err = t.line(at.In); err == nil {
				line, err = cutLine(line, at.Start, length)
			}
			if err == nil {
				err = t.count(line)
			}
		} else {
			line, err = t.striped(lvm.Part{Length: length, Places: []lvm.Place{at}})
		}
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, nil
}
