package xfs_test

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

	dmfs "dmcow/fs"
	"dmcow/fs/xfs"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/raw"
)

// TestKernelTrees has the kernel write to file systems, and compares what is read of them with what the kernel reads: of a
// copy of the volume of a frozen file system, as a snapshot is; and after it was unmounted.
func TestKernelTrees(t *testing.T) {
	kernellab.Require(t)
	for _, k := range []struct {
		name    string
		options []string
	}{
		{"default", nil},
		{"v4", []string{"-m", "crc=0"}},
		{"v4-512", []string{"-m", "crc=0", "-b", "size=512", "-i", "attr=1"}},
		{"1k-rmapbt", []string{"-b", "size=1024", "-m", "rmapbt=1"}},
		{"rmapbt-nrext64", []string{"-m", "rmapbt=1", "-i", "nrext64=1"}},
		{"2k-directory-blocks", []string{"-b", "size=2048", "-n", "size=8192", "-i", "size=256", "-m", "crc=0"}},
		{"1k-directory-blocks", []string{"-b", "size=1024", "-n", "size=16384", "-m", "bigtime=0,reflink=0,finobt=0", "-d", "agcount=4"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			devicetest.LongBut(t, k.name, "default")
			v := newKernelFS(t, k.options)
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			v.change(r)
			kernellab.Must(t, syncFS(v.dir))
			v.change(r)
			v.fragment(r)
			v.many(r)
			kernellab.Must(t, syncFS(v.dir))
			crashed := mounted(t, copyOf(t, v.file))
			if info := crashed.Info(); info.Recovery != dmfs.Needed || len(info.Notes) != 1 {
				t.Errorf("%+v", info)
			}
			everything(t, crashed)
			kernellab.Run(t, "fsfreeze", "-f", v.dir)
			copied := copyOf(t, v.file)
			kernellab.Run(t, "fsfreeze", "-u", v.dir)
			f := mounted(t, copied)
			if info := f.Info(); info.Recovery != dmfs.Clean || len(info.Notes) != 1 {
				t.Errorf("%+v", info)
			}
			v.inUse = true
			v.compare(f)
			v.inUse = false
			kernellab.Run(t, "umount", v.dir)
			clean := mounted(t, v.file)
			if info := clean.Info(); info.Recovery != dmfs.Clean || len(info.Notes) > 0 {
				t.Errorf("%+v", info)
			}
			everything(t, clean)
			kernellab.Run(t, "mount", "-t", "xfs", "-o", "ro,norecovery", v.dev, v.dir)
			v.compare(clean)
			kernellab.Run(t, "umount", v.dir)
			compareStat(t, clean, v.file)
			compareOwners(t, clean, v.file)
			compareLayout(t, clean)
		})
	}
}

// kernelFS is a file system that the kernel has mounted.
type kernelFS struct {
	*testing.T
	file, dev, dir string
	files          []string // that were made, and may be gone
	next           int
	read           map[dmfs.Ino]bool // files that have been read since the kernel mounted the file system
	reflink        bool
	inUse          bool // so that what the kernel says of space counts what it has in memory, too
}

func newKernelFS(t *testing.T, options []string) *kernelFS {
	t.Helper()
	v := &kernelFS{T: t, file: kernellab.File(t, "image", 80<<11), dir: t.TempDir()}
	kernellab.Run(t, "env", append(append([]string{"TEST_DIR=1", "TEST_DEV=1", "QA_CHECK_FS=1", "mkfs.xfs", "-q", "-f"}, options...), v.file)...)
	v.dev = kernellab.Loop(t, v.file)
	kernellab.Run(t, "mount", "-t", "xfs", "-o", "noatime", v.dev, v.dir)
	t.Cleanup(func() { _ = unix.Unmount(v.dir, unix.MNT_DETACH) })
	v.reflink = slices.Contains(mounted(t, v.file).Info().Features, "reflink")
	return v
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// copyOf is a copy of an image, without memory for what is zero.
func copyOf(t testing.TB, image string) string {
	t.Helper()
	path := filepath.Join(inMemoryDir(t), "copy")
	from, err := os.Open(image)
	kernellab.Must(t, err)
	defer from.Close()
	to, err := os.Create(path)
	kernellab.Must(t, err)
	defer to.Close()
	size, piece := int64(0), make([]byte, 64<<10)
	for err == nil {
		var n int
		if n, err = io.ReadFull(from, piece); !raw.IsZero(piece[:n]) {
			_, wrong := to.WriteAt(piece[:n], size)
			kernellab.Must(t, wrong)
		}
		size += int64(n)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	kernellab.Must(t, to.Truncate(size))
	return path
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
		switch r.IntN(17) {
		case 0:
			err = os.Symlink(strings.Repeat("t", 1+r.IntN(1022)), name)
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
		case 11:
			err = v.share(old, name)
		default:
			err = os.WriteFile(name, noise(r, r.IntN(1<<r.IntN(17))), 0o644)
		}
		kernellab.Must(v, err)
		v.files = append(v.files, name)
	}
}

// many makes directories of all sizes, a file with many attributes, and one whose smallest is the last thing in its block.
func (v *kernelFS) many(r *rand.Rand) {
	v.Helper()
	for dir, count := range map[string]int{"one": 30, "leaf": 250, "node": 1000} {
		kernellab.Must(v, os.Mkdir(filepath.Join(v.dir, dir), 0o755))
		for n := range count {
			name := filepath.Join(v.dir, dir, fmt.Sprintf("many, in a directory that has an index, %d", n))
			kernellab.Must(v, os.WriteFile(name, noise(r, r.IntN(90)*(n%2)), 0o600))
			if n%3 == 2 {
				kernellab.Must(v, os.Remove(filepath.Join(v.dir, dir, fmt.Sprintf("many, in a directory that has an index, %d", n-1))))
			}
		}
	}
	name := filepath.Join(v.dir, "two attributes")
	kernellab.Must(v, os.WriteFile(name, nil, 0o600))
	kernellab.Must(v, unix.Lsetxattr(name, "user.x", []byte("v"), 0))
	kernellab.Must(v, unix.Lsetxattr(name, "user.large", noise(r, 400), 0))
	name = filepath.Join(v.dir, "attributes")
	kernellab.Must(v, os.WriteFile(name, nil, 0o600))
	for n := range 400 {
		kernellab.Must(v, unix.Lsetxattr(name, fmt.Sprintf("user.attribute-%d", n), noise(r, r.IntN(60)), 0))
		if n%40 == 0 {
			kernellab.Must(v, unix.Lsetxattr(name, fmt.Sprintf("trusted.large-%d", n), noise(r, r.IntN(60000)), 0))
		}
	}
}

// fragment makes a file of which every second block was taken away, so that its extents need a tree.
func (v *kernelFS) fragment(r *rand.Rand) {
	v.Helper()
	f, err := os.Create(filepath.Join(v.dir, "fragments"))
	kernellab.Must(v, err)
	defer f.Close()
	const size = 4 << 20
	_, err = f.Write(noise(r, size))
	kernellab.Must(v, err)
	for at := int64(0); at < size; at += 8192 {
		kernellab.Must(v, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, 4096))
	}
}

// share makes a file that has the blocks of another.
func (v *kernelFS) share(old, name string) error {
	if info, err := os.Lstat(old); err != nil || !v.reflink || !info.Mode().IsRegular() { // a device is never opened
		return gone(err)
	}
	from, err := os.Open(old)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(name)
	if err != nil {
		return err
	}
	defer to.Close()
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
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
		if err := unix.Fallocate(int(f.Fd()), mode, r.Int64N(4<<20), 1+r.Int64N(100000)); err != nil {
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
	err = unix.Lsetxattr(name, space+strings.Repeat("x", 1+r.IntN(20)), noise(r, r.IntN(1<<r.IntN(16))), 0)
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, byte(r.IntN(256)), 1, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	if err == nil && info.Mode().IsRegular() && r.IntN(3) == 0 {
		if err = unix.Lsetxattr(name, "system.posix_acl_access", acl, 0); errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		}
	}
	return errors.Join(err, os.Lchown(name, r.IntN(100000), r.IntN(100000)))
}

// compare compares all that is read with what the kernel reads.
func (v *kernelFS) compare(f *xfs.FS) {
	v.Helper()
	want := map[string]bool{}
	v.read = map[dmfs.Ino]bool{}
	kernellab.Must(v, filepath.WalkDir(v.dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(v.dir, path); rel != "." {
			want[rel] = true
		}
		return err
	}))
	if len(want) < 500 {
		v.Errorf("%d files", len(want))
	}
	for step, err := range dmfs.Walk(f, f.Root()) {
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
