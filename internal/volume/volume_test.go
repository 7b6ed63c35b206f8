package volume_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/volume"
)

// disks unpacks the three disks of the striped volume group in testdata/lvm, each cut to so
// many bytes where that is not zero.
func disks(t *testing.T, cut ...int64) (paths []string) {
	t.Helper()
	for i, size := range cut {
		content := devicetest.Unzip(t, fmt.Sprintf("../../testdata/lvm/striped.%d.gz", i))
		if size > 0 {
			content = content[:size]
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint("disk", i))
		devicetest.WriteFile(t, path, content)
		paths = append(paths, path)
	}
	return paths
}

// find finds a volume on disks; told are the lines that the user is told.
func find(t *testing.T, name string, paths []string) (v *volume.Volume, told *[]string) {
	t.Helper()
	told = &[]string{}
	s, err := volume.Look(volume.Options{Given: paths, Tell: func(about, text string) { *told = append(*told, about+": "+text) }})
	t.Cleanup(s.Close)
	if err != nil {
		t.Fatal(err)
	}
	group, logical, _ := strings.Cut(name, "/")
	g, err := s.Group(group)
	if err != nil {
		t.Fatal(err)
	}
	return s.Volume(name, g, g.Find(logical)), told
}

// TestCutOff: of a volume on a disk that is cut off, what is there is read: of a striped
// segment nothing, of a linear one what is before the end. Nothing is written.
func TestCutOff(t *testing.T) {
	const origin, snapshot = "my-vg.1/the-origin.x", "my-vg.1/a-snap--shot.2"
	for _, c := range []struct {
		name  string
		cut   []int64
		gone  string // what is told of it
		there int64  // bytes from the beginning on that can be read
	}{
		{origin, []int64{0, 0, 0}, "", 36 << 17},
		{origin, []int64{1<<20 + 12<<17, 0, 0}, "", 36 << 17}, // just what it has of that disk
		{origin, []int64{1<<20 + 12<<17 - 512, 0, 0}, "extents 0 to 35", 0},
		{origin, []int64{0, 0, 1 << 20}, "extents 0 to 35", 0},
		{snapshot, []int64{0, 0, 0}, "", 14 << 17},
		// Its first segment lies on the third disk, behind the origin.
		{snapshot, []int64{0, 0, 1<<20 + 16<<17}, "", 14 << 17},
		{snapshot, []int64{0, 0, 1<<20 + 14<<17 + 512}, "extents 2 to 3", 2<<17 + 512},
		{snapshot, []int64{0, 0, 1 << 20}, "extents 0 to 3", 0},
	} {
		v, told := find(t, c.name, disks(t, c.cut...))
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		if (v.Gone == nil) != (c.gone == "") || v.Gone != nil && !strings.Contains(v.Gone.Error(), c.gone+" cannot be read") {
			t.Errorf("%s, cut to %d: %v, want %s", c.name, c.cut, v.Gone, c.gone)
		}
		if all := strings.Join(*told, "\n"); c.gone != "" && !strings.Contains(all, "is cut short: from byte") {
			t.Errorf("%s, cut to %d: told %s", c.name, c.cut, all)
		}
		if n, err := d.ReadAt(make([]byte, d.Size()), 0); int64(n) != c.there || (err == nil) != (c.gone == "") {
			t.Errorf("%s, cut to %d: %d bytes read, %v; want %d", c.name, c.cut, n, err, c.there)
		}
		if err := v.RefuseWriting(); (err == nil) != (c.gone == "") {
			t.Errorf("%s, cut to %d: to write: %v", c.name, c.cut, err)
		}
		w, err := v.OpenWritable()
		if (err == nil) != (c.gone == "") {
			t.Errorf("%s, cut to %d: opened to write: %v", c.name, c.cut, err)
		}
		if err == nil && w.Size() != d.Size() {
			t.Errorf("%s: %d bytes to write, %d to read", c.name, w.Size(), d.Size())
		}
	}
}

// TestVisit: who looks is asked before each device whether to go on.
func TestVisit(t *testing.T) {
	enough := errors.New("enough")
	for n := range 4 {
		visits := 0
		s, err := volume.Look(volume.Options{Given: disks(t, 0, 0, 0), Visit: func() error {
			if visits == n {
				return enough
			}
			visits++
			return nil
		}})
		s.Close()
		if visits != n || n < 3 && !errors.Is(err, enough) || n == 3 && err != nil {
			t.Errorf("%d visits, want %d: %v", visits, n, err)
		}
	}
}

// TestLock: there is no lock to take of a group on image files.
func TestLock(t *testing.T) {
	paths := disks(t, 0, 0, 0)
	s, err := volume.Look(volume.Options{Given: paths})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g, err := s.Group("my-vg.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "locks")
	configure(t, fmt.Sprintf("global { locking_dir = %q }", dir), "")
	if err := s.Lock(g, 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a lock was taken")
	}
}
