package ext_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
)

// TestChanged finds the files that differ between two volumes, as a command does that knows which bytes differ, and one
// of them with its changes in the journal alone.
func TestChanged(t *testing.T) {
	for _, inJournal := range []bool{false, true} {
		t.Run(fmt.Sprint(inJournal), func(t *testing.T) {
			m := makeFS(t, "24M", "-t", "ext4", "-b", "1024")
			before := readFile(t, m.image)
			content, _ := random(t, 20, 50000)
			debugfs(t, m.image, true, "write "+content+" few/new", "ln few/two odd/second", "unlink few/two", "sif odd/second ctime @5",
				"sif deep/0/0/0/file mode 0100600", "mkdir dir", "write "+content+" dir/inner", "rm links/loop", "rm sizes/70000",
				// As the kernel does, and debugfs does not.
				"sif few mtime @6", "sif odd mtime @6", "sif sizes mtime @6", "sif links mtime @6")
			after := readFile(t, m.image)
			h := history{before: before, after: after, size: 1024}
			differ := h.ranges()
			old, young := opened(t, before), opened(t, after)
			if inJournal {
				path := writeFile(t, before)
				debugfs(t, path, true, "jo -c", h.write(t, after, h.changed, ""), "jc")
				volume := readFile(t, path)
				young = opened(t, volume)
				h = history{before: before, after: volume, size: 1024}
				differ = h.ranges()
				for r := range young.Replayed() {
					differ = append(differ, r)
				}
				slices.SortFunc(differ, func(a, b extfs.Range) int { return int(a.Start - b.Start) })
			}
			compareChanges(t, changes(t, old, young, differ))
		})
	}
}

// ranges are the bytes that differ.
func (h *history) ranges() (all extfs.Ranges) {
	for n := range len(h.after) / h.size {
		if bytes.Equal(h.block(h.before, n), h.block(h.after, n)) {
			continue
		}
		h.changed = append(h.changed, n)
		all = append(all, extfs.Range{Start: int64(n * h.size), End: int64((n + 1) * h.size)})
	}
	return all
}

func compareChanges(t *testing.T, got map[string]string) {
	t.Helper()
	want := map[string]string{
		"/": "changed 1024", "/few": "changed 1024", "/few/new": "created 50176", "/sizes": "changed 1024", "/sizes/70000": "deleted 0",
		"/odd": "changed 1024", "/few/two /odd/second": "changed 0", "/deep/0/0/0/file": "changed 0", "/dir": "created 1024", "/dir/inner": "created 50176",
		"/links": "changed 1024", "/links/loop": "deleted 0",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// changes are the inodes of which something differs, by their paths: what became of them, and how many of the bytes that
// differ are theirs.
func changes(t *testing.T, old, young *ext.FS, differ extfs.Ranges) map[string]string {
	t.Helper()
	numbers := map[extfs.Ino]bool{}
	for _, f := range []*ext.FS{old, young} {
		for n, err := range extfs.InodesIn(f, differ) {
			if err != nil {
				t.Error(err)
			}
			numbers[n] = numbers[n] || !bytes.Equal(slot(t, old, n), slot(t, young, n))
		}
	}
	maps.DeleteFunc(numbers, func(_ extfs.Ino, differs bool) bool { return !differs })
	paths := [2]map[extfs.Ino][]string{pathsOf(t, old, numbers), pathsOf(t, young, numbers)}
	all := map[string]string{}
	for n := range numbers {
		_, errA := old.Inode(n)
		b, errB := young.Inode(n)
		word, owned := "changed", int64(0)
		switch {
		case errA != nil && errB != nil:
			continue
		case errA != nil:
			word = "created"
		case errB != nil:
			word = "deleted"
		}
		if errB == nil {
			for e, err := range b.Extents() {
				if err != nil {
					t.Error(err)
				}
				extfs.Parts(differ, e.Range, func(r extfs.Range) bool { owned += r.Len(); return true })
			}
		}
		names := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(paths[0][n]), paths[1][n]...))))
		if n >= 11 || n == 2 {
			all[strings.Join(names, " ")] = fmt.Sprint(word, " ", owned)
		}
	}
	return all
}

func slot(t *testing.T, f *ext.FS, n extfs.Ino) []byte {
	t.Helper()
	r, err := f.Slot(n)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, r.Len())
	if n, err := f.ReadAt(p, r.Start); n < len(p) {
		t.Fatal(err)
	}
	return p
}

// pathsOf are the paths of those of the inodes that are in use.
func pathsOf(t *testing.T, f *ext.FS, numbers map[extfs.Ino]bool) map[extfs.Ino][]string {
	t.Helper()
	wanted := map[extfs.Ino]uint32{}
	var likely []extfs.Ino
	paths := extfs.NewPaths(f)
	all := map[extfs.Ino][]string{}
	for n := range numbers {
		i, err := f.Inode(n)
		switch {
		case err != nil:
		case i.Attr().Type == extfs.TypeDirectory:
			likely = append(likely, n)
			path, err := paths.Path(n)
			if err != nil {
				t.Error(err)
			}
			all[n] = []string{path}
		default:
			wanted[n] = i.Attr().Links
		}
	}
	for l, err := range extfs.Names(f, wanted, slices.Values(likely)) {
		if err != nil {
			t.Error(err)
		}
		path, err := paths.Path(l.Parent)
		if err != nil {
			t.Error(err)
		}
		all[l.Ino] = append(all[l.Ino], strings.TrimSuffix(path, "/")+"/"+l.Name)
	}
	return all
}
