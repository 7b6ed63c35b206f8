package lvm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// image is a disk in memory.
type image []byte

func (m image) Size() int64 { return int64(len(m)) }

func (m image) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, offset)
}

// found are the physical volumes on images.
func found(t testing.TB, images ...image) (all []*lvm.Found) {
	t.Helper()
	for i, m := range images {
		f, errs := lvm.Find(m, fmt.Sprint("disk", i))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		all = append(all, f...)
	}
	return all
}

// facts are what LVM said of the volume groups in testdata/lvm, as far as it is tested here.
type facts struct {
	Disks     []string
	Snapshots map[string]struct {
		Origin        string
		ChunkSectors  uint64 `json:"chunk_sectors"`
		Sectors       uint64
		OriginSectors uint64 `json:"origin_sectors"`
	}
}

// real reads a scenario of testdata/lvm.
func real(t testing.TB, name string) (f facts, disks []image) {
	t.Helper()
	dir := "../testdata/lvm"
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Disks {
		disks = append(disks, devicetest.Unzip(t, filepath.Join(dir, d)))
	}
	return f, disks
}

var scenarios = []string{"linear", "striped", "several", "gpt", "wrapped"}

// TestReal: of volume groups that LVM made, snapshots, sizes and chunk sizes are what lvs
// says; and every volume lies on the physical ones that there are.
func TestReal(t *testing.T) {
	for _, name := range scenarios {
		f, disks := real(t, name)
		physical := found(t, disks...)
		if len(physical) != len(disks) {
			t.Errorf("%s: %d physical volumes on %d disks", name, len(physical), len(disks))
		}
		groups := lvm.Read(physical)
		if len(groups.All) != 1 || len(groups.Unread()) > 0 {
			t.Fatalf("%s: %d groups, %v", name, len(groups.All), groups.Unread())
		}
		g := groups.All[0]
		if got := len(g.Snapshots()); got != len(f.Snapshots) {
			t.Errorf("%s: %d snapshots, want %d", name, got, len(f.Snapshots))
		}
		for _, s := range g.Snapshots() {
			want := f.Snapshots[g.Name+"/"+s.COW.Name]
			if g.Name+"/"+s.Origin.Name != want.Origin || s.ChunkSize != want.ChunkSectors || s.Merging ||
				g.Size(s.COW) != int64(want.Sectors)*512 || g.Size(s.Origin) != int64(want.OriginSectors)*512 || s.Size != g.Size(s.Origin) {
				t.Errorf("%s: %s: %+v, want %+v", name, s.COW.Name, s, want)
			}
			for _, v := range []*lvm.Logical{s.COW, s.Origin} {
				parts, err := g.Layout(v)
				if err != nil {
					t.Fatal(err)
				}
				size := int64(0)
				for _, p := range parts {
					size += p.Length
				}
				if size != g.Size(v) {
					t.Errorf("%s: the parts of %s have %d bytes, want %d", name, v.Name, size, g.Size(v))
				}
			}
		}
	}
}

// TestRealShapes: the scenarios are what they are there for.
func TestRealShapes(t *testing.T) {
	_, disks := real(t, "gpt")
	if f := found(t, disks...); f[0].Partition != 1 || f[0].Start != 1<<20 || len(f[0].Metadata) != 2 {
		t.Errorf("gpt: %+v", f[0])
	}
	_, disks = real(t, "wrapped")
	if !lvm.Wraps(found(t, disks...)[0]) {
		t.Error("wrapped: the text does not go on at the area's beginning")
	}
	_, disks = real(t, "striped")
	g := lvm.Read(found(t, disks...)).All[0]
	s := g.Snapshots()[0]
	if len(s.COW.Segments) != 3 || len(s.Origin.Segments[0].Stripes) != 3 {
		t.Errorf("striped: %d segments, %d stripes", len(s.COW.Segments), len(s.Origin.Segments[0].Stripes))
	}
}

// TestRealDamage: with any byte of label, area's header or text changed, the metadata is
// not believed, or is what it was; where there is another copy, that is read.
func TestRealDamage(t *testing.T) {
	for _, name := range []string{"gpt", "wrapped"} {
		_, disks := real(t, name)
		whole := found(t, disks...)
		want := lvm.Read(whole).All[0]
		start, areas := whole[0].Start, whole[0].Metadata
		step := 1
		if testing.Short() {
			step = 37
		}
		first, last := start, start+int64(areas[0].Offset)+5000
		for at := first; at < last; at += int64(step) {
			disks[0][at] ^= 0x10
			f, errs := lvm.Find(disks[0], "disk")
			if len(f) == 0 && len(errs) == 0 && at < start+512 {
				t.Errorf("%s, byte %d: no trace of a label", name, at)
			}
			groups := lvm.Read(f)
			switch {
			case len(f) == 0:
			case len(groups.All) == 0 && len(areas) > 1:
				t.Errorf("%s, byte %d: the other copy is not read", name, at)
			case len(groups.All) == 0 && len(groups.Unread()) != 1:
				t.Errorf("%s, byte %d: nothing is said of the copy that is damaged", name, at)
			case len(groups.All) > 0 && (groups.All[0].Seqno != want.Seqno || groups.All[0].UUID != want.UUID):
				t.Errorf("%s, byte %d: other metadata", name, at)
			}
			disks[0][at] ^= 0x10
		}
	}
}

const uuid = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"

// id is a UUID of its own for each number.
func id(n int) string { return fmt.Sprintf("%06d-0000-0000-0000-0000-0000-000000", n) }

// text is that of a volume group with one physical volume and these logical ones.
func text(name string, seqno int, logical string) string {
	return fmt.Sprintf(`%s {
id = "%s"
seqno = %d
extent_size = 8 # 4 KiB
physical_volumes {
pv0 { id = "%s" device = "/dev/old" pe_start = 2048 pe_count = 1000 }
}
logical_volumes {
%s
}
}
contents = "Text Format Volume Group"
version = 1
`, name, id(1), seqno, uuid, logical)
}

// volume is the text of a logical one.
func volume(n int, name, segments string) string {
	return fmt.Sprintf("%s { id = %q segment_count = %d %s }\n", name, id(n), strings.Count(segments, "start_extent"), segments)
}

const (
	plain    = `segment1 { start_extent = 0 extent_count = 10 type = "striped" stripe_count = 1 stripes = ["pv0", 5] }`
	snapshot = `segment1 { start_extent = 0 extent_count = 10 type = "snapshot" chunk_size = 16 origin = "origin" cow_store = "snap" }`
)

func whole() string {
	return volume(2, "origin", strings.Replace(plain, "5]", "25]", 1)) + volume(3, "snap", plain) + volume(4, "snapshot0", snapshot)
}

// read reads the group in a text.
func read(t testing.TB, text string) (*lvm.Group, error) {
	t.Helper()
	groups := lvm.Read(found(t, pvimage.Usual(uuid, 4<<20, text).Image()))
	if c := groups.Unread(); len(c) > 0 {
		return nil, c[0].Err
	}
	return groups.All[0], nil
}

// TestText: what is well is read, however it is written.
func TestText(t *testing.T) {
	for _, change := range []struct{ old, new string }{
		{"", ""}, {"=", " =\n\t"}, {"\n", " # a comment } \" {\n"}, {`"striped"`, `'striped'`}, {`"striped"`, `"linear"`},
		{"seqno", "unknown { deep { er = [1, 2.5, -3, \"x\\\"y\", ] } } seqno"}, {"seqno", "status = [\"READ\"] seqno"},
		{"stripe_count = 1", "stripe_count = 1 tags = []"}, {"vg0 {", "\"vg0\" {"},
	} {
		written := strings.ReplaceAll(text("vg0", 7, whole()), change.old, change.new)
		if change.old == "" {
			written = text("vg0", 7, whole())
		}
		g, err := read(t, written)
		if err != nil {
			t.Errorf("%q for %q: %v", change.new, change.old, err)
			continue
		}
		s := g.Snapshots()
		if g.Name != "vg0" || g.UUID != id(1) || g.Seqno != 7 || g.ExtentSize != 8 || len(s) != 1 ||
			s[0].COW.Name != "snap" || s[0].Origin.Name != "origin" || s[0].ChunkSize != 16 || s[0].Merging {
			t.Errorf("%q for %q: %+v, %+v", change.new, change.old, g, s)
		}
		parts, err := g.Layout(s[0].COW)
		if err != nil || len(parts) != 1 || parts[0].Length != 40960 || parts[0].Places[0].Start != 2048*512+5*4096 ||
			parts[0].Places[0].On.UUID != uuid {
			t.Errorf("%q for %q: %+v, %v", change.new, change.old, parts, err)
		}
	}
}

// TestBadText: what is not well is an error that says where.
func TestBadText(t *testing.T) {
	good := text("vg0", 7, whole())
	for _, c := range []struct{ old, new, want string }{
		{good, "", "byte 4608: line 1 of the text: expected the section of a volume group"},
		{"seqno = 7", "seqno = x", "line 3 of the text: expected a number"},
		{"seqno = 7", "seqno = }", "line 3 of the text: expected a name, got '}'"},
		{"[\"pv0\", 25]", "[\"pv0\", 10]", "extent 10 of physical volume pv0 belongs to both snap and origin"},
		{"seqno = 7", "seqno = 7x", `line 3 of the text: not a number: "7x"`},
		{"seqno = 7", "seqno = -7", "-7 is out of range"},
		{"seqno = 7", "seqno = 99999999999999999999", "expected a number"},
		{"seqno = 7", "seqno = \"7\"", "expected a number"},
		{"seqno = 7", "seqno = [7]", "a list, expected one value"},
		{"seqno = 7", "seqno { a = 7 }", "a section, expected a value"},
		{"seqno = 7", "seqno 7", "expected a brace or an equals sign behind \"seqno\""},
		{"seqno = 7", "= 7", "expected a name, got '='"},
		{"seqno = 7", "", "volume group vg0: expected id, seqno and extent_size"},
		{"seqno = 7", "seqno = 7 a = [1 2]", "expected a comma or the end of the list"},
		{"version = 1", "version = 1 a = \"b", "a zero byte in a string"},
		{"version = 1", "version = 1 a = \"b\\", "a zero byte in a string"},
		{"extent_size = 8", "extent_size = 0", "expected id, seqno and extent_size"},
		{"extent_size = 8", "extent_size = 18014398509481983", "extents of 18014398509481983 sectors"},
		{id(1), "short", `invalid UUID "short"`},
		{"}\n}\ncontents", "}\ncontents", "the text ends in a section"},
		{"version = 1", "version = 2", "2, expected 1"},
		{"vg0 {", "\"vg\n0\" {", `invalid name of a volume group: "vg\n0"`},
		{"pv0 {", "\"p v\" {", `invalid name of a physical volume: "p v"`},
		{"snap {", "\"\x1b[31m\" {", `invalid name of a logical volume: "\x1b[31m"`},
		{"\"striped\"", "\"str\nped\"", `a segment of type "str\nped"`},
		{"version = 1", "vg1 { }", `a second section, "vg1"`},
		{"physical_volumes", "format = \"lvm1\" physical_volumes", `format "lvm1", expected "lvm2"`},
		{"snap {", "origin {", "logical volume origin is listed twice"},
		{"pv0 {", "pv0 { id = \"" + uuid + "\" pe_start = 1 } pv0 {", "physical volume pv0 is listed twice"},
		{"pe_start = 2048", "", "physical volume pv0: expected id and pe_start"},
		{"extent_count = 10", "extent_count = 0", "a segment of 0 extents begins at extent 0"},
		{"start_extent = 0", "start_extent = 1", "begins at extent 1, expected 0"},
		{"segment_count = 1", "segment_count = 2", "as many segments as segment_count says"},
		{"[\"pv0\", 5]", "[\"pv0\"]", "expected an extent's number behind \"pv0\""},
		{"[\"pv0\", 5]", "[5, \"pv0\"]", "expected pairs of a name and an extent's number"},
		{"cow_store = \"snap\"", "cow_store = \"none\"", `COW store "none" is missing`},
		{"chunk_size = 16", "", "snapshot snapshot0: expected a chunk_size"},
		{"type = \"striped\"", "", `a segment of type ""`},
		{"version = 1", "version = 1 \x00 a = 1", "a zero byte in the text"},
		{"seqno = 7", "seqno = 7 " + strings.Repeat("a {", 70), "sections stand more than 64 deep in each other"},
	} {
		written := strings.Replace(good, c.old, c.new, 1)
		if written == good {
			t.Fatalf("%q is not there", c.old)
		}
		if _, err := read(t, written); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, want %s", c.new, c.old, err, c.want)
		}
	}
}

// TestLayout: what does not lie plainly on physical volumes is refused by name.
func TestLayout(t *testing.T) {
	segment := func(s string) string { return "segment1 { start_extent = 0 extent_count = 10 " + s + " }" }
	for _, c := range []struct{ segment, want string }{
		{segment(`type = "raid1" device_count = 2 raids = ["a", "b"]`), `vg0/v: extents 0 to 9 lie on "a", which does not exist`},
		{segment(`type = "raid1" device_count = 2 raids = ["snap", "origin", "snap"]`), `lie on "snap", which does not exist, or is there twice`},
		{segment(`type = "raid1" device_count = 2 raids = ["v", "origin"]`), `lie on "v", which does not exist`},
		{segment(`type = "raid1" device_count = 3 raids = ["snap", "origin"]`), "lie on 2 volumes, expected 3 images"},
		{segment(`type = "raid1" device_count = 1 raids = ["snap", "origin"]`), ""},
		{segment(`type = "raid0" stripe_count = 2 raid0_lvs = ["snap", "origin"]`), ""},
		{segment(`type = "thin" thin_pool = "p"`), ""},
		{segment(`type = "striped" stripes = ["origin", 0]`), ""},
		{segment(`type = "striped" stripes = ["origin", 1]`), "from 1 on of the volume origin, which has 10"},
		{segment(`type = "mirror" mirrors = ["pv0", 100, "origin", 0]`), ""},
		{segment(`type = "mirror" mirrors = ["pv0", 100, "origin", 2]`), "from 2 on of the volume origin, which has 10"},
		{segment(`type = "striped" stripes = ["nowhere", 0]`), `lie on "nowhere", which does not exist`},
		{segment(`type = "striped" stripes = ["pv0", 991]`), "from 991 on of physical volume pv0, which has 1000"},
		{segment(`type = "striped" stripes = []`), "vg0/v: extents 0 to 9 cannot be 0 stripes"},
		{segment(`type = "striped" stripe_size = 16 stripes = ["pv0", 100, "pv0", 110]`), "cannot be 2 stripes of 16 sectors in turn"},
		{segment(`type = "striped" stripe_size = 8 stripes = ["pv0", 100, "origin", 110]`), "lie on extents from 110 on of the volume origin, which has 10"},
		{segment(`type = "striped" stripes = ["pv0", 100, "pv0", 110]`), "cannot be 2 stripes of 0 sectors in turn"},
		{segment(`type = "striped" stripe_size = 7 stripes = ["pv0", 100, "pv0", 110]`), "cannot be 2 stripes of 7 sectors in turn"},
		{segment(`type = "striped" stripe_size = 8 stripes = ["pv0", 100, "pv0", 110, "pv0", 120]`), "cannot be 3 stripes"},
		{segment(`type = "striped" stripe_size = 8 stripes = ["pv0", 100, "pv0", 995]`), ""},
	} {
		g, err := read(t, text("vg0", 1, whole()+volume(9, "v", c.segment)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Layout(g.Find("v"))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", c.segment, err, c.want)
		}
	}
}

// TestSnapshotOf says what a volume is that is no snapshot.
func TestSnapshotOf(t *testing.T) {
	thin := volume(5, "thin", `segment1 { start_extent = 0 extent_count = 1 type = "thin" thin_pool = "p" origin = "o" }`)
	stripes := volume(7, "stripes", `segment1 { start_extent = 0 extent_count = 2 type = "striped" stripe_size = 8 stripes = ["pv0", 60, "pv0", 70] }`)
	g, err := read(t, text("vg0", 1, whole()+thin+stripes+volume(6, "plain", strings.Replace(plain, "5]", "45]", 1))))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"origin":    "not a snapshot, but the origin of vg0/snap",
		"stripes":   "not a snapshot, but a volume of type striped",
		"thin":      "not a snapshot, but a thin snapshot, which has no COW store",
		"plain":     "not a snapshot, but a volume of type linear",
		"snapshot0": "not a snapshot, but LVM's internal name for vg0/snap",
		"none":      "no none in volume group vg0; its snapshots: snap; their origins: origin",
	} {
		if _, err := g.Snapshot(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	merging := strings.Replace(text("vg0", 1, whole()), "cow_store", "merging_store", 1)
	if g, err = read(t, merging); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Snapshot("snap"); err != nil || !s.Merging {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestGroups: the copy with the highest seqno holds; names that are there twice have to be
// told apart; what is ignored or empty is no copy.
func TestGroups(t *testing.T) {
	two := pvimage.Volume{UUID: uuid, Size: 4 << 20, Label: 3, Areas: []pvimage.Area{
		{Offset: 4096, Size: 65536, Start: 512, Text: text("vg0", 7, whole())},
		{Offset: 2 << 20, Size: 65536, Start: 60000, Text: text("vg0", 8, whole())},
	}}
	groups := lvm.Read(found(t, two.Image()))
	if g, err := groups.Named("vg0"); err != nil || g.Seqno != 8 || len(groups.All) != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	two.Areas[1].Ignored = true
	if g, err := lvm.Read(found(t, two.Image())).Named(id(1)); err != nil || g.Seqno != 7 {
		t.Errorf("%+v, %v", g, err)
	}
	two.Areas[1] = pvimage.Area{Offset: 2 << 20, Size: 65536}
	if groups := lvm.Read(found(t, two.Image())); len(groups.All) != 1 || len(groups.Unread()) > 0 {
		t.Errorf("an area without text: %+v", groups.Unread())
	}
	other := pvimage.Usual(id(50), 4<<20, strings.ReplaceAll(strings.ReplaceAll(text("vg0", 3, ""), id(1), id(51)), uuid, id(50)))
	groups = lvm.Read(found(t, two.Image(), other.Image()))
	if _, err := groups.Named("vg0"); err == nil || err.Error() != "2 volume groups are named vg0; name one by its UUID: "+id(1)+" "+id(51) {
		t.Errorf("%v", err)
	}
	if g, err := groups.Named(id(51)); err != nil || g.Seqno != 3 {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := groups.Named("vg9"); err == nil || err.Error() != "no volume group vg9 on the devices that could be read (found: vg0, vg0)" {
		t.Errorf("%v", err)
	}
	if len(groups.Found(id(50))) != 1 || len(groups.Found(id(52))) != 0 {
		t.Error("physical volumes are not found by their UUIDs")
	}
}

// TestLabelThatIsOdd: a label that is whole, and says what cannot be, is damaged; the next one
// counts.
func TestLabelThatIsOdd(t *testing.T) {
	for _, c := range []struct {
		at    int // in the label
		value byte
		want  string
	}{
		{8, 2, "label is damaged at byte 520: it says sector 2 and lies in sector 1"},
		{31, '2', `label is damaged at byte 536: the type is "LVM2 002", expected "LVM2 001"`},
		{20, 31, "label is damaged at byte 532: the header's offset is 31, expected 32"},
		{21, 2, "the header's offset is 544, expected 32"},
		{40, '-', "label is damaged at byte 544: expected a UUID of 32 letters and digits, and two lists of areas, of which the second has 2 at most"},
	} {
		b := pvimage.Volume{UUID: uuid, Size: 8192, Label: 1}.Image()
		b[512+c.at] = c.value
		pvimage.Seal(b)
		if _, err := lvm.ReadLabel(image(b)); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("byte %d: %v, want %s", c.at, err, c.want)
		}
		other := pvimage.Volume{UUID: id(2), Size: 8192, Label: 2}.Image()
		copy(b[1024:1536], other[1024:1536])
		if l, err := lvm.ReadLabel(image(b)); err != nil || l.UUID != id(2) {
			t.Errorf("byte %d: with another label %+v, %v", c.at, l, err)
		}
	}
}

// TestDamageBehindTheWrap: where a text is wrong behind the end of its area, the byte is that
// at its beginning.
func TestDamageBehindTheWrap(t *testing.T) {
	v := pvimage.Volume{UUID: uuid, Size: 1 << 20, Label: 1, Areas: []pvimage.Area{
		{Offset: 4096, Size: 8192, Start: 8192 - 20, Text: "vg0 {" + strings.Repeat(" ", 30) + "?"},
	}}
	c := lvm.Read(found(t, v.Image())).Unread()
	if want := "metadata area 0 is damaged at byte 4624: line 1 of the text: expected a brace or an equals sign behind \"?\""; len(c) != 1 || c[0].Err.Error() != want {
		t.Errorf("%v, want %s", c, want)
	}
}

// TestNames: VG/LV, and what device-mapper makes of it.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"vg0/snap": "vg0 snap", "my-vg.1/a--b": "my-vg.1 a--b", id(7) + "/x": id(7) + " x", "/dev/vg0": "", "vg0": "", "vg0/snap/x": "",
		"./snap": "", "../snap": "", "-vg/snap": "", "vg 0/snap": "", "vg0/": "", "/snap": "", "vg0/sn@p": "",
	} {
		group, volume, ok := lvm.SplitName(name)
		if got := strings.TrimSpace(group + " " + volume); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
		}
	}
	for name, want := range map[string]string{
		"vg0-snap": "vg0|snap|", "vg0-snap-cow": "vg0|snap|cow", "my--vg-a--snap--b-real": "my-vg|a-snap-b|real", "a----b-c": "a--b|c|",
		"plain": "", "a-b-c-d": "",
	} {
		group, volume, layer, ok := lvm.MappedName(name)
		if got := group + "|" + volume + "|" + layer; ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
		}
		if ok && lvm.MapName(group, volume, layer) != name {
			t.Errorf("%s: made again it is %s", name, lvm.MapName(group, volume, layer))
		}
	}
}

// TestSegment: of types that others know, the values are kept, and the flags behind the type.
func TestSegment(t *testing.T) {
	g, err := read(t, text("vg0", 1, whole()+volume(9, "v", `segment1 { start_extent = 0 extent_count = 10 type = "cache+CACHE_USES_CACHEVOL+X"
		cache_pool = "snap" cache_mode = "writeback" migration_threshold = 7 odd = -1 list = [1] origin = "origin" deep { er = 1 } }`)))
	if err != nil {
		t.Fatal(err)
	}
	s := g.Find("v").Segments[0]
	if s.Type != "cache" || !s.Has("CACHE_USES_CACHEVOL") || !s.Has("X") || s.Has("Y") || s.Text("cache_pool") != "snap" || s.Origin != "origin" ||
		s.Text("cache_mode") != "writeback" || s.Number("migration_threshold") != 7 || s.Number("odd") != 0 || s.Text("none") != "" || s.Number("list") != 0 {
		t.Errorf("%+v", s)
	}
	if on := g.On(g.Find("v")); len(on) != 1 || on[0].Name != "pv0" {
		t.Errorf("on %v", on)
	}
	for change, want := range map[string]int64{
		`"raid5+RESHAPE" device_count = 3 reshape_count = 2`: 6, `"raid6_zr" device_count = 3 reshape_count = 2`: 8, `"raid1" device_count = 3 reshape_count = 2`: 8,
		`"raid10" device_count = 3 reshape_count = 2`: 8, `"raid5" device_count = 3 reshape_count = 2000`: 1, `"raid5" device_count = 3`: 10,
	} {
		g, err := read(t, text("vg0", 1, whole()+volume(9, "v", `segment1 { start_extent = 0 extent_count = 10 raids = ["origin", "snap", "v"] type = `+change+` }`)))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Size(g.Find("v")) / 4096; got != want {
			t.Errorf("%s: %d extents, want %d", change, got, want)
		}
	}
	if on := g.On(g.Find("snapshot0")); len(on) != 0 {
		t.Errorf("the tie is on %v", on)
	}
}
