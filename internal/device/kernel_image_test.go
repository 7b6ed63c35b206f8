package device_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// madeFileSystem is a directory in a new file system on a loop device. The test
// is skipped where the program for that is not installed, or a kernel that is not
// the lab's does not know the file system.
func madeFileSystem(t *testing.T, mkfs []string, options string, loop ...kernellab.LoopOption) (dir, dev, backing string) {
	t.Helper()
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skip("no " + mkfs[0])
	}
	backing = kernellab.File(t, "file system", 640<<11)
	dev = kernellab.Loop(t, backing, loop...)
	kernellab.Run(t, mkfs[0], append(mkfs[1:], dev)...)
	dir = t.TempDir()
	_, kind, _ := strings.Cut(mkfs[0], ".")
	if err := exec.Command("mount", "-t", kind, "-o", options, dev, dir).Run(); err != nil && !kernellab.InLab() {
		t.Skipf("%s cannot be mounted: %v", kind, err)
	} else if err != nil {
		t.Fatalf("%s cannot be mounted: %v", kind, err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	return dir, dev, backing
}

// image makes an image file in a directory, and returns its path.
func image(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	devicetest.WriteFile(t, path, content)
	return path
}

// checkFile wants a file of that content.
func checkFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: other content, or %v", filepath.Base(path), err)
	}
}

// TestKernelPastCache changes an image file on the disk under its file system,
// which reads it from its cache. Ext4 with data=journal reads nothing directly, and
// says so since Linux 6.1; before, it takes the flag all the same.
func TestKernelPastCache(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name, options     string
		mkfs              []string
		direct, pretended bool
	}{
		{"direct", "defaults", []string{"mkfs.ext4", "-q"}, true, false},
		{"dropped", "data=journal", []string{"mkfs.ext4", "-q"}, false, true},
		{"not known", "defaults", []string{"mkfs.minix", "-3"}, false, false}, // minix does not know direct I/O
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, dev, backing := madeFileSystem(t, c.mkfs, c.options)
			content := kernellab.Pattern(0, 64, 7)
			path := image(t, dir, "image", content)
			// What waits in the journal is kept in the cache.
			kernellab.Run(t, "umount", dir)
			kernellab.Run(t, "mount", "-o", c.options, dev, dir)
			d := Open(t, path)
			got := make([]byte, len(content))
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
				t.Fatal("other content", err)
			}
			overwrite(t, backing, content[:8192], 0xee)
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
				t.Fatal("the cache shows what is on the disk: there is nothing to prove here")
			}
			past, err := d.PastCache()
			if err != nil {
				t.Fatal(err)
			}
			defer past.Close()
			copy(content, bytes.Repeat([]byte{0xee}, 8192))
			if want := c.direct || c.pretended && !kernellab.Linux(6, 1); past.Direct() != want {
				t.Errorf("direct is %v", past.Direct())
			}
			// Of two pages the one's end and the other's beginning.
			if _, err := past.ReadAt(got[:4096], 1000); err != nil || !bytes.Equal(got[:4096], content[1000:][:4096]) {
				t.Errorf("what is on the disk is not seen, or %v", err)
			}
			checkMany(t, past, content, rand.New(rand.NewPCG(8, 8)))
		})
	}
}

// checkMany reads all of a device, which holds content, in pieces all at once.
func checkMany(t *testing.T, d *device.Device, content []byte, random *rand.Rand) {
	t.Helper()
	got := anyMemory(len(content), random)
	p, at := shuffled(got, 4096, random)
	if failed, err := d.ReadMany(p, at); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d, %v, same is %v", failed, err, bytes.Equal(got, content))
	}
}

// overwrite fills the sectors of a file that are one of those in old, wherever
// they are.
func overwrite(t *testing.T, path string, old []byte, fill byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wanted := map[string]bool{}
	for sector := range slices.Chunk(old, 512) {
		wanted[string(sector)] = true
	}
	buf, other := make([]byte, 1<<20), bytes.Repeat([]byte{fill}, 512)
	found := 0
	for offset := int64(0); ; offset += int64(len(buf)) {
		n, _ := f.ReadAt(buf, offset)
		if n == 0 {
			break
		}
		for at := 0; at < n; at += 512 {
			if !wanted[string(buf[at:at+512])] {
				continue
			}
			found++
			if _, err := f.WriteAt(other, offset+int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found < len(wanted) {
		t.Fatal("what was written is not on the disk")
	}
}

// TestKernelPastCacheOfBlockDevice: it is read directly anyway, and open on its
// own.
func TestKernelPastCacheOfBlockDevice(t *testing.T) {
	kernellab.Require(t)
	w := openWritable(t, patternLoop(t, 800))
	past, err := w.PastCache()
	if err != nil {
		t.Fatal(err)
	}
	content, got := kernellab.Pattern(0, 800, 1), make([]byte, 800*512)
	if _, err := w.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := past.ReadAt(got, 0); err != nil || !past.Direct() || !bytes.Equal(got, content) {
		t.Errorf("direct is %v, %v", past.Direct(), err)
	}
	if err := past.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.ReadAt(got, 0); err != nil {
		t.Errorf("closed with it: %v", err)
	}
}

// fileSystems are those that images are kept on.
var fileSystems = map[string]struct {
	mkfs   []string
	sector int // of the device under it
	block  int // of direct I/O; zero where that is not known
	own    int // of the file system: what direct I/O takes before Linux 6.1, which tells of no other
}{
	"ext4":                {[]string{"mkfs.ext4", "-q"}, 512, 512, 4096},
	"ext4, small blocks":  {[]string{"mkfs.ext4", "-q", "-b", "1024"}, 512, 512, 1024},
	"ext4, large sectors": {[]string{"mkfs.ext4", "-q"}, 4096, 4096, 4096},
	"xfs":                 {[]string{"mkfs.xfs", "-q"}, 512, 512, 4096},
	"xfs, large sectors":  {[]string{"mkfs.xfs", "-q"}, 4096, 4096, 4096},
	"btrfs":               {[]string{"mkfs.btrfs", "-q"}, 512, 4096, 4096},
	"vfat":                {[]string{"mkfs.vfat"}, 512, 4096, 4096},
	"minix":               {[]string{"mkfs.minix", "-3"}, 512, 0, 0},
}

// TestKernelPastCacheReadsAnything: any piece, to the end of a file that does not
// end with a block, on any file system.
func TestKernelPastCacheReadsAnything(t *testing.T) {
	kernellab.Require(t)
	for name, fs := range fileSystems {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := madeFileSystem(t, fs.mkfs, "defaults", kernellab.BlockSize(fs.sector))
			content := kernellab.Pattern(0, 100, 9)[3:]
			path := image(t, dir, "image", content)
			kernellab.Run(t, "sync")
			past, err := Open(t, path).PastCache()
			if err != nil {
				t.Fatal(err)
			}
			defer past.Close()
			if !kernellab.Linux(6, 1) {
				fs.block = fs.own
			}
			if past.Direct() != (fs.block > 0) || past.Direct() && past.LogicalBlockSize() != int64(fs.block) {
				t.Errorf("direct is %v, in blocks of %d bytes; want %d", past.Direct(), past.LogicalBlockSize(), fs.block)
			}
			section, err := past.Section(5*512, 40001)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(9, 9))
			for range 200 {
				checkRead(t, past, content, random)
				checkRead(t, section, content[5*512:][:40001], random)
			}
			checkMany(t, past, content, random)
		})
	}
}

// TestKernelShare: where the file system can, both files have the same extents
// until one is written.
func TestKernelShare(t *testing.T) {
	kernellab.Require(t)
	const k = 64 << 10 // a block of any file system, or several
	for name, mkfs := range map[string][]string{"btrfs": {"mkfs.btrfs", "-q"}, "xfs": {"mkfs.xfs", "-q"}} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := madeFileSystem(t, mkfs, "defaults")
			old, other := kernellab.Pattern(0, 16*k/512, 1), kernellab.Pattern(0, 16*k/512, 2)
			to, from := image(t, dir, "to", old), image(t, dir, "from", other)
			w, err := openWritable(t, to).Section(2*k, -1)
			if err != nil {
				t.Fatal(err)
			}
			source, err := Open(t, from).Section(k, 8*k)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Share(source, 512, 1024, k); !errors.Is(err, device.ErrNotShared) {
				t.Errorf("half a block: %v", err)
			}
			checkFile(t, to, old)
			if err := w.Share(source, 3*k, k, 2*k); err != nil {
				t.Fatal(err)
			}
			copy(old[3*k:5*k], other[4*k:])
			checkFile(t, to, old)
			kernellab.Run(t, "sync")
			if extents := kernellab.Run(t, "filefrag", "-v", to); !strings.Contains(extents, "shared") {
				t.Errorf("no extent is shared:\n%s", extents)
			}
			block := bytes.Repeat([]byte{0xaa}, k)
			if _, err := w.WriteAt(block, k); err != nil {
				t.Error(err)
			}
			copy(old[3*k:], block)
			checkFile(t, to, old)
			checkFile(t, from, other)
		})
	}
}

// TestKernelNotShared: not on every file system, not between two of them, and not
// with a block device.
func TestKernelNotShared(t *testing.T) {
	kernellab.Require(t)
	dir, dev, _ := madeFileSystem(t, []string{"mkfs.ext4", "-q"}, "defaults")
	content := kernellab.Pattern(0, 800, 3)
	w := openWritable(t, image(t, dir, "image", content))
	loop := openWritable(t, patternLoop(t, 800))
	for name, c := range map[string]struct {
		to   *device.Writable
		from *device.Device
	}{
		"ext4":                 {w, Open(t, image(t, dir, "other", content))},
		"another file system":  {w, Open(t, image(t, t.TempDir(), "other", content))},
		"from a block device":  {w, Open(t, dev)},
		"to a block device":    {loop, Open(t, image(t, dir, "third", content))},
		"between block device": {loop, Open(t, dev)},
	} {
		if err := c.to.Share(c.from, 0, 4096, 4096); !errors.Is(err, device.ErrNotShared) {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkFile(t, w.Path(), content)
}

// TestKernelPunchHole: a stretch of the file takes no room any more, where the
// file system knows that; it reads as zeros on any.
func TestKernelPunchHole(t *testing.T) {
	kernellab.Require(t)
	const k = 64 << 10
	for name, c := range map[string]struct {
		mkfs  []string
		freed int64 // bytes
	}{
		"ext4":  {[]string{"mkfs.ext4", "-q"}, 4 * k},
		"minix": {[]string{"mkfs.minix", "-3"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := madeFileSystem(t, c.mkfs, "defaults")
			content := kernellab.Pattern(0, 16*k/512, 1)
			path := image(t, dir, "image", content)
			w := openWritable(t, path)
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			before := room(t, path)
			if err := w.PunchHole(2*k, 4*k); err != nil {
				t.Fatal(err)
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			clear(content[2*k : 6*k])
			checkFile(t, path, content)
			if freed := before - room(t, path); freed != c.freed {
				t.Errorf("%d bytes were freed, want %d", freed, c.freed)
			}
		})
	}
	loop := patternLoop(t, 800)
	if err := openWritable(t, loop).PunchHole(0, 4096); err == nil {
		t.Error("a hole in a block device")
	}
	if got, err := os.ReadFile(loop); err != nil || !bytes.Equal(got, kernellab.Pattern(0, 800, 0)) {
		t.Errorf("the block device has changed, or %v", err)
	}
}

// room is how much a file takes on the disk, in bytes.
func room(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
