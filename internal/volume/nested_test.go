package volume_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/internal/volume"
)

// guest is a disk of a group vg0 whose volume disk is on it, in two pieces, and in that volume, the disk of another
// group, of the name given, whose volume a is on it.
func guest(t *testing.T, name string) (paths []string, a []byte) {
	t.Helper()
	paths = groupDisks(t, 2, [][]string{
		{"disk", segment(0, 490, `type = "striped" stripes = ["pv0", 10]`), segment(490, 300, `type = "striped" stripes = ["pv1", 20]`)},
		{"empty", segment(0, 1, `type = "zero"`)},
	})
	text := strings.NewReplacer("vg0 {", name+" {", id(1), id(901), id(100), id(900)).
		Replace(groupText(1, [][]string{{"a", segment(0, 400, `type = "striped" stripes = ["pv0", 50]`)}}))
	inner := pvimage.Usual(id(900), first+500*extent, text).Image()
	for i := first; i < len(inner); i++ {
		inner[i] = byte(i>>12 ^ i)
	}
	put(t, paths[0], 10, inner[:490*extent])
	put(t, paths[1], 20, inner[490*extent:])
	return paths, inner[first+50*extent:][:400*extent]
}

// look looks at devices.
func look(t *testing.T, given []string) (*volume.Sight, error) {
	t.Helper()
	s, err := volume.Look(volume.Options{Given: given, Tell: func(about, text string) {}})
	t.Cleanup(s.Close)
	return s, err
}

// TestNested: a physical volume in a logical one is found where that is named, and only there; it is not written.
func TestNested(t *testing.T) {
	paths, want := guest(t, "inner")
	v, told := find(t, "inner/a", append(paths, "vg0/disk"))
	d, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, d.Size())
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || len(*told) > 0 {
		t.Errorf("%v, is what it should be: %t, told %s", err, bytes.Equal(got, want), *told)
	}
	const no = "physical volume vg0/disk is a logical volume, and can only be read"
	if err := v.RefuseWriting(); err == nil || !strings.Contains(err.Error(), no) {
		t.Errorf("to write: %v", err)
	}
	if _, err := v.OpenWritable(); err == nil || !strings.Contains(err.Error(), no) {
		t.Errorf("opened to write: %v", err)
	}
	outer, _ := find(t, "vg0/disk", append(paths, "vg0/disk"))
	if o, err := outer.Open(); err != nil || !o.Overlaps(d) {
		t.Errorf("it is not on vg0/disk: %v", err)
	}
	s, err := look(t, paths)
	if err != nil || len(s.Groups.All) != 1 {
		t.Errorf("without the name: %d groups, %v", len(s.Groups.All), err)
	}
}

// TestNestedRefused: a name that stands for no volume, or for one with nothing in it, is told.
func TestNestedRefused(t *testing.T) {
	paths, _ := guest(t, "inner")
	for name, want := range map[string]string{
		"vg1/disk": "no volume group vg1 on the devices", "vg0/disc": "vg0/disc", "inner/a": "",
	} {
		given := append(paths, name)
		if name == "inner/a" { // which is in sight once the other is
			given = append(paths, "vg0/disk", name)
		}
		s, err := look(t, given)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if want == "" && (len(s.Empty) != 1 || !strings.Contains(s.Empty[0].Error(), "inner/a: no LVM physical volume on it")) {
			t.Errorf("%s: %v", name, s.Empty)
		}
	}
	s, err := look(t, append(paths, "vg0/empty"))
	if err != nil || len(s.Empty) != 1 {
		t.Errorf("%v, %v", err, s.Empty)
	}
	t.Chdir(t.TempDir()) // a file with the name is the file
	if err := os.Mkdir("vg0", 0o700); err != nil {
		t.Fatal(err)
	}
	devicetest.WriteFile(t, "vg0/disk", make([]byte, 4096))
	s, err = look(t, append(paths, "vg0/disk"))
	if err != nil || len(s.Empty) != 1 || len(s.Groups.All) != 1 {
		t.Errorf("%v, %v", err, s.Empty)
	}
}

// TestNestedSameName: where both groups have one name, each is had by its UUID.
func TestNestedSameName(t *testing.T) {
	paths, want := guest(t, "vg0")
	v, _ := find(t, id(901)+"/a", append(paths, "vg0/disk"))
	d, err := v.Open()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, d.Size())
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v", err)
	}
	s, err := look(t, append(paths, "vg0/disk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Group("vg0"); err == nil || !strings.Contains(err.Error(), "2 volume groups are named vg0") {
		t.Error(err)
	}
}
