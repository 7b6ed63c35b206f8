package ext_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
)

// kinds are file systems with and without each feature.
var kinds = []struct {
	name    string
	size    string
	options []string
}{
	{"ext2-1k", "32M", []string{"-t", "ext2", "-b", "1024"}},
	{"ext2-4k", "64M", []string{"-t", "ext2", "-b", "4096"}},
	{"ext2-revision-0", "32M", []string{"-t", "ext2", "-r", "0", "-b", "1024"}},
	{"ext2-every-group", "64M", []string{"-t", "ext2", "-b", "1024", "-O", "none"}},
	{"ext3", "64M", []string{"-t", "ext3", "-b", "1024"}},
	{"ext4", "64M", []string{"-t", "ext4"}},
	{"ext4-1k", "64M", []string{"-t", "ext4", "-b", "1024"}},
	{"ext4-2k", "64M", []string{"-t", "ext4", "-b", "2048"}},
	{"ext4-64k", "600M", []string{"-t", "ext4", "-b", "65536"}},
	{"no-64bit", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^64bit"}},
	{"no-csum", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg"}},
	{"no-csum-64bit-wide", "64M", []string{"-t", "ext4", "-O", "^metadata_csum,uninit_bg,64bit"}},
	{"no-csum-at-all", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg"}},
	{"csum-seed", "64M", []string{"-t", "ext4", "-O", "metadata_csum_seed"}},
	{"no-extents", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^extent,^64bit"}},
	{"meta-bg", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"}},
	{"meta-bg-wide", "300M", []string{"-t", "ext4", "-b", "1024", "-N", "4096", "-O", "meta_bg,^resize_inode,^flex_bg"}},
	{"sparse-super2", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"}},
	{"no-flex", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^flex_bg"}},
	{"bigalloc", "64M", []string{"-t", "ext4", "-O", "bigalloc", "-C", "16384"}},
	{"bigalloc-1k", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "8192"}},
	{"inline", "64M", []string{"-t", "ext4", "-O", "inline_data", "-I", "256"}},
	{"inline-1k-inodes", "64M", []string{"-t", "ext4", "-O", "inline_data", "-I", "1024"}},
	{"small-inodes", "64M", []string{"-t", "ext4", "-I", "128"}},
	{"casefold", "64M", []string{"-t", "ext4", "-E", "encoding=utf8", "-O", "casefold"}},
	{"encrypt", "64M", []string{"-t", "ext4", "-O", "encrypt,verity,stable_inodes"}},
	{"large-dir-orphan-file", "64M", []string{"-t", "ext4", "-O", "large_dir,orphan_file"}},
	{"ea-inode", "64M", []string{"-t", "ext4", "-O", "ea_inode"}},
	{"quota-project", "64M", []string{"-t", "ext4", "-O", "quota,project"}},
	{"no-filetype", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^filetype"}},
	{"mmp", "64M", []string{"-t", "ext4", "-O", "mmp"}},
	{"no-journal", "64M", []string{"-t", "ext4", "-b", "1024", "-O", "^has_journal"}},
	{"fast-commit", "64M", []string{"-t", "ext4", "-O", "fast_commit"}},
}

// TestTrees makes a file system of each kind from a tree, and compares what is read with the tree.
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
			m := makeFS(t, k.size, k.options...)
			compareTree(t, mounted(t, m.image), m.dir)
			tidy(t, m.image)
			f := mounted(t, m.image)
			compareTree(t, f, m.dir)
			compareStat(t, f, m.image)
			compareOwners(t, f, m.image)
			compareLayout(t, f)
		})
	}
}

// compareTree compares all that Walk finds with a directory.
func compareTree(t *testing.T, f *ext.FS, dir string) {
	t.Helper()
	want := map[string]os.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && name != "." {
			want[name], err = os.Lstat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	paths := extfs.NewPaths(f)
	for step, err := range extfs.Walk(f, f.Root()) {
		if err != nil {
			t.Error(err)
			continue
		}
		if step.Path == "lost+found" {
			continue
		}
		info, ok := want[step.Path]
		if !ok {
			t.Errorf("%q is not in the tree, or twice", step.Path)
			continue
		}
		delete(want, step.Path)
		compareFile(t, f, step, info, filepath.Join(dir, step.Path))
		if parent, err := paths.Path(step.Dir); err != nil || filepath.Join(parent, step.Name) != "/"+step.Path {
			t.Errorf("%q: the path of its directory is %q, %v", step.Path, parent, err)
		}
	}
	for name := range want {
		t.Errorf("%q was not found", name)
	}
}

func compareFile(t *testing.T, f *ext.FS, step extfs.Step, info os.FileInfo, path string) {
	t.Helper()
	i, err := f.Inode(step.Ino)
	if err != nil {
		t.Errorf("%s: %v", step.Path, err)
		return
	}
	a, sys := i.Attr(), info.Sys().(*syscall.Stat_t)
	if uint32(a.Mode) != sys.Mode || a.UID != sys.Uid || a.GID != sys.Gid || a.Links != uint32(sys.Nlink) {
		t.Errorf("%s: %+v, expected %+v", step.Path, a, sys)
	}
	if a.Type != step.Type {
		t.Errorf("%s: the entry has type %d, the inode %d", step.Path, step.Type, a.Type)
	}
	if !info.IsDir() && a.Size != info.Size() || a.Modified.Sec != info.ModTime().Unix() {
		t.Errorf("%s: size %d, time %v, expected %+v", step.Path, a.Size, a.Modified, sys)
	}
	switch {
	case info.Mode().IsRegular():
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		compareContent(t, step.Path, i, content)
	case info.Mode()&os.ModeSymlink != 0:
		want, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := i.Target(); got != want || err != nil {
			t.Errorf("%s leads to %q, %v, expected %q", step.Path, got, err, want)
		}
	}
}

// compareContent compares the content as a whole, from some place on, and without its holes.
func compareContent(t *testing.T, name string, i extfs.Inode, want []byte) {
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
