package volume

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/raid"
	"dmcow/internal/raidmeta"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// levels are the types of RAID that LVM makes, with md's numbers for their level and layout. The kernel has RAID4 as
// RAID5 with parity on the first image.
var levels = map[string]raid.Geometry{
	"raid0": {}, "raid0_meta": {}, "raid1": {Level: 1}, "raid10": {Level: 10}, "raid10_near": {Level: 10}, "raid4": {Level: 5, Layout: 4},
	"raid5": {Level: 5, Layout: 2}, "raid5_la": {Level: 5, Layout: 0}, "raid5_ra": {Level: 5, Layout: 1}, "raid5_ls": {Level: 5, Layout: 2},
	"raid5_rs": {Level: 5, Layout: 3}, "raid5_n": {Level: 5, Layout: 5},
	"raid6": {Level: 6, Layout: 8}, "raid6_zr": {Level: 6, Layout: 8}, "raid6_nr": {Level: 6, Layout: 9}, "raid6_nc": {Level: 6, Layout: 10},
	"raid6_n_6": {Level: 6, Layout: 5}, "raid6_la_6": {Level: 6, Layout: 16}, "raid6_ra_6": {Level: 6, Layout: 17},
	"raid6_ls_6": {Level: 6, Layout: 18}, "raid6_rs_6": {Level: 6, Layout: 19},
}

// array is a segment of RAID on its way.
type array struct {
	*tree
	of      *lvm.Logical
	part    lvm.Part
	geo     raid.Geometry
	length  int64 // of an image, in bytes
	verdict raidmeta.Verdict
	supers  []*raidmeta.Superblock
	bitmaps []*raidmeta.Bitmap
	stale   bool     // all images but the first may hold something else
	notes   []string // why an image is not read, or not all of it
}

// raid makes the parts of a segment of RAID.
func (t *tree) raid(l *lvm.Logical, p lvm.Part) ([]device.Part, error) {
	a := &array{tree: t, of: l, part: p, geo: levels[p.Type]}
	a.geo.Images, a.geo.Chunk = len(p.Images), p.Chunk
	if err := a.measure(); err != nil {
		return nil, err
	}
	if err := a.judge(); err != nil {
		return nil, t.Group.Unsupported(l, p.Segment, "which cannot be read: "+err.Error())
	}
	lines, err := a.images()
	if err == nil && a.purpose == toWrite {
		err = a.checkWhole(lines)
	}
	if err == nil {
		err = a.recordBitmaps()
	}
	if err != nil {
		return nil, err
	}
	all, err := a.arrange(lines)
	if err == nil {
		a.tell(all)
	}
	return all, err
}

// measure finds out how long the images are, and refuses an array that is not as LVM makes it.
func (a *array) measure() error {
	n := int64(len(a.part.Images))
	data := n
	switch a.geo.Level {
	case 1:
		data = 1
	case 5, 6:
		data = int64(a.geo.Data())
	case 10:
		copies := int64(max(a.part.Number("data_copies"), 2))
		if copies > n {
			return a.unfit()
		}
		a.geo.Layout = int(1<<8 | copies)
		data = n / copies
		if n%copies != 0 {
			data = -1
		}
	}
	switch {
	case n == 0 || data == 0 || len(a.part.Images) == 1:
		return a.unfit()
	case data < 0: // images that are no multiple of the copies
		a.length = (a.part.Length*int64(a.geo.Layout&0xff)/a.geo.Chunk + n - 1) / n * a.geo.Chunk
	case a.part.Length%data != 0:
		return a.unfit()
	default:
		a.length = a.part.Length / data
	}
	if a.geo.Level == 1 {
		return nil
	}
	if a.geo.Chunk < lvm.SectorSize || a.length%a.geo.Chunk != 0 || a.geo.Level > 1 && a.geo.Check() != nil {
		return a.unfit()
	}
	return nil
}

func (a *array) unfit() error {
	return fmt.Errorf("%s: %v cannot be %s on %d images in chunks of %d bytes", a.InGroup(a.of), a.part.Segment, a.part.Type, len(a.part.Images), a.geo.Chunk)
}

// judge reads the superblocks, and finds out which images are read.
func (a *array) judge() error {
	images := a.part.Images
	if a.geo.Level == 0 || a.purpose == toPlace {
		a.verdict = raidmeta.Verdict{Images: make([]raidmeta.Image, len(images)), Synced: raidmeta.End}
		for i := range images {
			a.verdict.Images[i].Good = raidmeta.End
		}
		return nil
	}
	missing := make([]error, len(images))
	a.bitmaps = make([]*raidmeta.Bitmap, len(images))
	a.supers = make([]*raidmeta.Superblock, len(images))
	for i, image := range images {
		a.supers[i], a.bitmaps[i], missing[i] = a.metadata(image)
	}
	var err error
	if a.verdict, err = raidmeta.Judge(a.supers, missing, a.bitmaps, a.runs); err != nil {
		return err
	}
	for i, image := range images {
		if out := outOfUse(image.Data); out != nil {
			a.verdict.Images[i].Out = out
		}
	}
	if s := a.verdict.Freshest; s != nil {
		return a.agree(s)
	}
	return nil
}

// metadata reads the superblock of an image, and its bitmap.
func (a *array) metadata(image lvm.Image) (*raidmeta.Superblock, *raidmeta.Bitmap, error) {
	if image.Metadata == nil {
		return nil, nil, errors.New("it has no metadata")
	}
	d, err := a.open(image.Metadata)
	if err != nil {
		return nil, nil, err
	}
	s, err := raidmeta.Read(d)
	if err != nil {
		return nil, nil, err
	}
	b, err := raidmeta.ReadBitmap(d, d.Size())
	if err != nil {
		return nil, nil, err
	}
	return s, b, nil
}

// runs reports whether the kernel has an array run with some images alone.
func (a *array) runs(with []bool) bool {
	lacks, group := 0, 0
	for i, is := range with {
		if !is {
			lacks++
			group++
		}
		if copies := a.geo.Layout & 0xff; a.geo.Level == 10 && (i+1)%copies == 0 {
			if group == copies {
				return false
			}
			group = 0
		}
	}
	switch a.geo.Level {
	case 5, 6:
		return lacks <= a.geo.Parity()
	}
	return lacks < len(with)
}

// open is another volume of the group as a device to read.
func (t *tree) open(l *lvm.Logical) (*device.Device, error) {
	parts, err := t.volume(l)
	if err != nil {
		return nil, err
	}
	return t.join(l.Name, parts)
}

// outOfUse says why LVM does not have the array read an image.
func outOfUse(l *lvm.Logical) error {
	switch {
	case l.Visible && l.ReadOnly:
		return errors.New("it is split off, and may be out of date")
	case l.Rebuild:
		return errors.New("it was to be rebuilt")
	}
	return nil
}

// agree refuses an array that is another one by its superblock than by LVM's metadata.
func (a *array) agree(s *raidmeta.Superblock) error {
	same := s.Level == a.geo.Level && (a.geo.Level == 1 || s.Layout == a.geo.Layout && s.Chunk == a.geo.Chunk && s.Devices == len(a.part.Images))
	if same {
		return nil
	}
	return fmt.Errorf("its superblock has %d images of level %d, layout %#x, in chunks of %d bytes, and LVM's metadata %d of level %d, layout %#x, in chunks of %d",
		s.Devices, s.Level, s.Layout, s.Chunk, len(a.part.Images), a.geo.Level, a.geo.Layout, a.geo.Chunk)
}

// images are the images' content, as far as it is to be read, all of the same length.
func (a *array) images() (lines [][]device.Part, err error) {
	for i, image := range a.part.Images {
		line, err := a.image(i, image.Data)
		if err != nil {
			return nil, err
		}
		if err := a.count(line); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (a *array) image(i int, l *lvm.Logical) ([]device.Part, error) {
	v, offset := a.verdict.Images[i], int64(0)
	if v.Out != nil {
		a.note(l, "%w", v.Out)
		return gone(a.length, fmt.Errorf("%s is not read: %w", a.InGroup(l), v.Out)), nil
	}
	if a.supers != nil && a.supers[i] != nil {
		offset = a.supers[i].DataOffset
	}
	line, err := a.line(l)
	if err != nil {
		return nil, err
	}
	good := a.length
	if v.Good < uint64(a.length/lvm.SectorSize) {
		good = int64(v.Good) * lvm.SectorSize
		a.note(l, "%w", fmt.Errorf("it is being rebuilt, and read up to byte %d", good))
	}
	if line, err = cutLine(line, offset, good); err != nil {
		return nil, fmt.Errorf("%s: %w", a.InGroup(l), err)
	}
	if good < a.length {
		line = append(line, gone(a.length-good, fmt.Errorf("%s is not rebuilt there", a.InGroup(l)))...)
	}
	if why := firstGone(line); why != nil && good == a.length {
		a.note(l, "%w", why)
	}
	return line, nil
}

func firstGone(line []device.Part) error {
	for _, p := range line {
		if why := p.Stripes[0].Gone; why != nil {
			return why
		}
	}
	return nil
}

func (a *array) note(l *lvm.Logical, format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf("%s: %v", l.Name, fmt.Errorf(format, args...)))
}

// arrange makes parts of the images.
func (a *array) arrange(lines [][]device.Part) ([]device.Part, error) {
	switch copies := a.geo.Layout & 0xff; {
	case a.geo.Level == 0:
		return a.stripe(lines, a.geo.Chunk)
	case a.geo.Level == 1:
		return copiesOf(a.inOrder(lines), a.stale), nil
	case a.geo.Level == 10 && len(lines)%copies == 0:
		var groups [][]device.Part
		for i := range len(lines) / copies {
			order := a.order(i*copies, copies)
			var same [][]device.Part
			for _, at := range order {
				same = append(same, lines[at])
			}
			groups = append(groups, copiesOf(same, a.stale))
		}
		return a.stripe(groups, a.geo.Chunk)
	}
	if a.purpose == toWrite {
		return nil, &OnlyKernelError{a.Group.Unsupported(a.of, a.part.Segment, "which only the kernel can write")}
	}
	return a.computed(lines)
}

// checkWhole refuses an array that is to be written where an image is not there, or not in sync. One that was being
// written here when that was cut off is brought in sync by the kernel, from what is read.
func (a *array) checkWhole(lines [][]device.Part) error {
	name := a.InGroup(a.of)
	for _, line := range lines {
		if missing := firstGone(line); missing != nil && a.geo.Level > 0 {
			return words.Hint(fmt.Errorf("not all images of %s are there and in sync: %w", name, missing),
				"lvchange --activate y %[1]s; lvconvert --repair %[1]s; then wait for 100 in lvs -o sync_percent %[1]s", name)
		}
	}
	switch s := a.verdict.Freshest; {
	case a.geo.Level == 0:
		return nil
	case s == nil:
		return words.Hint(fmt.Errorf("%s was never active: its images have no superblocks", name), "lvchange --activate y %s", name)
	case s.Synced == raidmeta.End:
		return nil
	case s.Synced > 0 || !slices.ContainsFunc(a.supers, func(s *raidmeta.Superblock) bool { return s != nil && s.Marked }):
		return notInSync(name)
	}
	a.sayCutOff(a.of)
	a.stale = true
	return nil
}

func notInSync(name string) error {
	return words.Hint(fmt.Errorf("%s is not in sync", name), "lvchange --activate y %[1]s; then wait for 100 in lvs -o sync_percent %[1]s", name)
}

func (t *tree) sayCutOff(l *lvm.Logical) {
	t.sight.say(t.Name, "the images of %s may differ, because a merge into it was cut off: the kernel brings them in sync when it is activated", t.InGroup(l))
}

// order is the order in which so many images from one on are read: those that are to be read rarely come last.
func (a *array) order(first, count int) (all []int) {
	for _, rarely := range []bool{false, true} {
		for i := first; i < first+count; i++ {
			if a.part.Images[i].Data.Rarely == rarely {
				all = append(all, i)
			}
		}
	}
	return all
}

func (a *array) inOrder(lines [][]device.Part) (all [][]device.Part) {
	for _, i := range a.order(0, len(lines)) {
		all = append(all, lines[i])
	}
	return all
}

// computed makes parts of an array whose bytes are computed where an image lacks some. Where more lack some than
// parity makes up for, all is gone.
func (a *array) computed(lines [][]device.Part) ([]device.Part, error) {
	content := &raid.Array{Geometry: a.geo, Synced: a.synced()}
	var of []*device.Device
	for i, line := range lines {
		d, err := a.join(a.part.Images[i].Data.Name, line)
		if err != nil {
			return nil, err
		}
		of, content.On = append(of, d), append(content.On, d)
	}
	whole := device.Stripe{On: device.Computed(a.of.Name, a.part.Length, content, of...)}
	if a.geo.Level == 10 {
		return []device.Part{{Length: a.part.Length, Stripes: []device.Stripe{whole}}}, nil
	}
	return a.lackingTooMuch(lines, whole), nil
}

// lackingTooMuch is the array in parts: rows that can be had, and rows that cannot.
func (a *array) lackingTooMuch(lines [][]device.Part, whole device.Stripe) (all []device.Part) {
	row := int64(a.geo.Data()) * a.geo.Chunk
	at := int64(0) // in the array
	add := func(end int64, why error) {
		if end > at {
			s := further(whole, at)
			if why != nil {
				s = device.Stripe{Gone: why}
			}
			all = append(all, device.Part{Length: end - at, Stripes: []device.Stripe{s}})
			at = end
		}
	}
	for _, s := range slabs(lines) {
		lacks := slices.DeleteFunc(slices.Clone(s.stripes), func(s device.Stripe) bool { return s.Gone == nil })
		if len(lacks) > a.geo.Parity() {
			add(s.start/a.geo.Chunk*row, nil)
			add((s.start+s.length+a.geo.Chunk-1)/a.geo.Chunk*row, fmt.Errorf("%d of %d images are lacking: %w", len(lacks), len(lines), lacks[0].Gone))
		}
	}
	add(a.part.Length, nil)
	return all
}

// synced is how far the array is in sync, in bytes of an image.
func (a *array) synced() int64 {
	if s := a.verdict.Synced; s < math.MaxInt64/lvm.SectorSize {
		return int64(s) * lvm.SectorSize
	}
	return math.MaxInt64
}

// tell tells which images are not read, and whether they may differ.
func (a *array) tell(all []device.Part) {
	if a.purpose != toRead {
		return
	}
	if len(a.notes) > 0 && !slices.ContainsFunc(all, func(p device.Part) bool { return p.Stripes[0].Gone == nil }) {
		return // nothing is read, and the error says why
	}
	if len(a.notes) > 0 {
		doubt := ""
		if a.mayBeOld() {
			doubt = " (nothing shows whether a missing one is newer)"
		}
		a.sight.say(a.Name, "is read from %d of %d images of %s: %s%s", len(a.part.Images)-len(a.notes), len(a.part.Images), a.InGroup(a.of), strings.Join(a.notes, "; "), doubt)
	}
	if why := a.differ(); why != "" {
		a.sight.say(a.Name, "the images of %s may differ, because %s: what the kernel would read is read", a.InGroup(a.of), why)
	}
}

// mayBeOld reports whether the array can have run with none but images that are missing.
func (a *array) mayBeOld() bool {
	missing := make([]bool, len(a.supers))
	for i, s := range a.supers {
		missing[i] = s == nil
	}
	return a.verdict.Freshest != nil && a.runs(missing)
}

// differ says why images may differ, empty where they should not.
func (a *array) differ() string {
	if a.geo.Level == 0 {
		return ""
	}
	if a.synced() < a.length {
		return "they were not yet in sync"
	}
	if a.verdict.Dirty && len(a.notes) == 0 { // while an image is lacking, bits stay set
		return "they were being written when all was cut off"
	}
	return ""
}
