package xfs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"

	"golang.org/x/sys/unix"

	dmfs "dmcow/fs"
	"dmcow/fs/xfs"
	"dmcow/internal/kernellab"
)

func (v *kernelFS) compareInode(f *xfs.FS, step dmfs.Step) {
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
	want := dmfs.Attr{
		Ino: dmfs.Ino(s.Ino), Type: step.Type, Mode: uint16(s.Mode), UID: s.Uid, GID: s.Gid, Links: uint32(s.Nlink), Size: s.Size, Blocks: uint64(s.Blocks),
		Accessed: dmfs.Time{Sec: int64(s.Atim.Sec), Nsec: uint32(s.Atim.Nsec)}, Modified: dmfs.Time{Sec: int64(s.Mtim.Sec), Nsec: uint32(s.Mtim.Nsec)},
		Changed: dmfs.Time{Sec: int64(s.Ctim.Sec), Nsec: uint32(s.Ctim.Nsec)},
		Major:   unix.Major(s.Rdev), Minor: unix.Minor(s.Rdev),
		Project: a.Project, Created: a.Created, Flags: a.Flags, Generation: a.Generation, Version: a.Version,
	}
	if step.Type == dmfs.TypeUnknown { // which directories do not have
		want.Type = a.Type
	}
	if v.inUse {
		want.Blocks = a.Blocks
	}
	if a != want {
		v.Errorf("%s: %+v, expected %+v", step.Path, a, want)
	}
	switch a.Type {
	case dmfs.TypeFile:
		if !v.inUse && !v.read[a.Ino] { // what was read, even of unwritten space, counts as data
			v.compareHoles(path, i)
		}
		v.read[a.Ino] = true
		compareContent(v.T, step.Path, i, readFile(v, path))
	case dmfs.TypeSymlink:
		target, err := os.Readlink(path)
		kernellab.Must(v, err)
		if got, err := i.Target(); got != target || err != nil {
			v.Errorf("%s leads to %q, %v, expected %q", step.Path, got, err, target)
		}
	}
	v.compareXattrs(path, i)
}

// compareHoles compares the parts of a file that are not holes.
func (v *kernelFS) compareHoles(path string, i dmfs.Inode) {
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

// xattrs are all attributes.
func xattrs(t testing.TB, i dmfs.Inode) map[string]string {
	t.Helper()
	all := map[string]string{}
	for x, err := range i.Xattrs() {
		if err != nil {
			t.Error(err)
		}
		if _, ok := all[x.Name]; ok {
			t.Errorf("%s is there twice", x.Name)
		}
		all[x.Name] = string(x.Value)
	}
	return all
}

func (v *kernelFS) compareXattrs(path string, i dmfs.Inode) {
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
		if strings.HasPrefix(name, "trusted.SGI_ACL_") { // an access control list, which has another name, too
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		kernellab.Must(v, err)
		if got[name] != string(value[:n]) {
			v.Errorf("%s: %s is %.40x, expected %.40x", path, name, got[name], value[:n])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		v.Errorf("%s has %d attributes more", path, len(got))
	}
}

// TestKernelOrphans: what was removed while it is open is an orphan of the frozen file system, and can be read.
func TestKernelOrphans(t *testing.T) {
	kernellab.Require(t)
	for _, crc := range []string{"crc=0", "crc=1"} {
		t.Run(crc, func(t *testing.T) {
			devicetest.LongBut(t, crc, "crc=1")
			v := newKernelFS(t, []string{"-m", crc})
			content := []byte("removed, and open")
			want := map[dmfs.Ino]bool{}
			for n := range 150 { // more than there are lists
				name := filepath.Join(v.dir, fmt.Sprint(n))
				kernellab.Must(t, os.WriteFile(name, content, 0o600))
				f, err := os.Open(name)
				kernellab.Must(t, err)
				defer f.Close()
				if n%3 > 0 {
					var s unix.Stat_t
					kernellab.Must(t, unix.Fstat(int(f.Fd()), &s))
					want[dmfs.Ino(s.Ino)] = true
					kernellab.Must(t, os.Remove(name))
				}
			}
			kernellab.Run(t, "fsfreeze", "-f", v.dir)
			f := mounted(t, copyOf(t, v.file))
			kernellab.Run(t, "fsfreeze", "-u", v.dir)
			for n, err := range f.Orphans() {
				if err != nil || !want[n] {
					t.Errorf("inode %d, %v", n, err)
					continue
				}
				delete(want, n)
				i, err := f.Inode(n)
				kernellab.Must(t, err)
				compareContent(t, "orphan", i, content)
			}
			if len(want) > 0 {
				t.Errorf("these were not found: %v", want)
			}
		})
	}
}

// TestKernelOtherDevices has a log, and then content, that is not on the volume.
func TestKernelOtherDevices(t *testing.T) {
	kernellab.Require(t)
	file, other := kernellab.File(t, "image", 60<<11), kernellab.Loop(t, kernellab.File(t, "other", 40<<11))
	dev, dir := kernellab.Loop(t, file), t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	kernellab.Run(t, "env", "TEST_DIR=1", "TEST_DEV=1", "QA_CHECK_FS=1", "mkfs.xfs", "-q", "-f", "-l", "logdev="+other, dev)
	kernellab.Run(t, "mount", "-t", "xfs", "-o", "logdev="+other, dev, dir)
	kernellab.Must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600))
	kernellab.Run(t, "umount", dir)
	f := mounted(t, file)
	if info := f.Info(); info.Recovery != dmfs.Needed || len(info.Notes) != 1 || !strings.Contains(info.Notes[0], "device of its own") {
		t.Errorf("%+v", info)
	}
	i, err := dmfs.Resolve(f, "/file", false)
	kernellab.Must(t, err)
	compareContent(t, "file", i, []byte("content"))
	everything(t, f)
}

// TestKernelSparse has free space in small pieces, so that the kernel makes less than 64 inodes at once.
func TestKernelSparse(t *testing.T) {
	kernellab.Require(t)
	v := newKernelFS(t, []string{"-d", "size=20m,agcount=1", "-m", "reflink=0", "-i", "size=512,sparse=1"})
	v.fill("old", 16<<10)
	for n := 0; ; n += 2 {
		if err := os.Remove(filepath.Join(v.dir, fmt.Sprintf("old-%d", n))); err != nil {
			break
		}
	}
	kernellab.Must(t, syncFS(v.dir))
	made := v.fill("new", 0)
	kernellab.Run(t, "umount", v.dir)
	f := mounted(t, v.file)
	if f.Info().Inodes%64 == 0 {
		t.Errorf("%d inodes, of %d: none are sparse", made, f.Info().Inodes)
	}
	kernellab.Run(t, "mount", "-t", "xfs", "-o", "ro,norecovery", v.dev, v.dir)
	v.compare(f)
	kernellab.Run(t, "umount", v.dir)
	compareStat(t, f, v.file)
	compareOwners(t, f, v.file)
	compareLayout(t, f)
}

// fill makes files until there is no space.
func (v *kernelFS) fill(name string, size int) (made int) {
	v.Helper()
	for ; made < 3500; made++ {
		err := os.WriteFile(filepath.Join(v.dir, fmt.Sprintf("%s-%d", name, made)), make([]byte, size), 0o600)
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		kernellab.Must(v, err)
	}
	return made
}
