package ext_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// TestKernelTrees has the kernel write to file systems, and compares what is read of a copy of the volume, made while the
// kernel has it mounted and most of it is only in the journal, with what the kernel reads; and again after it was unmounted.
func TestKernelTrees(t *testing.T) {
	kernellab.Require(t)
	for _, k := range []struct {
		name    string
		options []string
		mount   string
	}{
		{"ext4", []string{"-b", "4096"}, "noatime"},
		{"ext4-1k", []string{"-b", "1024"}, "noatime"},
		{"data-in-journal", []string{"-b", "1024", "-J", "size=16"}, "noatime,data=journal"},
		{"inline", []string{"-O", "inline_data", "-I", "512"}, "noatime"},
		{"ea-inode", []string{"-b", "1024", "-O", "ea_inode"}, "noatime"},
		{"ext3", []string{"-b", "1024", "-O", "^extent,^64bit,^flex_bg,^metadata_csum"}, "noatime"},
		{"checksums-of-transactions", []string{"-b", "1024", "-O", "^metadata_csum"}, "noatime,journal_checksum"},
		{"bigalloc", []string{"-b", "4096", "-O", "bigalloc", "-C", "16384"}, "noatime"},
		{"small-inodes", []string{"-b", "1024", "-I", "128"}, "noatime"},
		{"orphan-file", []string{"-b", "1024", "-O", "orphan_file"}, "noatime"},
	} {
		t.Run(k.name, func(t *testing.T) {
			devicetest.LongBut(t, k.name, "ext4", "ext3")
			if strings.HasPrefix(k.name, "orphan") && !kernellab.Linux(5, 15) {
				t.Skip("the kernel has no such files")
			}
			v := newKernelFS(t, k.options, k.mount)
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			v.change(r)
			kernellab.Must(t, syncFS(v.dir))
			v.change(r)
			kernellab.Must(t, syncFS(v.dir)) // into the journal
			copied := writeFile(t, readFile(t, v.file))
			f := mounted(t, copied)
			if info := f.Info(); info.Recovery != extfs.Replayed || len(info.Notes) > 0 {
				t.Errorf("%+v", info)
			}
			v.compare(f)
			kernellab.Run(t, "umount", v.dir)
			clean := mounted(t, v.file)
			if clean.Info().Recovery != extfs.Clean {
				t.Errorf("%+v", clean.Info())
			}
			everything(t, clean)
			kernellab.Run(t, "mount", "-t", "ext4", "-o", "ro", v.dev, v.dir)
			v.compare(clean)
			kernellab.Run(t, "umount", v.dir)
			tidyOwners(t, v.file)
		})
	}
}

// tidyOwners compares the owners of all blocks with debugfs'.
func tidyOwners(t *testing.T, image string) {
	t.Helper()
	compareOwners(t, mounted(t, image), image)
}

// kernelFS is a file system that the kernel has mounted.
type kernelFS struct {
	*testing.T
	file, dev, dir string
	files          []string // that were made, and may be gone
	next           int
	read           map[extfs.Ino]bool // files that have been read since the kernel mounted the file system
}

func newKernelFS(t *testing.T, options []string, mount string) *kernelFS {
	t.Helper()
	v := &kernelFS{T: t, file: kernellab.File(t, "image", 48<<11), dir: t.TempDir()}
	kernellab.Run(t, "mkfs.ext4", append(append([]string{"-q", "-E", "lazy_itable_init=1"}, options...), v.file)...)
	v.dev = kernellab.Loop(t, v.file)
	kernellab.Run(t, "mount", "-t", "ext4", "-o", mount, v.dev, v.dir)
	t.Cleanup(func() { _ = unix.Unmount(v.dir, unix.MNT_DETACH) })
	return v
}

func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// change makes, overwrites, renames and removes files of all kinds.
func (v *kernelFS) change(r *rand.Rand) {
	v.Helper()
	for range 250 {
		v.next++
		name := filepath.Join(v.dir, fmt.Sprintf("d%d", r.IntN(6)), fmt.Sprintf("%s-%d", strings.Repeat("n", r.IntN(60)), v.next))
		kernellab.Must(v, os.MkdirAll(filepath.Dir(name), 0o755))
		old := name
		if len(v.files) > 0 {
			old = v.files[r.IntN(len(v.files))]
		}
		var err error
		switch r.IntN(16) {
		case 0:
			err = os.Symlink(strings.Repeat("t", 1+r.IntN(150)), name)
		case 1:
			err = unix.Mknod(name, unix.S_IFCHR|0o600, int(unix.Mkdev(r.Uint32N(300), r.Uint32N(5000))))
		case 2:
			err = os.Mkdir(name, 0o700)
		case 3:
			err = gone(os.Link(old, name))
		case 4:
			err = gone(os.Rename(old, name))
		case 5, 6:
			err = gone(os.RemoveAll(old))
		case 7:
			err = v.holes(name, r)
		case 8, 9:
			err = v.attributes(old, r)
		case 10:
			err = gone(os.Truncate(old, int64(r.IntN(30000))))
		default:
			err = os.WriteFile(name, noise(r, r.IntN(1<<r.IntN(17))), 0o644)
		}
		kernellab.Must(v, err)
		v.files = append(v.files, name)
	}
	for n := range 300 { // more than one block of the directory, so that it gets an index
		kernellab.Must(v, os.WriteFile(filepath.Join(v.dir, "d0", fmt.Sprintf("many, in a directory that has an index, %d-%d", v.next, n)), noise(r, n%90), 0o600))
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for k := range b {
		b[k] = byte(r.Uint32())
	}
	return b
}

// gone is nil for a file that is no longer there, or of a kind that does not allow that.
func gone(err error) error {
	for _, e := range []error{fs.ErrNotExist, unix.EINVAL, unix.EISDIR, unix.ENOTDIR, unix.EPERM, unix.ENXIO, unix.ELOOP, unix.EEXIST, unix.ENAMETOOLONG, unix.ENODEV} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// holes makes a file with holes, and with space that was allocated in advance, also behind its end.
func (v *kernelFS) holes(name string, r *rand.Rand) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 1 + r.IntN(30) {
		if _, err := f.WriteAt(noise(r, 1+r.IntN(9000)), r.Int64N(4<<20)); err != nil {
			return err
		}
	}
	for _, mode := range []uint32{unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE} {
		if err := unix.Fallocate(int(f.Fd()), mode, r.Int64N(4<<20), 1+r.Int64N(100000)); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	return nil
}

func (v *kernelFS) attributes(name string, r *rand.Rand) error {
	info, err := os.Lstat(name)
	if err != nil {
		return gone(err)
	}
	space := "trusted."
	if info.Mode().IsRegular() || info.IsDir() {
		space = []string{"user.", "trusted.", "security."}[r.IntN(3)]
	}
	err = unix.Lsetxattr(name, space+strings.Repeat("x", 1+r.IntN(20)), noise(r, r.IntN(700)), 0)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.E2BIG) {
		err = nil // the block of attributes is full
	}
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, byte(r.IntN(256)), 1, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	if err == nil && info.Mode().IsRegular() && r.IntN(3) == 0 {
		if err = unix.Lsetxattr(name, "system.posix_acl_access", acl, 0); errors.Is(err, unix.ENOSPC) {
			err = nil
		}
	}
	return errors.Join(err, os.Lchown(name, r.IntN(100000), r.IntN(100000)))
}

// compare compares all that is read with what the kernel reads.
func (v *kernelFS) compare(f *ext.FS) {
	v.Helper()
	want := map[string]bool{}
	v.read = map[extfs.Ino]bool{}
	kernellab.Must(v, filepath.WalkDir(v.dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(v.dir, path); rel != "." {
			want[rel] = true
		}
		return err
	}))
	if len(want) < 300 {
		v.Errorf("%d files", len(want))
	}
	for step, err := range extfs.Walk(f, f.Root()) {
		if err != nil {
			v.Error(err)
			continue
		}
		if !want[step.Path] {
			v.Errorf("%q is there", step.Path)
			continue
		}
		delete(want, step.Path)
		v.compareInode(f, step)
	}
	for path := range want {
		v.Errorf("%q is not there", path)
	}
}

func (v *kernelFS) compareInode(f *ext.FS, step extfs.Step) {
	v.Helper()
	path := filepath.Join(v.dir, step.Path)
	i, err := f.Inode(step.Ino)
	if err != nil {
		v.Error(step.Path, err)
		return
	}
	var s unix.Stat_t
	kernellab.Must(v, unix.Lstat(path, &s))
	a := i.Attr()
	want := extfs.Attr{
		Ino: extfs.Ino(s.Ino), Type: step.Type, Mode: uint16(s.Mode), UID: s.Uid, GID: s.Gid, Links: uint32(s.Nlink), Size: s.Size, Blocks: uint64(s.Blocks),
		Accessed: stamp(s.Atim), Modified: stamp(s.Mtim), Changed: stamp(s.Ctim),
		Major: unix.Major(s.Rdev), Minor: unix.Minor(s.Rdev),
		Project: a.Project, Created: a.Created, Flags: a.Flags, Generation: a.Generation, Version: a.Version,
	}
	if a.Flags&extfs.FlagInline != 0 && a.Type == extfs.TypeFile {
		want.Blocks -= uint64(a.Size+511) / 512 // which the kernel adds for stat
	}
	if a != want {
		v.Errorf("%s: %+v, expected %+v", step.Path, a, want)
	}
	switch a.Type {
	case extfs.TypeFile:
		if a.Flags&extfs.FlagInline == 0 && !v.read[a.Ino] { // what was read, even of unwritten space, counts as data
			v.compareHoles(path, i)
		}
		v.read[a.Ino] = true
		compareContent(v.T, step.Path, i, readFile(v, path))
	case extfs.TypeSymlink:
		target, err := os.Readlink(path)
		kernellab.Must(v, err)
		if got, err := i.Target(); got != target || err != nil {
			v.Errorf("%s leads to %q, %v, expected %q", step.Path, got, err, target)
		}
	}
	v.compareXattrs(path, i)
}

func stamp(t unix.Timespec) extfs.Time {
	sec, nsec := t.Unix()
	return extfs.Time{Sec: sec, Nsec: uint32(nsec)}
}

// compareHoles compares the parts of a file that are not holes.
func (v *kernelFS) compareHoles(path string, i extfs.Inode) {
	v.Helper()
	var got, want [][2]int64
	for e, err := range i.Data() {
		if err != nil {
			v.Error(err)
		}
		if n := len(got); n > 0 && got[n-1][1] == e.Offset {
			got[n-1][1] += e.Len()
		} else {
			got = append(got, [2]int64{e.Offset, e.Offset + e.Len()})
		}
	}
	f, err := os.Open(path)
	kernellab.Must(v, err)
	defer f.Close()
	for at := int64(0); ; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		kernellab.Must(v, err)
		at, err = f.Seek(start, unix.SEEK_HOLE)
		kernellab.Must(v, err)
		if at > start { // else zeros in memory, beside what was punched out
			want = append(want, [2]int64{start, at})
		}
	}
	if !slices.Equal(got, want) {
		v.Errorf("%s has data in %v, expected %v", path, got, want)
	}
}

func (v *kernelFS) compareXattrs(path string, i extfs.Inode) {
	v.Helper()
	got := xattrs(v, i)
	list := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, list)
	kernellab.Must(v, err)
	names := strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")
	if n == 0 {
		names = nil
	}
	for _, name := range names {
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		kernellab.Must(v, err)
		if got[name] != string(value[:n]) {
			v.Errorf("%s: %s is %x, expected %x", path, name, got[name], value[:n])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		v.Errorf("%s has %q", path, got)
	}
}

// TestKernelFastCommit: what the kernel wrote as a fast commit is not read, and that is said.
func TestKernelFastCommit(t *testing.T) {
	kernellab.Require(t)
	if !kernellab.Linux(5, 13) {
		t.Skip("the kernel has none that are written so")
	}
	v := newKernelFS(t, []string{"-b", "4096", "-O", "fast_commit"}, "noatime,commit=600") // no other commit comes between
	kernellab.Must(t, os.WriteFile(filepath.Join(v.dir, "old"), []byte("old"), 0o600))
	kernellab.Must(t, syncFS(v.dir))
	before := mounted(t, writeFile(t, readFile(t, v.file)))
	if info := before.Info(); info.Recovery != extfs.Replayed || len(info.Notes) > 0 {
		t.Errorf("%+v", info)
	}
	f, err := os.Create(filepath.Join(v.dir, "new"))
	kernellab.Must(t, err)
	_, err = io.WriteString(f, "new")
	kernellab.Must(t, errors.Join(err, f.Sync(), f.Close()))
	after := mounted(t, writeFile(t, readFile(t, v.file)))
	info := after.Info()
	if info.Recovery != extfs.Partly || len(info.Notes) != 1 || !strings.Contains(info.Notes[0], "fast commits") {
		t.Errorf("%+v", info)
	}
	if _, err := extfs.Resolve(after, "/old", false); err != nil {
		t.Error(err)
	}
}
