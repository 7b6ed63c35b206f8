package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/lvm"
)

// superblock is dm-raid's of an image of RAID5 in chunks of 64 KiB, which is in sync.
func superblock(position, images int, change map[int]uint64) []byte {
	b := make([]byte, 512)
	le := binary.LittleEndian
	copy(b, "DmRd")
	for at, v := range map[int]uint32{4: 1, 8: uint32(images), 12: uint32(position), 16: 5, 48: 5, 52: 2, 56: 128} {
		le.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint64{32: 1<<64 - 1, 40: 1<<64 - 1} {
		le.PutUint64(b[at:], v)
	}
	for at, v := range change {
		if at == 8 || at >= 48 && at < 64 { // numbers of 32 bits
			le.PutUint32(b[at:], uint32(v))
			continue
		}
		le.PutUint64(b[at:], v)
	}
	return b
}

// putExtent writes to a disk of a group that is made here, at an extent.
func putExtent(t *testing.T, path string, at int, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, int64(first+at*extent)); err != nil {
		t.Fatal(err)
	}
}

// arrayDisks are the disks of a group with a volume vg0/v, of segments between semicolons, and three images for an array,
// each of 16 extents, on extents 100 on of its disk, and its metadata on extents 50 and 51.
func arrayDisks(t *testing.T, segments string, status ...string) (paths []string) {
	t.Helper()
	logical := [][]string{append([]string{"v"}, strings.Split(segments, ";")...)}
	for i := range 3 {
		logical = append(logical, []string{fmt.Sprint("i", i), segment(0, 16, fmt.Sprintf(`type = "striped" stripes = ["pv%d", 100]`, i))},
			[]string{fmt.Sprint("m", i), segment(0, 2, fmt.Sprintf(`type = "striped" stripes = ["pv%d", 50]`, i))})
	}
	for _, s := range status {
		name, flags, _ := strings.Cut(s, " ")
		i := slices.IndexFunc(logical, func(l []string) bool { return l[0] == name })
		logical[i] = append(logical[i], flags)
	}
	return groupDisks(t, 3, logical)
}

const (
	raid5 = `type = "raid5" device_count = 3 stripe_size = 128 region_size = 8 raids = ["m0", "i0", "m1", "i1", "m2", "i2"]`
	raid1 = `type = "raid1" device_count = 3 region_size = 8 raids = ["m0", "i0", "m1", "i1", "m2", "i2"]`
)

// TestArrays: what is told of arrays, and what is refused.
func TestArrays(t *testing.T) {
	for _, c := range []struct {
		name, segment string
		extents       int
		supers        [3]map[int]uint64 // what is not as in an array that is in sync; RAID1 has level 1
		told, refused string
		disk          int // whose image a RAID1 is read from
	}{
		{name: "well", segment: raid5, extents: 32},
		{name: "too large", segment: strings.Replace(raid5, "128", "8", 1), extents: 34, supers: [3]map[int]uint64{{56: 8}, {56: 8}, {56: 8}}, refused: "vg0/i0: 4096 bytes of it are on no volume"},
		{name: "reshaping", segment: raid5, extents: 32, supers: [3]map[int]uint64{{60: 1, 16: 6}}, refused: "the array is being reshaped"},
		{name: "another layout", segment: raid5, extents: 32, supers: [3]map[int]uint64{{52: 3, 16: 6}}, refused: "its superblock has 3 images of level 5, layout 0x3"},
		{name: "another chunk", segment: raid5, extents: 32, supers: [3]map[int]uint64{{56: 64, 16: 6}}, refused: "in chunks of 32768 bytes, and LVM's metadata 3 of level 5, layout 0x2, in chunks of 65536"},
		{name: "more images", segment: raid5, extents: 32, supers: [3]map[int]uint64{{8: 4, 16: 6}}, refused: "its superblock has 4 images"},
		{name: "no chunk", segment: strings.Replace(raid5, "128", "0", 1), extents: 32, refused: "cannot be raid5 on 3 images in chunks of 0 bytes"},
		{name: "odd", segment: raid5, extents: 31, refused: "cannot be raid5 on 3 images"},
		{name: "not synced", segment: raid5, extents: 32, supers: [3]map[int]uint64{{40: 64}, {40: 64}, {40: 64}}, told: "the images of vg0/v may differ, because they were not yet in sync"},
		{name: "two failed", segment: raid5, extents: 32, supers: [3]map[int]uint64{{24: 6}, {24: 6}, {24: 6}}, told: "extents 0 to 31 cannot be read"},
		{name: "mirrors", segment: raid1, extents: 16},
		{name: "first failed", segment: raid1, extents: 16, supers: [3]map[int]uint64{{}, {24: 1}, {24: 1}}, told: "is read from 2 of 3 images of vg0/v: i0: it has failed", disk: 1},
		{name: "first behind", segment: raid1, extents: 16, supers: [3]map[int]uint64{{16: 3}}, told: "i0: it is out of date", disk: 1},
		{name: "data from an offset on", segment: raid1, extents: 10, supers: [3]map[int]uint64{{96: 16}}},
	} {
		paths := arrayDisks(t, segment(0, c.extents, c.segment))
		for i, path := range paths {
			change := map[int]uint64{}
			if c.segment == raid1 {
				change[48], change[52], change[56] = 1, 0, 0
			}
			for at, v := range c.supers[i] {
				change[at] = v
			}
			putExtent(t, path, 50, superblock(i, 3, change))
		}
		v, told := find(t, "vg0/v", paths)
		d, err := v.Open()
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, want %s", c.name, err, c.refused)
			}
			continue
		}
		if text := strings.Join(*told, "; "); err != nil || !strings.Contains(text, c.told) || c.told == "" && text != "" {
			t.Errorf("%s: %v, told %q, want %q", c.name, err, text, c.told)
			continue
		}
		if c.segment == raid1 {
			skip := int(c.supers[0][96]) * lvm.SectorSize / extent
			got := make([]byte, d.Size())
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, pieceOf(t, paths, c.disk, 100+skip, c.extents)) {
				t.Errorf("%s: %v, or not as on disk %d", c.name, err, c.disk)
			}
		}
	}
}

// TestImageOrder: of a mirror, the first image is read that is not to be read rarely, and none that LVM has taken out of it.
func TestImageOrder(t *testing.T) {
	for _, c := range []struct {
		status []string
		disk   int
	}{
		{nil, 0},
		{[]string{`i0 status = ["READ", "WRITE", "WRITEMOSTLY"]`}, 1},
		{[]string{`i0 status = ["READ", "VISIBLE"]`}, 1},
		{[]string{`i0 status = ["READ", "WRITE", "REBUILD"]`, `i1 status = ["READ", "WRITE", "WRITEMOSTLY"]`}, 2},
	} {
		paths := arrayDisks(t, segment(0, 16, raid1), c.status...)
		v, _ := find(t, "vg0/v", paths)
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, pieceOf(t, paths, c.disk, 100, 16)) {
			t.Errorf("%q: %v, or not as on disk %d", c.status, err, c.disk)
		}
	}
}

// TestMirrorLog: where the first leg of a mirror is missing, what the log has as in sync is read from the others.
func TestMirrorLog(t *testing.T) {
	mirror := func(log string) string {
		return segment(0, 8, `type = "mirror" mirror_count = 2 region_size = 16 `+log+` mirrors = ["i0", 0, "i1", 0]`)
	}
	log := make([]byte, 2048)
	copy(log, "rRiM")
	log[4], log[8], log[1024] = 2, 4, 0b1011
	paths := arrayDisks(t, mirror(`mirror_log = "m2"`))
	putExtent(t, paths[2], 50, log)
	whole := pieceOf(t, paths, 1, 100, 8)
	v, told := find(t, "vg0/v", paths[1:])
	d, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	for region := range 4 {
		b := make([]byte, 2*extent)
		_, err := d.ReadAt(b, int64(region*2*extent))
		if region == 2 && (err == nil || !strings.Contains(err.Error(), "not in sync there")) || region != 2 && (err != nil || !bytes.Equal(b, whole[region*2*extent:][:2*extent])) {
			t.Errorf("region %d: %v", region, err)
		}
	}
	if text := strings.Join(*told, "; "); !strings.Contains(text, "extents 4 to 5 cannot be read") || !strings.Contains(text, "the first leg of vg0/v is not whole") {
		t.Errorf("told %q", text)
	}
	for _, c := range []struct{ log, told string }{{`mirror_log = "m2"`, "they are not in sync"}, {"", "the mirror's log was in memory, and is lost"}} {
		paths := arrayDisks(t, mirror(c.log))
		putExtent(t, paths[2], 50, log)
		v, told := find(t, "vg0/v", paths)
		d, err := v.Open()
		got := make([]byte, 8*extent)
		if err == nil {
			_, err = d.ReadAt(got, 0)
		}
		if err != nil || !bytes.Equal(got, pieceOf(t, paths, 0, 100, 8)) || !strings.Contains(strings.Join(*told, ""), c.told) {
			t.Errorf("%q: %v, told %q", c.log, err, *told)
		}
		if v, _ := find(t, "vg0/v", paths[1:]); c.log == "" {
			if d, err := v.Open(); err != nil {
				t.Error(err)
			} else if n, err := d.ReadAt(got, 0); n > 0 || err == nil {
				t.Errorf("%d bytes are read without the first leg", n)
			}
		}
	}
}

// TestMayBeOld: where the images that are missing may be newer, that is told: they are enough to run the array.
func TestMayBeOld(t *testing.T) {
	for segments, may := range map[string]bool{segment(0, 16, raid1): true, segment(0, 32, raid5): false} {
		paths := arrayDisks(t, segments)
		for i, path := range paths {
			change := map[int]uint64{}
			if may {
				change = map[int]uint64{48: 1, 52: 0, 56: 0}
			}
			putExtent(t, path, 50, superblock(i, 3, change))
		}
		v, told := find(t, "vg0/v", paths[1:])
		if _, err := v.Open(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(*told, "; ")
		if !strings.Contains(text, "is read from 2 of 3 images of vg0/v") || strings.Contains(text, "nothing shows whether a missing one is newer") != may {
			t.Errorf("%s: told %q", segments, text)
		}
	}
}
