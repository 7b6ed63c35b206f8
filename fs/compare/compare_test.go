package compare_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/compare"
	"dmcow/fs/ext"
)

// edited is an image with a few files, and the same after some commands of debugfs.
func edited(t *testing.T, options string, commands ...string) (before, after []byte) {
	t.Helper()
	need(t)
	base, ok := bases[options]
	if !ok {
		base = newBase(t, options)
		bases[options] = base
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, base, 0o600); err != nil {
		t.Fatal(err)
	}
	debugfs(t, image, commands...)
	return slices.Clone(base), read(t, image)
}

// bases are the images that were made, by the options of mke2fs.
var bases = map[string][]byte{}

func newBase(t *testing.T, options string) []byte {
	t.Helper()
	dir := t.TempDir()
	image, content := filepath.Join(dir, "image"), filepath.Join(dir, "content")
	if err := os.WriteFile(content, []byte(strings.Repeat("content ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mke2fs", slices.Concat([]string{"-q", "-F", "-t", "ext4", "-b", "1024"}, strings.Fields(options), []string{image, "8M"})...)
	debugfs(t, image, "mkdir /dir", "mkdir /other", "write "+content+" /dir/a", "write "+content+" /dir/b", "write "+content+" /other/c", "symlink /dir/s target")
	return read(t, image)
}

func told(r *compare.Result) (all []string) {
	for _, f := range r.Files {
		all = append(all, strings.TrimSpace(fmt.Sprint(f.Kind, " ", strings.Join(f.Paths[0], "|"), " > ", strings.Join(f.Paths[1], "|"), " ", strings.Join(f.Differs.Words(), ","))))
	}
	return all
}

// TestKinds: what becomes of files.
func TestKinds(t *testing.T) {
	rename := []string{"ln /dir/a /other/x", "unlink /dir/a", "sif /other/x ctime @1900000000", "sif /dir mtime @1900000000", "sif /other mtime @1900000000"}
	for _, c := range []struct {
		name, options string
		commands      []string
		want          []string
	}{
		{"nothing", "", nil, nil},
		{"generation", "", []string{"sif /dir/s generation 5"}, []string{"deleted /dir/s >", "created  > /dir/s"}},
		{"renamed", "", rename, []string{"renamed /dir/a > /other/x"}},
		{"renamed and changed", "", append(rename, "sif /other/x size 5"), []string{"changed /dir/a > /other/x"}},
		{"renamed, with other owner", "", append(rename, "sif /other/x uid 5"), []string{"renamed /dir/a > /other/x owner"}},
		{"linked", "", []string{"ln /dir/a /other/x", "sif /dir/a links_count 2", "sif /dir/a ctime @1900000000", "sif /other mtime @1900000000"}, []string{"linked /dir/a > /dir/a|/other/x"}},
		{"mode of a directory", "", []string{"sif /dir mode 040700"}, []string{"attributes /dir > /dir mode"}},
		{"accessed", "", []string{"sif /dir/a atime @1900000000"}, nil},
		{"only the time of change", "", []string{"sif /dir/a ctime @1900000000"}, []string{"attributes /dir/a > /dir/a"}},
		{"an attribute", "", []string{"ea_set /dir/a user.x y"}, []string{"attributes /dir/a > /dir/a xattrs"}},
		{"unlinked, and open", "", []string{"unlink /dir/a", "sif <14> links_count 0", "sif /dir mtime @1900000000"}, []string{"deleted /dir/a >"}},
		{"no trace in the directory", "", []string{"rm /dir/a"}, []string{"deleted /dir/a >"}},
		{"inline", "-O inline_data -I 256", []string{"sif /dir/s mtime @1900000000"}, []string{"attributes /dir/s > /dir/s modified"}},
		{"device", "", []string{"cd /dir", "mknod dev b 8 1"}, []string{"created  > /dir/dev"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := edited(t, c.options, c.commands...)
			var accessed uint64
			if c.name == "accessed" {
				accessed = 1
			}
			for _, all := range []bool{false, true} {
				r, _ := pair(t, a, b, 1024, compare.Options{All: all, Trouble: func(_ compare.Side, err error) error {
					if c.name != "generation" { // whose checksum no longer fits
						t.Error(err)
					}
					return nil
				}})
				if got := told(r); !slices.Equal(got, c.want) {
					t.Errorf("%q, expected %q", got, c.want)
				}
				if r.Accessed != accessed {
					t.Errorf("%d were read", r.Accessed)
				}
			}
		})
	}
	a, b := edited(t, "", "sif /dir/a atime @1900000000")
	if r, _ := pair(t, a, b, 1024, compare.Options{Accessed: true}); !slices.Equal(told(r), []string{"accessed /dir/a > /dir/a"}) {
		t.Errorf("%q", told(r))
	}
}

// TestResized: inodes that moved are compared all the same, and what only one side has is changed.
func TestResized(t *testing.T) {
	a, b := edited(t, "-I 128 -O ^flex_bg", "sif /other/c mode 0100640")
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, b, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "tune2fs", "-f", "-I", "256", image)
	run(t, "resize2fs", image, "24M")
	r, sides := pair(t, a, read(t, image), 4096, compare.Options{})
	if x, y := sides[0].Info(), sides[1].Info(); x.Size == y.Size {
		t.Fatal("it was not resized")
	}
	if got := told(r); !slices.Equal(got, []string{"attributes /other/c > /other/c mode"}) {
		t.Errorf("%q", got)
	}
	if r, _ := pair(t, read(t, image), a, 4096, compare.Options{}); !slices.Equal(told(r), []string{"attributes /other/c > /other/c mode"}) {
		t.Errorf("%q", told(r))
	}
}

// TestDamage: damage is told, costs what is damaged, and can end the comparison.
func TestDamage(t *testing.T) {
	a, b := edited(t, "", "sif /dir/a size 5", "sif /dir/b size 5", "sif /other/c size 5")
	slot, err := open(t, b).Slot(15) // of /dir/b
	if err != nil {
		t.Fatal(err)
	}
	b[slot.Start] ^= 0xff
	var troubles []error
	note := func(_ compare.Side, err error) error { troubles = append(troubles, err); return nil }
	r, _ := pair(t, a, b, 1024, compare.Options{Trouble: note})
	var damage *fs.DamageError
	if got := told(r); !slices.Equal(got, []string{"changed /dir/a > /dir/a", "changed /other/c > /other/c"}) || len(troubles) != 1 || !errors.As(troubles[0], &damage) {
		t.Errorf("%q, %v", got, troubles)
	}
	enough := errors.New("enough")
	o := compare.Options{Sides: [2]fs.FileSystem{open(t, a), open(t, b)}, Changed: changed(a, b, 1024), Trouble: func(compare.Side, error) error { return enough }}
	if _, err := compare.Compare(o); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestLittleIsRead: what is read follows what changed, not the size of the file system.
func TestLittleIsRead(t *testing.T) {
	need(t)
	dir := t.TempDir()
	image, tree := filepath.Join(dir, "image"), filepath.Join(dir, "tree")
	for n := range 40 {
		sub := filepath.Join(tree, fmt.Sprintf("d%02d", n))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		for k := range 100 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(k)), make([]byte, 9000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-N", "5000", "-d", tree, image, "64M")
	a := read(t, image)
	debugfs(t, image, "rm /d07/50", "sif /d07 mtime @1900000000", "sif /d30/3 mode 0100644")
	b := read(t, image)
	volumes := [2]*volume{inMemory(a), inMemory(b)}
	var sides [2]fs.FileSystem
	for s, v := range volumes {
		f, err := ext.Open(v, ext.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sides[s] = f
	}
	r, err := compare.Compare(compare.Options{Sides: sides, Changed: changed(a, b, 1024), Trouble: func(_ compare.Side, err error) error { return err }})
	if err != nil || !slices.Equal(told(r), []string{"deleted /d07/50 >", "attributes /d30/3 > /d30/3 mode"}) {
		t.Errorf("%q, %v", told(r), err)
	}
	for s, v := range volumes {
		if v.read > 1<<20 { // all directories have 200 KiB, all inodes 1.2 MiB
			t.Errorf("%d bytes were read on side %d", v.read, s)
		}
	}
}
