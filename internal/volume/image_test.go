package volume_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/volume"
)

// splitDisk is a disk of a group with the volume a, in pieces of so many bytes with names from a number of three digits on.
func splitDisk(t *testing.T, size, from int) (whole string, pieces []string) {
	t.Helper()
	whole = groupDisks(t, 1, [][]string{{"a", segment(0, 400, `type = "striped" stripes = ["pv0", 10]`)}})[0]
	content, dir := readFile(t, whole), t.TempDir()
	for n := from; len(content) > 0; n++ {
		pieces = append(pieces, filepath.Join(dir, fmt.Sprintf("disk.%03d", n)))
		devicetest.WriteFile(t, pieces[n-from], content[:min(size, len(content))])
		content = content[min(size, len(content)):]
	}
	return whole, pieces
}

// TestSplit: an image in pieces is read as one, whichever of them are given beside the first, and not written.
func TestSplit(t *testing.T) {
	for _, c := range []struct{ size, from int }{{1 << 20, 1}, {1<<20 + 512, 0}, {30001, 1}, {700 << 10, 1}} {
		whole, pieces := splitDisk(t, c.size, c.from)
		want := pieceOf(t, []string{whole}, 0, 10, 400)
		for _, given := range [][]string{pieces[:1], pieces, {pieces[1], pieces[0]}, {filepath.Dir(pieces[0]) + "/*"}} {
			v, told := find(t, "vg0/a", given)
			d, err := v.Open()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, d.Size())
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || len(*told) > 0 || v.Gone != nil {
				t.Errorf("pieces of %d bytes: %v, is what it should be: %t, told %s", c.size, err, bytes.Equal(got, want), *told)
			}
			const no = "and can only be read"
			if err := v.RefuseWriting(); err == nil || !strings.Contains(err.Error(), no) {
				t.Errorf("to write: %v", err)
			}
			if _, err := v.OpenWritable(); err == nil || !strings.Contains(err.Error(), no) {
				t.Errorf("opened to write: %v", err)
			}
			again, err := filepath.Glob(filepath.Dir(pieces[0]) + "/*")
			if err != nil || len(again) != len(pieces) {
				t.Errorf("files %s", again)
			}
		}
	}
}

// TestSplitRefused: an image of which a piece is missing, or is not what it was, is not read.
func TestSplitRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(pieces []string) error
		want   string // nothing where it is read
	}{
		{"whole", func([]string) error { return nil }, ""},
		{"a gap", func(p []string) error { return os.Remove(p[1]) }, "piece disk.002 is missing: disk.003 is there"},
		{"a piece is cut off", func(p []string) error { return os.Truncate(p[1], 1000) }, "disk.002 has 1000: it is cut off"},
		{"the first is cut off", func(p []string) error { return os.Truncate(p[0], 1<<20-1) }, "disk.002 has 1048576"},
		{"the last is too large", func(p []string) error { return os.Truncate(p[len(p)-1], 1<<21) }, "has 2097152"},
		{"a directory", func(p []string) error {
			return os.Mkdir(filepath.Join(filepath.Dir(p[0]), fmt.Sprintf("disk.%03d", len(p)+1)), 0o700)
		}, "is not a file"},
		{"another number of digits", func(p []string) error { return os.Mkdir(filepath.Join(filepath.Dir(p[0]), "disk.0009"), 0o700) }, ""},
		{"another name", func(p []string) error { return os.Mkdir(filepath.Join(filepath.Dir(p[0]), "disks.009"), 0o700) }, ""},
	} {
		_, pieces := splitDisk(t, 1<<20, 1)
		if err := c.change(pieces); err != nil {
			t.Fatal(err)
		}
		s, err := volume.Look(volume.Options{Given: pieces[:1], Tell: func(about, text string) {}})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || err == nil && len(s.Groups.All) != 1 {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		s.Close()
	}
}

// TestNotSplit: a file alone is taken as it is, whatever its name.
func TestNotSplit(t *testing.T) {
	for _, name := range []string{"disk.001", "disk.1", "disk.002", "001", "disk.00x"} {
		whole, _ := splitDisk(t, 1<<20, 1)
		path := filepath.Join(t.TempDir(), name)
		devicetest.WriteFile(t, path, readFile(t, whole))
		if name == "disk.1" { // too short a number for a piece's
			devicetest.WriteFile(t, filepath.Join(filepath.Dir(path), "disk.2"), make([]byte, 512))
		}
		v, _ := find(t, "vg0/a", []string{path})
		if _, err := v.Open(); err != nil || v.RefuseWriting() != nil {
			t.Errorf("%s: %v, %v", name, err, v.RefuseWriting())
		}
	}
}
