package xfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"testing"

	"dmcow/internal/device/devicetest"

	"dmcow/fs"
	"dmcow/fs/xfs"
)

// kinds are file systems with and without each feature.
var kinds = []struct {
	name    string
	size    string
	options []string
}{
	{"default", "64m", nil},
	{"v4", "40m", []string{"-m", "crc=0"}},
	{"v4-512", "40m", []string{"-m", "crc=0", "-b", "size=512"}},
	{"v4-1k", "40m", []string{"-m", "crc=0", "-b", "size=1024"}},
	{"v4-ftype", "40m", []string{"-m", "crc=0", "-n", "ftype=1"}},
	{"v4-large-inodes", "40m", []string{"-m", "crc=0", "-i", "size=1024,attr=1,projid32bit=0", "-l", "version=1"}},
	{"v4-64k", "600m", []string{"-m", "crc=0", "-b", "size=65536"}},
	{"1k", "40m", []string{"-b", "size=1024"}},
	{"2k", "40m", []string{"-b", "size=2048", "-i", "size=1024"}},
	{"64k", "800m", []string{"-b", "size=65536"}},
	{"16k-inodes-2048", "100m", []string{"-b", "size=16384", "-i", "size=2048"}},
	{"large-directory-blocks", "60m", []string{"-n", "size=65536"}},
	{"v4-large-directory-blocks", "60m", []string{"-m", "crc=0", "-b", "size=512", "-n", "size=16384"}},
	{"rmapbt", "60m", []string{"-m", "rmapbt=1"}},
	{"rmapbt-1k", "60m", []string{"-m", "rmapbt=1", "-b", "size=1024"}},
	{"no-reflink", "60m", []string{"-m", "reflink=0"}},
	{"no-finobt", "60m", []string{"-m", "finobt=0"}},
	{"no-sparse", "60m", []string{"-i", "sparse=0"}},
	{"nrext64", "60m", []string{"-i", "nrext64=1"}},
	{"no-bigtime", "60m", []string{"-m", "bigtime=0,inobtcount=0"}},
	{"sectors-of-4k", "60m", []string{"-s", "size=4096"}},
	{"sectors-of-4k-64k", "800m", []string{"-s", "size=4096", "-b", "size=65536", "-m", "rmapbt=1"}},
	{"many-groups", "100m", []string{"-d", "agcount=6"}},
	{"stripes", "64m", []string{"-d", "su=64k,sw=4", "-l", "su=64k"}},
	{"case", "60m", []string{"-n", "version=ci"}},
}

// TestTrees makes a file system of each kind from a tree, and compares what is read with the tree, and with what xfs_db
// says.
func TestTrees(t *testing.T) {
	testTrees(t, func(n int) bool { return n%3 == 0 })
}

// TestLongTrees does so with the other kinds.
func TestLongTrees(t *testing.T) {
	devicetest.Long(t)
	testTrees(t, func(n int) bool { return n%3 > 0 })
}

func testTrees(t *testing.T, some func(n int) bool) {
	for n, k := range kinds {
		if !some(n) {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			image := makeFS(t, k.size, k.options...)
			f := mounted(t, image)
			if info := f.Info(); info.Recovery != fs.Clean || len(info.Notes) > 0 {
				t.Errorf("%+v", info)
			}
			compareTree(t, f, trees.all)
			compareStat(t, f, image)
			compareOwners(t, f, image)
			compareLayout(t, f)
		})
	}
}

// compareTree compares all that Walk finds with a tree.
func compareTree(t *testing.T, f *xfs.FS, tree map[string]node) {
	t.Helper()
	found := map[string]bool{}
	paths := fs.NewPaths(f)
	for step, err := range fs.Walk(f, f.Root()) {
		if err != nil {
			t.Error(err)
			continue
		}
		n, ok := tree[step.Path]
		if !ok || found[step.Path] {
			t.Errorf("%q is not in the tree, or twice", step.Path)
			continue
		}
		found[step.Path] = true
		compareFile(t, f, step, n)
		if parent, err := paths.Path(step.Dir); err != nil || path.Join(parent, step.Name) != "/"+step.Path {
			t.Errorf("%q: the path of its directory is %q, %v", step.Path, parent, err)
		}
	}
	if len(found) != len(tree) {
		t.Errorf("%d of %d were found", len(found), len(tree))
	}
}

var typesOf = map[byte]fs.Type{
	'-': fs.TypeFile, 'd': fs.TypeDirectory, 'l': fs.TypeSymlink, 'c': fs.TypeCharDevice, 'b': fs.TypeBlockDevice, 'p': fs.TypeFIFO,
}

func compareFile(t *testing.T, f *xfs.FS, step fs.Step, n node) {
	t.Helper()
	i, err := f.Inode(step.Ino)
	if err != nil {
		t.Errorf("%s: %v", step.Path, err)
		return
	}
	a := i.Attr()
	mode, _ := strconv.ParseUint(n.mode[3:], 8, 16)
	if uint64(a.Mode&0o7777) != mode || int(a.UID) != n.uid || int(a.GID) != n.gid || a.Type != typesOf[n.mode[0]] || a.Type != step.Type {
		t.Errorf("%s: %+v, %+v, expected %+v", step.Path, a, step, n)
	}
	switch n.mode[0] {
	case '-':
		compareContent(t, step.Path, i, n.content)
	case 'l':
		if got, err := i.Target(); got != string(n.content) || err != nil {
			t.Errorf("%s leads to %q, %v, expected %q", step.Path, got, err, n.content)
		}
	case 'c', 'b':
		if got := fmt.Sprintf("%d %d", a.Major, a.Minor); got != string(n.content) {
			t.Errorf("%s is device %s, expected %s", step.Path, got, n.content)
		}
	}
}

// compareContent compares the content as a whole, from some place on, and without its holes.
func compareContent(t *testing.T, name string, i fs.Inode, want []byte) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(i, 0, 1<<40))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v, expected %d, or others", name, len(got), err, len(want))
	}
	at := len(want) * 2 / 3
	part := make([]byte, 5000)
	if n, err := i.ReadAt(part, int64(at)); !bytes.Equal(part[:n], want[at:min(len(want), at+5000)]) || n < len(part) && !errors.Is(err, io.EOF) {
		t.Errorf("%s from %d on: %d bytes, %v", name, at, n, err)
	}
	full := make([]byte, len(want))
	last := int64(0)
	for e, err := range i.Data() {
		if err != nil || e.Offset < last || e.Len() <= 0 || e.Offset+e.Len() > int64(len(want)) {
			t.Errorf("%s: %+v, %v", name, e, err)
			return
		}
		last = e.Offset + e.Len()
		copy(full[e.Offset:last], want[e.Offset:last])
	}
	if !bytes.Equal(full, want) {
		t.Errorf("%s: a hole has content", name)
	}
}
