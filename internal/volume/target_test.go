package volume_test

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dmcow/internal/persistent/pdimage"
)

// put puts bytes on a disk of a group, from an extent on.
func put(t *testing.T, path string, start int, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, first+int64(start)*extent); err != nil {
		t.Fatal(err)
	}
}

func linear(pv string, start, count int) string {
	return segment(0, count, `type = "striped" stripes = ["`+pv+`", `+strconv.Itoa(start)+`]`)
}

// targets is a group with a thin pool and a cache: the metadata of both is on the first of three disks, the data on the second,
// the cache's origin and the thin volume's external one on the third. Blocks are of 16 extents.
func targets(t *testing.T) (paths []string) {
	paths = groupDisks(t, 3, [][]string{
		{"tmeta", linear("pv0", 0, 4)},
		{"tdata", linear("pv1", 0, 64)},
		{"pool", segment(0, 64, `type = "thin-pool" metadata = "tmeta" pool = "tdata" transaction_id = 5`)},
		{"outside", linear("pv2", 0, 48)},
		{"thin", segment(0, 64, `type = "thin" thin_pool = "pool" device_id = 3 external_origin = "outside"`)},
		{"nodevice", segment(0, 64, `type = "thin" thin_pool = "pool" device_id = 4`)},
		{"nopool", segment(0, 64, `type = "thin" thin_pool = "tdata" device_id = 3`)},
		{"nothing", segment(0, 64, `type = "thin" thin_pool = "gone" device_id = 3`)},
		{"round", segment(0, 64, `type = "thin" thin_pool = "pool" device_id = 3 external_origin = "round"`)},
		{"twice", segment(0, 4, `type = "thin" thin_pool = "pool" device_id = 3`), segment(4, 4, `type = "zero"`)},
		{"cmeta", linear("pv0", 10, 5)},
		{"cdata", linear("pv1", 100, 32)},
		{"corig", linear("pv2", 100, 64)},
		{"cpool", segment(0, 32, `type = "cache-pool+METADATA_FORMAT" data = "cdata" metadata = "cmeta" cache_mode = "writeback"`)},
		{"cached", segment(0, 64, `type = "cache" cache_pool = "cpool" origin = "corig"`)},
		{"through", segment(0, 64, `type = "cache+CACHE_USES_CACHEVOL" cache_pool = "nowhere" cache_mode = "writethrough" origin = "corig"`)},
		{"beyond", segment(0, 64, `type = "cache+CACHE_USES_CACHEVOL" cache_pool = "cmeta" cache_mode = "writeback" origin = "corig" metadata_start = 0 metadata_len = 16 data_start = 16 data_len = 25`)},
		{"nocache", segment(0, 64, `type = "writecache" writecache = "cmeta" origin = "corig"`)},
		{"nosums", segment(0, 64, `type = "integrity" meta_dev = "cmeta" origin = "corig"`)},
	})
	m := pdimage.New(4)
	m.Thin(pdimage.Thin{BlockSectors: 128, DataBlocks: 4, Root: 1, Transaction: 5})
	m.Tree(1, true, pdimage.Entry{3, 2})
	m.Tree(2, true, []pdimage.Entry{{1, 2 << 24}, {2, 0}}...)
	put(t, paths[0], 0, m.Bytes)
	m = pdimage.New(5)
	m.Cache(pdimage.Cache{Flags: 1, Version: 2, BlockSectors: 128, Blocks: 2, Mappings: 1, Dirty: 2})
	m.Tree(1, true, pdimage.Entry{0, 3})
	m.Tree(2, true, pdimage.Entry{0, 4})
	m.Values(3, 2<<16|1, 0<<16|1)
	m.Values(4, 0b01)
	put(t, paths[0], 10, m.Bytes)
	return paths
}

// TestTargets: volumes of the targets that keep metadata of their own are read through it, and cannot be written.
func TestTargets(t *testing.T) {
	paths := targets(t)
	piece := func(disk, start, count int) []byte { return pieceOf(t, paths, disk, start, count) }
	corig := piece(2, 100, 64)
	for name, want := range map[string][]byte{
		"thin":    slices.Concat(piece(2, 0, 16), piece(1, 32, 16), piece(1, 0, 16), make([]byte, 16*extent)),
		"cached":  slices.Concat(corig[:32*extent], piece(1, 100, 16), corig[48*extent:]),
		"through": corig,
	} {
		v, told := find(t, "vg0/"+name, paths)
		d, err := v.Open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]byte, d.Size())
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || len(*told) > 0 || v.Gone != nil {
			t.Errorf("%s: %v, is what it should be: %t, told %s, gone %v", name, err, bytes.Equal(got, want), *told, v.Gone)
		}
		if err := v.RefuseWriting(); err == nil {
			t.Errorf("%s can be written", name)
		}
		for i, path := range paths {
			if on, _ := find(t, "vg0/"+[]string{"tmeta", "tdata", "corig"}[i], paths); name == "thin" && i < 2 || name != "thin" && i == 2 {
				if o, err := on.Open(); err != nil || !o.Overlaps(d) {
					t.Errorf("%s is not on %s: %v", name, path, err)
				}
			}
		}
	}
}

// TestTargetsRefused: what does not fit is refused, by name, and keeps nothing else from being read.
func TestTargetsRefused(t *testing.T) {
	paths := targets(t)
	for name, want := range map[string]string{
		"nodevice": "the metadata of the thin pool has no such volume",
		"nopool":   `its thin_pool is "tdata", expected a volume of type thin-pool`,
		"nothing":  `its thin_pool is "gone", expected`,
		"round":    "more than 16 deep",
		"twice":    "of type thin, beside others, which cannot be read",
		"beyond":   "data of its cache is 25 sectors from sector 16 on, of 40",
		"nocache":  "no writecache begins there",
		"nosums":   "no metadata of the target integrity begins there",
		"pool":     "of type thin-pool, which cannot be read",
	} {
		v, _ := find(t, "vg0/"+name, paths)
		if _, err := v.Open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// TestTargetsMissing: where the metadata is on a disk that is not there, nothing of the volume is; where some of the
// data is, the rest is read.
func TestTargetsMissing(t *testing.T) {
	paths := targets(t)
	for _, name := range []string{"thin", "cached"} {
		v, _ := find(t, "vg0/"+name, paths[1:])
		if _, err := v.Open(); err != nil || v.Gone == nil || !strings.Contains(v.Gone.Error(), "is missing (it was /dev/was0): extents 0 to 63 cannot be read") {
			t.Errorf("%s: %v, gone %v", name, err, v.Gone)
		}
		v, told := find(t, "vg0/"+name, []string{paths[0], paths[2]})
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		lost := map[string]int{"thin": 1, "cached": 2}[name] // its first block that is on the second disk
		n, err := d.ReadAt(make([]byte, d.Size()), 0)
		if n != lost*16*extent || err == nil || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if len(*told) != 1 || !strings.Contains((*told)[0], "some of it is lost") || v.Gone == nil {
			t.Errorf("%s: told %s, gone %v", name, *told, v.Gone)
		}
	}
	v, _ := find(t, "vg0/through", paths[2:])
	if _, err := v.Open(); err != nil || v.Gone != nil {
		t.Errorf("through: %v, gone %v", err, v.Gone)
	}
}

// TestTargetsTold: what is not as it should be with a pool is told, and it is read.
func TestTargetsTold(t *testing.T) {
	paths := targets(t)
	m := &pdimage.Image{Bytes: pieceOf(t, paths, 0, 0, 4)}
	m.Block(0)[4], m.Block(0)[48] = 1, 6
	m.Seal(0, pdimage.ThinSuperblock)
	put(t, paths[0], 0, m.Bytes)
	v, told := find(t, "vg0/thin", paths)
	if _, err := v.Open(); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(*told, "\n")
	if !strings.Contains(all, "the metadata of its thin pool needs a check") || !strings.Contains(all, "is of transaction 6, and LVM's of 5") {
		t.Error(all)
	}
	m.Block(2)[40]++
	put(t, paths[0], 0, m.Bytes)
	if v, _ = find(t, "vg0/thin", paths); v == nil {
		t.Fatal()
	}
	d, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); err == nil || !strings.Contains(err.Error(), "block 2 of the metadata is damaged") {
		t.Error(err)
	}
}
