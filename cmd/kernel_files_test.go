package cmd

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// TestKernelFiles has the kernel keep a snapshot of a file system while that is changed, and compares with what the kernel
// shows of both, mounted: files, get -r of the whole snapshot, and the sums of usage --by-file.
func TestKernelFiles(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name    string
		fsType  string
		options []string
		chunk   uint64 // in sectors
		sectors uint64
		live    bool // the origin is in use: its journal has what was not written back
	}{
		{"ext4", "ext4", []string{"-b", "4096"}, 8, 64 << 11, false},
		{"ext4-live", "ext4", []string{"-b", "4096", "-J", "size=8"}, 8, 64 << 11, true},
		{"ext4-1k", "ext4", []string{"-b", "1024", "-I", "512"}, 32, 48 << 11, true},
		{"ext3", "ext3", []string{"-b", "1024"}, 8, 48 << 11, true},
		{"ext2", "ext2", []string{"-b", "1024", "-I", "128"}, 8, 48 << 11, false},
		{"xfs", "xfs", nil, 8, 304 << 11, false},
		{"xfs-v4-512", "xfs", []string{"-m", "crc=0", "-b", "size=512"}, 16, 304 << 11, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, cow := kernellab.File(t, "origin", c.sectors), kernellab.File(t, "cow", 48<<11)
			kernellab.Run(t, "mkfs."+c.fsType, slices.Concat([]string{"-q"}, c.options, []string{origin})...)
			g := &growth{T: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(devicetest.Seed(t), 0))}
			mount := func(dev, options string) {
				t.Helper()
				kernellab.Run(t, "mount", "-t", c.fsType, "-o", options, dev, g.dir)
			}
			unmount := func() { kernellab.Run(t, "umount", g.dir) }
			t.Cleanup(func() { _ = unix.Unmount(g.dir, unix.MNT_DETACH) })
			loop, store := kernellab.Loop(t, origin), kernellab.Loop(t, cow)
			mount(loop, "noatime")
			g.change(400)
			unmount()
			snap := kernellab.NewSnapshot(t, loop, store, "P", c.chunk)
			later(t)
			mount(snap.Origin.Path, "noatime")
			g.change(120)
			kernellab.Must(t, syncAll(g.dir))
			now := filesIn(t, g.dir)
			if c.live {
				origin, cow = copyOf(t, origin), copyOf(t, cow)
			}
			unmount()
			readOnly := "ro"
			if c.fsType == "xfs" {
				readOnly = "ro,norecovery,nouuid"
			}
			mount(snap.View.Path, readOnly)
			then := filesIn(t, g.dir)
			unmount()
			snap.Down(t)
			kernellab.Detach(t, loop)
			kernellab.Detach(t, store)
			compareFiles(t, cow, origin, then, now)
			copies := kernellab.File(t, "copies", 96<<11) // the lab's own file system keeps no attributes
			kernellab.Run(t, "mkfs.ext4", "-q", "-I", "512", copies)
			kernellab.Run(t, "mount", "-t", "ext4", kernellab.Loop(t, copies), g.dir)
			dest := filepath.Join(g.dir, "dest")
			expect(t, 0, "get", "-r", cow, "--origin", origin, "/", dest)
			compareCopies(t, then, filesIn(t, dest))
			unmount()
			compareSums(t, cow, origin)
		})
	}
}

// later sets the lab's clock on: small inodes count in seconds.
func later(t *testing.T) {
	t.Helper()
	if !kernellab.InLab() {
		return
	}
	var now unix.Timeval
	kernellab.Must(t, unix.Gettimeofday(&now))
	now.Sec += 2
	kernellab.Must(t, unix.Settimeofday(&now))
}

func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	kernellab.Must(t, err)
	to := filepath.Join(t.TempDir(), "copy")
	devicetest.WriteFile(t, to, content)
	return to
}

// growth changes a tree.
type growth struct {
	*testing.T
	dir   string
	rng   *rand.Rand
	names []string // that were made, and may be gone
	n     int
}

func (g *growth) fresh() string {
	g.n++
	dir := filepath.Join(g.dir, fmt.Sprintf("d%d", g.rng.IntN(5)), []string{"", "sub"}[g.rng.IntN(2)])
	kernellab.Must(g, os.MkdirAll(dir, 0o755))
	name := filepath.Join(dir, fmt.Sprintf("%s\n\xff-%d", strings.Repeat("n", g.rng.IntN(40)), g.n))
	g.names = append(g.names, name)
	return name
}

func (g *growth) content(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(g.rng.Uint32())
	}
	return p
}

// unfit are errors of what cannot be done with a file of some kind, or one that is gone.
var unfit = []error{iofs.ErrNotExist, unix.EISDIR, unix.EPERM, unix.ENOTDIR, unix.ELOOP, unix.EINVAL, unix.ENXIO, unix.EXDEV, unix.EBUSY}

func (g *growth) change(steps int) {
	g.Helper()
	for range steps {
		old := g.dir
		if len(g.names) > 0 {
			old = g.names[g.rng.IntN(len(g.names))]
		}
		err := g.step(old)
		if err != nil && !slices.ContainsFunc(unfit, func(e error) bool { return errors.Is(err, e) }) {
			g.Fatal(err)
		}
	}
}

func (g *growth) step(old string) error {
	switch g.rng.IntN(16) {
	case 0:
		return os.Symlink(strings.Repeat("t", 1+g.rng.IntN(150)), g.fresh())
	case 1:
		return unix.Mknod(g.fresh(), unix.S_IFCHR|0o640, int(unix.Mkdev(g.rng.Uint32N(300), g.rng.Uint32N(5000))))
	case 2:
		return os.Mkdir(g.fresh(), 0o700)
	case 3:
		return os.Link(old, g.fresh())
	case 4:
		return os.Rename(old, g.fresh())
	case 5, 6:
		if old == g.dir {
			return nil
		}
		return os.RemoveAll(old)
	case 7:
		f, err := os.Create(g.fresh())
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(g.content(3000), int64(g.rng.IntN(1<<20)))
		return errors.Join(err, f.Truncate(int64(1<<20+g.rng.IntN(1<<20))))
	case 8:
		return os.Lchown(old, g.rng.IntN(100000), g.rng.IntN(100000))
	case 9:
		return os.Chmod(old, os.FileMode(0o400|g.rng.IntN(0o1000)))
	case 10:
		return unix.Lsetxattr(old, fmt.Sprint("user.a", g.rng.IntN(4)), g.content(g.rng.IntN(200)), 0)
	case 11:
		return os.Truncate(old, int64(g.rng.IntN(30000)))
	case 12:
		if info, err := os.Lstat(old); err != nil || !info.Mode().IsRegular() { // a device is never opened
			return err
		}
		f, err := os.OpenFile(old, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(g.content(1+g.rng.IntN(9000)), int64(g.rng.IntN(50000)))
		return err
	}
	return os.WriteFile(g.fresh(), g.content(g.rng.IntN(1<<g.rng.IntN(17))), 0o644)
}

// known is what is known of a file.
type known struct {
	st      unix.Stat_t
	born    string // the time, and the generation, as far as they are known
	content string // digest, target
	holes   string // where it has data
	xattrs  string
	names   []string
}

// filesIn are all files of a tree, by their inodes.
func filesIn(t *testing.T, dir string) map[uint64]*known {
	t.Helper()
	all := map[uint64]*known{}
	err := filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
		below := strings.TrimPrefix(path, dir)
		if err != nil || below == "" {
			return err
		}
		x := &known{}
		kernellab.Must(t, unix.Lstat(path, &x.st))
		if seen := all[x.st.Ino]; seen != nil {
			seen.names = append(seen.names, below)
			return nil
		}
		var more unix.Statx_t
		kernellab.Must(t, unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &more))
		x.born, x.names = fmt.Sprint(more.Btime, generation(path, x.st.Mode)), []string{below}
		x.xattrs = xattrsOf(t, path)
		switch x.st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			kernellab.Must(t, err)
			x.content, x.holes = corpus.Digest(content), dataOf(t, path)
		case unix.S_IFLNK:
			x.content, err = os.Readlink(path)
		}
		all[x.st.Ino] = x
		return err
	})
	kernellab.Must(t, err)
	for _, x := range all {
		slices.Sort(x.names)
	}
	return all
}

// getVersion is FS_IOC_GETVERSION.
const getVersion = 0x80087601

// generation is that of a file or directory, and 0 of others.
func generation(path string, mode uint32) uint32 {
	if kind := mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return 0
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, err := unix.IoctlGetInt(int(f.Fd()), getVersion)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func xattrsOf(t *testing.T, path string) string {
	t.Helper()
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return ""
	}
	var all []string
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		if n, err := unix.Lgetxattr(path, name, value); err == nil && name != "" {
			all = append(all, fmt.Sprintf("%s=%x", name, value[:n]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// dataOf is where a file has data.
func dataOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	kernellab.Must(t, err)
	defer f.Close()
	text := ""
	for at := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err != nil {
			return text
		}
		at, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		kernellab.Must(t, err)
		text += fmt.Sprintf("%d-%d ", data, at)
	}
}
