package device_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/kernellab"
)

func openWritable(t *testing.T, path string) *device.Writable {
	t.Helper()
	w, err := device.OpenWritable(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestKernelDurableWriteIsAFlushAndOneWrite: below a block device a durable
// write is a flush, which comes behind all that was written before, and then one
// write with FUA, whatever the memory that it comes from.
func TestKernelDurableWriteIsAFlushAndOneWrite(t *testing.T) {
	kernellab.Require(t)
	log := kernellab.NewWriteLog(t, kernellab.Loop(t, kernellab.File(t, "cow", 4096)), 32<<10)
	w := openWritable(t, log.Path)
	if !w.Direct() {
		t.Fatal("not opened for direct I/O")
	}
	var want []string
	for i, size := range []int{512, 4096, 128 << 10, 512 << 10, 1 << 20} {
		for _, aligned := range []int{0, 1} {
			if _, err := w.WriteAt(make([]byte, 512), 0); err != nil {
				t.Fatal(err)
			}
			p := alignedBuffer(size + 1)[aligned:][:size]
			p[0] = byte(i)
			if err := w.WriteDurable(p, 4096); err != nil {
				t.Fatal(err)
			}
			want = append(want, "0+1", "FLUSH", fmt.Sprintf("FUA 8+%d", size/512))
		}
	}
	w.Close()
	if got := inShort(log.End(t)); !slices.Equal(got, want) {
		t.Errorf("%v,\nwant %v", got, want)
	}
}

// inShort tells what was written: "FUA 8+16" for 16 sectors from 8 on. A device
// may be given a large write in pieces, which are joined. A flush behind a write
// with FUA is left out: the kernel adds one of its own (blkdev_write_iter).
func inShort(log []kernellab.LogEntry) (all []string) {
	var last kernellab.LogEntry
	for _, e := range log {
		switch {
		case last.FUA && e.Flush && e.Sectors == 0:
			last = kernellab.LogEntry{}
			continue
		case last.FUA && e.FUA && last.Sector+last.Sectors == e.Sector:
			e.Sector, e.Sectors = last.Sector, last.Sectors+e.Sectors
			all = all[:len(all)-1]
		}
		var words []string
		if e.Flush {
			words = append(words, "FLUSH")
		}
		if e.FUA {
			words = append(words, "FUA")
		}
		if e.Sectors > 0 {
			words = append(words, fmt.Sprintf("%d+%d", e.Sector, e.Sectors))
		}
		all, last = append(all, strings.Join(words, " ")), e
	}
	return all
}

// wantBusy wants a device not to be had, for these reasons.
func wantBusy(t *testing.T, path string, by ...string) {
	t.Helper()
	var busy *inuse.BusyError
	w, err := device.OpenWritable(path)
	if err == nil {
		w.Close()
	}
	if !errors.As(err, &busy) || !slices.Equal(busy.By, by) {
		t.Errorf("%s: %v, want it used by %q", path, err, by)
	}
}

// wantFree wants a device to be had.
func wantFree(t *testing.T, path string) {
	t.Helper()
	w, err := device.OpenWritable(path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	w.Close()
}

// heldBy is what a device-mapper device is called that holds another one.
func heldBy(t *testing.T, d *kernellab.Device) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(d.Path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s (dm-%d)", d.Name, unix.Minor(st.Rdev))
}

// TestKernelUsersAreNamed: a device that is in use is not opened for writing, and
// who uses it is named, also where the kernel would let it be opened.
func TestKernelUsersAreNamed(t *testing.T) {
	kernellab.Require(t)
	s, origin, cow := activeSnapshot(t)
	snapshot, target := heldBy(t, s.View), heldBy(t, s.Origin)
	wantBusy(t, cow, snapshot)
	both := []string{snapshot, target}
	slices.Sort(both)
	wantBusy(t, origin, both...)
	s.Down(t)
	wantFree(t, cow)

	t.Run("another program", func(t *testing.T) {
		f, err := os.OpenFile(cow, os.O_RDWR|unix.O_EXCL, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		wantBusy(t, cow)
	})
	t.Run("the image file of a loop device", func(t *testing.T) {
		file := kernellab.File(t, "image", 100)
		loop := kernellab.Loop(t, file)
		wantBusy(t, file, filepath.Base(loop))
		kernellab.Detach(t, loop)
		wantFree(t, file)
		// Under another name, which is gone.
		link := file + ".link"
		if err := os.Link(file, link); err != nil {
			t.Fatal(err)
		}
		loop = kernellab.Loop(t, link)
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		wantBusy(t, file, filepath.Base(loop))
		kernellab.Detach(t, loop)
		wantFree(t, file)
	})
	t.Run("a loop device over a block device", func(t *testing.T) {
		loop := kernellab.Loop(t, cow)
		wantBusy(t, cow, filepath.Base(loop))
		kernellab.Detach(t, loop)
		wantFree(t, cow)
	})
	t.Run("a file system", func(t *testing.T) {
		dev := kernellab.Loop(t, kernellab.File(t, "ext4", 16<<10))
		kernellab.Run(t, "mkfs.ext4", "-q", dev)
		dir := filepath.Join(t.TempDir(), "mount point")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		kernellab.Run(t, "mount", "-t", "ext4", dev, dir)
		defer func() { _ = exec.Command("umount", dir).Run() }()
		wantBusy(t, dev, "a file system mounted on "+dir)
		kernellab.Run(t, "umount", dir)
		wantFree(t, dev)
	})
	t.Run("swap", func(t *testing.T) {
		dev := kernellab.Loop(t, kernellab.File(t, "swap", 4096))
		kernellab.Run(t, "mkswap", dev)
		if err := exec.Command("swapon", dev).Run(); err != nil {
			t.Skipf("swapon: %v", err)
		}
		defer func() { _ = exec.Command("swapoff", dev).Run() }()
		wantBusy(t, dev, "swap")
		kernellab.Run(t, "swapoff", dev)
		wantFree(t, dev)
	})
}

// TestKernelKeepsOff: while a device is open for writing, the kernel gives it to
// nobody else.
func TestKernelKeepsOff(t *testing.T) {
	kernellab.Require(t)
	origin, cow := patternLoop(t, 800), kernellab.Loop(t, kernellab.File(t, "cow", 800))
	w := openWritable(t, cow)
	if s, err := kernellab.TrySnapshot(t, origin, cow, "P", chunkSectors); err == nil {
		s.Down(t)
		t.Error("the kernel has loaded a snapshot on a device that is held")
	}
	w.Close()
	kernellab.NewSnapshot(t, origin, cow, "P", chunkSectors).Down(t)
}

// TestKernelReadOnlyDevice: root may open it for writing all the same; a write
// would fail.
func TestKernelReadOnlyDevice(t *testing.T) {
	kernellab.Require(t)
	dev := patternLoop(t, 800, kernellab.ReadOnly())
	if w, err := device.OpenWritable(dev); err == nil || err.Error() != "is a read-only device" {
		t.Errorf("%v, %v", w, err)
	}
	linear := kernellab.Create(t, "ro", "0 800 linear "+patternLoop(t, 800)+" 0", true)
	if w, err := device.OpenWritable(linear.Path); err == nil || err.Error() != "is a read-only device" {
		t.Errorf("%v, %v", w, err)
	}
}

// TestKernelWriteErrors: a write to a bad sector fails, with what was written
// before it; a durable one that fails is the last.
func TestKernelWriteErrors(t *testing.T) {
	kernellab.Require(t)
	const bad, sectors = 200, 400
	loop := patternLoop(t, sectors)
	w := openWritable(t, kernellab.Create(t, "bad", strings.Join([]string{
		fmt.Sprintf("0 %d linear %s 0", bad, loop),
		fmt.Sprintf("%d 8 error", bad),
		fmt.Sprintf("%d %d linear %s %d", bad+8, sectors-bad-8, loop, bad+8),
	}, "\n"), false).Path)
	p := make([]byte, 4096)
	if n, err := w.WriteAt(p, bad*512); !errors.Is(err, unix.EIO) || n != 0 {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := w.Sync(); err != nil {
		t.Errorf("sync: %v", err) // that a direct write has failed was told
	}
	if err := w.WriteDurable(p, 0); err != nil {
		t.Error(err)
	}
	if err := w.WriteDurable(p, bad*512); !errors.Is(err, unix.EIO) {
		t.Errorf("durable write: %v", err)
	}
	for range 2 {
		if err := w.Sync(); !errors.Is(err, unix.EIO) {
			t.Errorf("sync behind it: %v", err)
		}
		if err := w.WriteDurable(p, 0); !errors.Is(err, unix.EIO) {
			t.Errorf("durable write behind it: %v", err)
		}
	}
}

// TestKernelWritesInBlocks writes pieces of any number of blocks, from aligned
// and from other memory, to devices of either block size and to sections of
// them, and reads them back.
func TestKernelWritesInBlocks(t *testing.T) {
	kernellab.Require(t)
	for _, block := range []int{512, 4096} {
		const sectors = 2048
		path := kernellab.Loop(t, kernellab.File(t, "blocks", sectors), kernellab.BlockSize(block))
		w := openWritable(t, path)
		section, err := w.Section(int64(5*block), int64(100*block))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, sectors*512)
		random := rand.New(rand.NewPCG(uint64(block), 2))
		for i := range 200 {
			d, part := w, want
			if i%2 == 1 {
				d, part = section, want[5*block:105*block]
			}
			blocks := len(part) / block
			at := random.IntN(blocks)
			n := 1 + random.IntN(blocks-at)
			p := alignedBuffer(n*block + 1)[random.IntN(2):][:n*block]
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			copy(part[at*block:], p)
			if i%3 == 0 {
				err = d.WriteDurable(p, int64(at*block))
			} else {
				_, err = d.WriteAt(p, int64(at*block))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := section.WriteAt(make([]byte, block/2), 0); err == nil || n != 0 {
			t.Errorf("half a block of %d bytes: %d, %v", block, n, err)
		}
		got := make([]byte, len(want))
		if _, err := w.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("blocks of %d bytes: other content, or %v", block, err)
		}
	}
}
