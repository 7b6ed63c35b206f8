package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// Of the groups that are made here: extents of 4 KiB, the first of which begins at the first MiB of each disk.
const (
	extent = 4096
	first  = 1 << 20
)

func id(n int) string { return fmt.Sprintf("%06d-0000-0000-0000-0000-0000-000000", n) }

// groupText is the text of a group on so many physical volumes of 500 extents, with logical ones, each of which is
// a name, its segments, and its status if that is not the usual one.
func groupText(physical int, logical [][]string) string { return textOf(physical, 500, logical) }

func bigText(physical int, logical [][]string) string { return textOf(physical, 80000, logical) }

func textOf(physical, extents int, logical [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vg0 { id = %q seqno = 1 extent_size = 8 physical_volumes {\n", id(1))
	for i := range physical {
		fmt.Fprintf(&b, "pv%d { id = %q device = \"/dev/was%[1]d\" pe_start = 2048 pe_count = %[3]d }\n", i, id(100+i), extents)
	}
	b.WriteString("} logical_volumes {\n")
	for i, l := range logical {
		status := `status = ["READ", "WRITE"]`
		if last := len(l) - 1; strings.HasPrefix(l[last], "status") {
			status, l = l[last], l[:last]
		}
		fmt.Fprintf(&b, "%s { id = %q %s segment_count = %d\n", l[0], id(200+i), status, len(l)-1)
		for n, segment := range l[1:] {
			fmt.Fprintf(&b, "segment%d { %s }\n", n+1, segment)
		}
		b.WriteString("}\n")
	}
	b.WriteString("} }\nversion = 1\n")
	return b.String()
}

// groupDisks makes the disks of such a group. Each sector begins with the number of the disk and its own.
func groupDisks(t *testing.T, physical int, logical [][]string) (paths []string) {
	t.Helper()
	for i := range physical {
		b := pvimage.Usual(id(100+i), first+500*extent, groupText(physical, logical)).Image()
		for at := first; at < len(b); at += lvm.SectorSize {
			binary.LittleEndian.PutUint64(b[at:], uint64(i)<<32|uint64(at-first))
		}
		paths = append(paths, filepath.Join(t.TempDir(), fmt.Sprint("disk", i)))
		devicetest.WriteFile(t, paths[i], b)
	}
	return paths
}

// pieceOf is a stretch of a disk of such a group, in extents.
func pieceOf(t *testing.T, paths []string, disk, start, count int) []byte {
	t.Helper()
	return readFile(t, paths[disk])[first+start*extent:][:count*extent]
}

func segment(start, count int, rest string) string {
	return fmt.Sprintf("start_extent = %d extent_count = %d %s", start, count, rest)
}

// TestTree: a volume that is made of others is read and written through them.
func TestTree(t *testing.T) {
	logical := [][]string{
		{"a", segment(0, 3, `type = "striped" stripes = ["pv0", 10]`), segment(3, 5, `type = "striped" stripes = ["pv1", 20]`)},
		{"s", segment(0, 6, `type = "striped" stripe_size = 8 stripes = ["pv0", 30, "pv1", 40]`)},
		{"on", segment(0, 4, `type = "striped" stripes = ["a", 2]`), segment(4, 5, `type = "striped" stripes = ["s", 1]`), segment(9, 1, `type = "zero"`)},
		{"both", segment(0, 10, `type = "striped" stripe_size = 8 stripes = ["a", 1, "pv1", 60]`)},
		{"apart", segment(0, 8, `type = "striped" stripe_size = 16 stripes = ["a", 1, "pv1", 70]`)},
		{"bad", segment(0, 2, `type = "error"`), segment(2, 2, `type = "striped" stripes = ["pv0", 100]`)},
	}
	paths := groupDisks(t, 2, logical)
	piece := func(disk, start, count int) []byte { return pieceOf(t, paths, disk, start, count) }
	a := slices.Concat(piece(0, 10, 3), piece(1, 20, 5))
	var s, both, apart []byte
	for i := range 3 {
		s = append(s, slices.Concat(piece(0, 30+i, 1), piece(1, 40+i, 1))...)
	}
	for i := range 5 {
		both = append(both, slices.Concat(a[(1+i)*extent:][:extent], piece(1, 60+i, 1))...)
	}
	for i := range 2 {
		apart = append(apart, slices.Concat(a[(1+2*i)*extent:][:2*extent], piece(1, 70+2*i, 2))...)
	}
	for name, want := range map[string][]byte{
		"a": a, "s": s, "on": slices.Concat(a[2*extent:][:4*extent], s[extent:], make([]byte, extent)), "both": both, "apart": apart,
	} {
		v, told := find(t, "vg0/"+name, paths)
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || len(*told) > 0 || v.Gone != nil {
			t.Errorf("%s: %v, is what it should be: %v, told %s, gone %v", name, err, bytes.Equal(got, want), *told, v.Gone)
		}
		for at := range int64(30) {
			b := make([]byte, 5000)
			n, _ := d.ReadAt(b, at*1111)
			if at*1111 < d.Size() && !bytes.Equal(b[:n], want[at*1111:][:n]) {
				t.Errorf("%s: other bytes from %d on", name, at*1111)
			}
		}
		if err := v.RefuseWriting(); (err == nil) != (name != "on") {
			t.Errorf("%s: to write: %v", name, err)
		}
		t.Run(name, func(t *testing.T) { checkWritten(t, name, paths, want) })
	}
}

// checkWritten wants a volume to be written through what it is made of, unless some of that cannot be.
func checkWritten(t *testing.T, name string, paths []string, was []byte) {
	t.Helper()
	v, _ := find(t, "vg0/"+name, paths)
	w, err := v.OpenWritable()
	if name == "on" {
		if err == nil || !strings.Contains(err.Error(), "type zero, which only the kernel can write") {
			t.Errorf("opened to write: %v", err)
		}
		return
	}
	if err != nil || len(v.Marks()) > 0 {
		t.Fatal(err, v.Marks())
	}
	turned := bytes.Clone(was)
	slices.Reverse(turned)
	for _, content := range [][]byte{turned, was} {
		if _, err := w.WriteAt(content, 0); err != nil || w.Sync() != nil {
			t.Fatal(err)
		}
		again, _ := find(t, "vg0/"+name, paths)
		d, err := again.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(was))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%v, what was written is read: %v", err, bytes.Equal(got, content))
		}
	}
}

// TestTreeErrors: of a segment of type error, all else is read, and it is said.
func TestTreeErrors(t *testing.T) {
	paths := groupDisks(t, 1, [][]string{
		{"bad", segment(0, 2, `type = "error"`), segment(2, 2, `type = "striped" stripes = ["pv0", 100]`)},
		{"on", segment(0, 3, `type = "striped" stripes = ["bad", 1]`)},
	})
	for name, lacks := range map[string]int64{"bad": 2, "on": 1} {
		v, told := find(t, "vg0/"+name, paths)
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2*extent)
		if _, err := d.ReadAt(b, lacks*extent); err != nil || !bytes.Equal(b, pieceOf(t, paths, 0, 100, 2)) {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := d.ReadAt(b, 0); n != 0 || err == nil || !strings.Contains(err.Error(), "of vg0/bad are of type error") {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if v.Gone == nil || len(*told) != 1 || !strings.Contains((*told)[0], fmt.Sprintf("extents 0 to %d cannot be read", lacks-1)) {
			t.Errorf("%s: %v, %s", name, v.Gone, *told)
		}
	}
}

// TestTreeRefused: what is not known is refused by name, and what leads back to itself ends.
func TestTreeRefused(t *testing.T) {
	paths := groupDisks(t, 1, [][]string{
		{"future", segment(0, 1, `type = "vdo+MORE" vdo_pool = "pool"`)},
		{"mixed", segment(0, 1, `type = "striped" stripes = ["pv0", 0]`), segment(1, 1, `type = "striped" stripes = ["future", 0]`)},
		{"loop", segment(0, 2, `type = "striped" stripes = ["loop2", 0]`)},
		{"loop2", segment(0, 1, `type = "striped" stripes = ["loop", 0]`), segment(1, 1, `type = "striped" stripes = ["loop", 1]`)},
		{"fine", segment(0, 1, `type = "striped" stripes = ["pv0", 1]`)},
	})
	for name, want := range map[string]string{
		"future": "extents 0 to 0 of vg0/future are a segment of type vdo, which cannot be read",
		"mixed":  "extents 0 to 0 of vg0/future are a segment of type vdo, which cannot be read",
		"loop":   "vg0/loop is made of volumes that are made of others, more than 16 deep",
		"fine":   "",
	} {
		v, _ := find(t, "vg0/"+name, paths)
		if _, err := v.Open(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if want == "" {
			continue
		}
		if err := v.RefuseWriting(); err == nil {
			t.Errorf("%s is to be written", name)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTreeManyCopies: mirrors of mirrors of the same images, which LVM never makes, end in bounded time and memory.
func TestTreeManyCopies(t *testing.T) {
	const width = 40
	var logical [][]string
	for level := range 8 {
		for i := range width {
			name := fmt.Sprintf("l%d_%d", level, i)
			if level == 0 {
				logical = append(logical, []string{name, segment(0, 1, fmt.Sprintf(`type = "striped" stripes = ["pv0", %d]`, i))})
				continue
			}
			var names []string
			for j := range width {
				names = append(names, fmt.Sprintf("\"m%d\", \"l%d_%d\"", j, level-1, j))
			}
			logical = append(logical, []string{name, segment(0, 1, fmt.Sprintf(`type = "raid1" device_count = %d raids = [%s]`, width, strings.Join(names, ", ")))})
		}
	}
	for i := range width {
		logical = append(logical, []string{fmt.Sprint("m", i), segment(0, 2, fmt.Sprintf(`type = "striped" stripes = ["pv0", %d]`, 100+2*i))})
	}
	paths := groupDisks(t, 1, logical)
	for name, deep := range map[string]bool{"vg0/l1_0": false, "vg0/l7_0": true} {
		v, _ := find(t, name, paths)
		if _, err := v.Open(); deep && (err == nil || !strings.Contains(err.Error(), "more than 1048576 parts")) || !deep && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, _ := find(t, "vg0/l7_0", paths)
	if err := v.RefuseWriting(); err == nil {
		t.Error("is to be written")
	}
}
