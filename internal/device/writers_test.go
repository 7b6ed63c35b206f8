package device

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/inuse"
	"dmcow/internal/kernellab"
)

// writtenBy wants the device to be written by these, or that it could be.
func writtenBy(t *testing.T, d *Device, by ...string) {
	t.Helper()
	if got := d.Writers(); !slices.Equal(got, by) {
		t.Errorf("%s: written by %q, want %q", d.Path(), got, by)
	}
}

// TestImageOnLoop: a loop device over an image file uses it, by whatever name, unless it can
// only be read.
func TestImageOnLoop(t *testing.T) {
	path, _ := numbered(t, 64<<10)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	d := opened(t, path)
	readOnly := loopOver(t, path, kernellab.ReadOnly())
	heldBy(t, d)
	writtenBy(t, d)
	one, two := loopOver(t, path), loopOver(t, link)
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Base(one), filepath.Base(two)}
	slices.Sort(want)
	heldBy(t, d, want...)
	writtenBy(t, d, want...)
	kernellab.Detach(t, one)
	heldBy(t, d, filepath.Base(two))
	kernellab.Detach(t, two)
	heldBy(t, d)
	_, err := OpenWritable(path)
	busyBy(t, err, filepath.Base(readOnly)) // who reads through it would see it change
}

// ext4 is a loop device with a file system.
func ext4(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("no mkfs.ext4")
	}
	loop := loopOver(t, kernellab.File(t, "ext4", 16<<11))
	kernellab.Run(t, "mkfs.ext4", "-q", loop)
	return loop
}

// mountOn mounts a file system, and returns what unmounts it.
func mountOn(t *testing.T, source, dir, kind string, flags uintptr) (end func()) {
	t.Helper()
	if err := unix.Mount(source, dir, kind, flags, ""); err != nil {
		t.Fatal(err)
	}
	end = func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }
	t.Cleanup(end)
	return end
}

// TestWritersOfFileSystems: a file system that is mounted read-only writes nothing. One that is
// mounted in several places does, if it is so in one of them; then the others are read-only for
// themselves.
func TestWritersOfFileSystems(t *testing.T) {
	loop := ext4(t)
	d := opened(t, loop)
	dir, other := t.TempDir(), t.TempDir()
	end := mountOn(t, loop, dir, "ext4", unix.MS_RDONLY)
	writtenBy(t, d)
	end()
	end = mountOn(t, loop, dir, "ext4", 0)
	writtenBy(t, d, "a file system mounted on "+dir)
	heldBy(t, d) // a holder is a device
	mountOn(t, dir, other, "", unix.MS_BIND)
	if err := unix.Mount("", other, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	end()
	writtenBy(t, d, "a file system mounted on "+other)
}

// TestWritersElsewhere: a file system that only other processes see is found.
func TestWritersElsewhere(t *testing.T) {
	loop := ext4(t)
	dir := t.TempDir()
	c := exec.Command("unshare", "--mount", "sh", "-c", fmt.Sprintf("mount %s %s && echo && cat", loop, dir))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = c.Wait() })
	t.Cleanup(func() { in.Close() })
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Skip("nothing can be mounted elsewhere")
	}
	writtenBy(t, opened(t, loop), "a file system mounted on "+dir)
}

// TestWritersOfLoops: a loop device over a block device, or over its partition or its disk, uses
// it, unless it can only be read.
func TestWritersOfLoops(t *testing.T) {
	image, _ := numbered(t, 1<<20)
	disk := loopOver(t, image)
	if _, err := exec.LookPath("addpart"); err != nil {
		t.Skip("no addpart")
	}
	kernellab.Run(t, "addpart", disk, "1", "512", "512")
	t.Cleanup(func() { kernellab.Run(t, "delpart", disk, "1") })
	partition := filepath.Join(t.TempDir(), "partition")
	dev := line(t, filepath.Join("/sys/block", filepath.Base(disk), filepath.Base(disk)+"p1/dev"))
	n, _ := inuse.ParseNumber(dev)
	if err := unix.Mknod(partition, unix.S_IFBLK|0o600, int(unix.Mkdev(n.Major, n.Minor))); err != nil {
		t.Fatal(err)
	}
	for _, under := range []string{disk, partition} {
		loop := loopOver(t, under, kernellab.ReadOnly())
		for _, path := range []string{disk, partition} {
			writtenBy(t, opened(t, path))
		}
		kernellab.Detach(t, loop)
		loop = loopOver(t, under)
		for _, path := range []string{disk, partition} {
			writtenBy(t, opened(t, path), filepath.Base(loop))
		}
		kernellab.Detach(t, loop)
	}
}
