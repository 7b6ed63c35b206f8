package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/fuse"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/memory"
)

const sector = 512

// image is what a snapshot may hold, sector by sector: what was durable last, and what was
// written since.
type image struct {
	*testing.T
	now   []byte
	maybe map[int][][]byte // by sector
}

func newImage(t *testing.T, content []byte) *image {
	return &image{t, slices.Clone(content), map[int][][]byte{}}
}

// write notes a write that may be there, from now on.
func (i *image) write(p []byte, offset int) {
	for n := offset / sector; n*sector < offset+len(p); n++ {
		if i.maybe[n] == nil {
			i.maybe[n] = [][]byte{slices.Clone(i.now[n*sector : (n+1)*sector])}
		}
	}
	copy(i.now[offset:], p)
	for n := offset / sector; n*sector < offset+len(p); n++ {
		i.maybe[n] = append(i.maybe[n], slices.Clone(i.now[n*sector:(n+1)*sector]))
	}
}

// synced notes that all of it is there.
func (i *image) synced() { clear(i.maybe) }

// is makes sure that the content is one that may be, and takes it for what is.
func (i *image) is(content []byte) {
	i.Helper()
	if len(content) != len(i.now) {
		i.Fatalf("%d bytes, there were %d", len(content), len(i.now))
	}
	for n := range len(content) / sector {
		got, want := content[n*sector:(n+1)*sector], i.now[n*sector:(n+1)*sector]
		if bytes.Equal(got, want) {
			continue
		}
		if !slices.ContainsFunc(i.maybe[n], func(b []byte) bool { return bytes.Equal(b, got) }) {
			i.Errorf("sector %d is neither what was durable nor what was written since (%d times)", n, len(i.maybe[n]))
		}
	}
	copy(i.now, content)
	i.synced()
}

// writing is a snapshot that is written to, and its devices.
type writableMount struct {
	*image
	*rand.Rand
	cow, origin string
}

// newWritableMount has the files of a store that the kernel made, with room behind it.
func newWritableMount(t *testing.T, name string, room int64) *writableMount {
	s := corpus.Load(t)[name]
	w := &writableMount{Rand: rand.New(rand.NewPCG(3, devicetest.Seed(t)))}
	w.cow, w.origin = storeFiles(t, s)
	if err := os.Truncate(w.cow, int64(s.COWSectors)*sector+room); err != nil {
		t.Fatal(err)
	}
	view, _ := expect(t, 0, "export", w.cow, "--origin", w.origin)
	w.image = newImage(t, []byte(view))
	return w
}

func (w *writableMount) mount() *mounting {
	w.Helper()
	return mountSnapshot(w.T, "--writable", w.cow, "--origin", w.origin)
}

// sound makes sure that the store is, that the snapshot may be what it is, and that the origin
// is what it was.
func (w *writableMount) sound(origin string) {
	w.Helper()
	expect(w.T, 0, "check", "--origin", w.origin, w.cow)
	content, err := os.ReadFile(w.cow) // it may be mounted still, and is not exported then
	if err != nil {
		w.Fatal(err)
	}
	cow := filepath.Join(w.TempDir(), "cow")
	devicetest.WriteFile(w, cow, content)
	view, _ := expect(w.T, 0, "export", cow, "--origin", w.origin)
	w.is([]byte(view))
	if fileDigest(w.T, w.origin) != origin {
		w.Error("the origin has changed")
	}
}

// scribble writes to the file until it is stopped or has done so many writes, and syncs now
// and then. It tells progress of each.
func (w *writableMount) scribble(file string, writes int, progress func(n int)) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		w.Error(err)
		return
	}
	defer f.Close()
	for n := range writes {
		offset := w.IntN(len(w.now))
		p := make([]byte, min(1+w.IntN(20000), len(w.now)-offset))
		for i := range p {
			p[i] = byte(w.Uint32())
		}
		w.write(p, offset) // it may be there, also if the write is cut off
		if _, err := f.WriteAt(p, int64(offset)); err != nil {
			return
		}
		if w.IntN(8) == 0 {
			if f.Sync() != nil {
				return
			}
			w.synced()
		}
		progress(n)
	}
}

// TestKernelMountWritesKilled kills dmcow while its file is written. What was fsynced is there
// when the snapshot is mounted again, and what was written since may be; the store is sound,
// and the kernel, where there is one, reads the same.
func TestKernelMountWritesKilled(t *testing.T) {
	requireFUSE(t)
	kills := 6
	if kernellab.InLab() {
		kills = 2
	}
	for _, name := range []string{"areas-33", "odd-origin", "lvm-ext4"} {
		t.Run(name, func(t *testing.T) {
			w := newWritableMount(t, name, 4<<20)
			origin := fileDigest(t, w.origin)
			for range kills {
				m := w.mount()
				kill := 1 + w.IntN(60)
				w.scribble(m.file, 200, func(n int) {
					if n == kill {
						_ = m.Process.Kill() // while this goes on to write
					}
				})
				_ = m.Wait()
				_, stderr := expect(t, 8, "mount", w.cow, "--origin", w.origin, m.dir)
				if want := "dmcow: " + m.dir + ": a process that has died left it mounted: unmount it first\n"; stderr != want {
					t.Errorf("mounted again: %q", stderr)
				}
				if err := fuse.Detach(m.dir); err != nil {
					t.Error(err)
				}
				w.sound(origin)
			}
			m := w.mount()
			w.scribble(m.file, 50, func(int) {})
			w.synced() // it was closed
			if err := m.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = m.Wait()
			if err := fuse.Detach(m.dir); err != nil {
				t.Error(err)
			}
			w.sound(origin)
			m = w.mount()
			m.unmount()
			w.sound(origin)
			w.asTheKernelReads()
		})
	}
}

// asTheKernelReads has the kernel load the store, and holds what it shows to the image.
func (w *writableMount) asTheKernelReads() {
	w.Helper()
	if !kernellab.InLab() {
		return
	}
	s := kernellab.NewSnapshot(w.T, kernellab.Loop(w.T, w.origin), kernellab.Loop(w.T, w.cow), "P", 1)
	if got := kernellab.MustDigest(w.T, s.View.Path); got != corpus.Digest(w.now) {
		w.Error("the kernel shows something else")
	}
	s.Down(w.T)
}

// TestKernelMountStays: a writable mount has its one file, of its one size, whatever is done to
// either.
func TestKernelMountStays(t *testing.T) {
	requireFUSE(t)
	w := newWritableMount(t, "areas-33", 1<<20)
	m := w.mount()
	beside := filepath.Join(m.dir, "beside")
	for name, refused := range map[string]func() error{
		"truncate": func() error { return os.Truncate(m.file, 0) },
		"extend":   func() error { return os.Truncate(m.file, int64(len(w.now))+1) },
		"remove":   func() error { return os.Remove(m.file) },
		"rename":   func() error { return os.Rename(m.file, beside) },
		"replace": func() error {
			other := filepath.Join(m.dir, "other")
			return errors.Join(os.WriteFile(other, nil, 0o666), os.Rename(other, m.file))
		},
		"create": func() error { return os.WriteFile(beside, nil, 0o666) },
		"mkdir":  func() error { return os.Mkdir(beside, 0o777) },
		"link":   func() error { return os.Link(m.file, beside) },
		"mode":   func() error { return os.Chmod(m.file, 0o600) },
	} {
		if err := refused(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "snapshot" {
		t.Errorf("%v, %v", entries, err)
	}
	if got := fileDigest(t, m.file); got != corpus.Digest(w.now) {
		t.Error("the file has changed")
	}
	m.unmount()
}

// TestKernelMountDirectorySynced: programs that sync a file sync its directory, too. That makes
// durable what was written.
func TestKernelMountDirectorySynced(t *testing.T) {
	requireFUSE(t)
	w := newWritableMount(t, "areas-33", 1<<20)
	origin := fileDigest(t, w.origin)
	m := w.mount()
	f, err := os.OpenFile(m.file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("synced"), int64(len(w.now)-6)); err != nil {
		t.Fatal(err)
	}
	w.write([]byte("synced"), len(w.now)-6)
	dir, err := os.Open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		t.Fatal(err)
	}
	w.synced()
	w.sound(origin)
	f.Close()
	dir.Close()
	m.unmount()
}

// TestKernelMountVerifiedByFio has fio write to the file at random and verify what it reads,
// also when the snapshot has been mounted again.
func TestKernelMountVerifiedByFio(t *testing.T) {
	requireFUSE(t)
	if _, err := exec.LookPath("fio"); err != nil {
		if kernellab.InLab() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	w := newWritableMount(t, "lvm-ext4", 16<<20)
	fio := func(m *mounting, more ...string) {
		t.Helper()
		cmd := exec.Command("fio", append([]string{
			"--name=verify", "--filename=" + m.file, "--size=8m", "--rw=randwrite", "--bsrange=512-64k", "--bs_unaligned", "--ioengine=psync",
			"--fsync=16", "--verify=crc32c", "--verify_fatal=1", "--allow_file_create=0", "--randseed=7",
		}, more...)...)
		cmd.Dir = t.TempDir() // where it leaves its state
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	m := w.mount()
	fio(m)
	m.unmount()
	m = w.mount()
	fio(m, "--verify_only")
	m.unmount()
	expect(t, 0, "check", "--origin", w.origin, w.cow)
	view, _ := expect(t, 0, "export", w.cow, "--origin", w.origin)
	copy(w.now, view)
	w.asTheKernelReads()
}

// TestKernelMountOfFileSystems makes a snapshot of a file system that is in use, by LVM, and
// changes files. Off line, the snapshot is mounted by its name: the file system is clean, and
// each file what it was that day, and the physical volumes do not change.
func TestKernelMountOfFileSystems(t *testing.T) {
	kernellab.Require(t)
	requireFUSE(t)
	for _, c := range []struct {
		fsType     string
		mkfs, fsck []string
		size       uint64 // of the volume, in MiB
		options    string // of mounting a snapshot of it read-only
	}{
		{"ext4", []string{"mkfs.ext4", "-q"}, []string{"e2fsck", "-f", "-n"}, 24, "ro,noload"},
		{"xfs", []string{"mkfs.xfs", "-q"}, []string{"xfs_repair", "-n", "-f"}, 304, "ro,norecovery"},
		{"btrfs", []string{"mkfs.btrfs", "-q"}, []string{"btrfs", "check", "--readonly"}, 120, "ro"},
	} {
		t.Run(c.fsType, func(t *testing.T) {
			files := []string{kernellab.File(t, "disk 0", (c.size+16)<<11), kernellab.File(t, "disk 1", 40<<11)}
			disks := []string{kernellab.Loop(t, files[0]), kernellab.Loop(t, files[1])}
			kernellab.VolumeGroup(t, "vg0", disks...)
			kernellab.Run(t, "lvm", "lvcreate", "--name", "origin", "--size", fmt.Sprintf("%dm", c.size), "vg0", disks[0])
			const dev = "/dev/mapper/vg0-origin"
			kernellab.Run(t, c.mkfs[0], append(c.mkfs[1:], dev)...)
			v := mountable{t, t.TempDir(), c.fsType}
			t.Cleanup(func() { _ = syscall.Unmount(v.dir, 0) })
			v.mount(dev)
			v.write("", "before", 0, 30)
			v.write("deep/er", "before", 0, 5)
			before := v.files()
			if c.fsType == "xfs" { // which leaves its log to be replayed, also when it is frozen
				v.unmount()
			}
			syscall.Sync() // Btrfs is not frozen by this kernel
			kernellab.Run(t, "lvm", "lvcreate", "--snapshot", "--name", "snap", "--size", "32m", "vg0/origin", disks[1])
			if c.fsType == "xfs" {
				v.mount(dev)
			}
			v.write("", "changed", 5, 24)
			for n := 24; n < 30; n++ {
				if err := os.Remove(filepath.Join(v.dir, fmt.Sprint(n))); err != nil {
					t.Fatal(err)
				}
			}
			v.unmount()
			view := kernellab.MustDigest(t, "/dev/mapper/vg0-snap")
			kernellab.Run(t, "lvm", "lvchange", "--activate", "n", "vg0/origin")
			// A loop device that is read has all of its file take room, up to Linux 5.10.
			was := kernellab.MustDigest(t, files[0]) + kernellab.MustDigest(t, files[1])

			m := mountSnapshot(t, "vg0/snap", "--pv", disks[0], "--pv", disks[1])
			if fileDigest(t, m.file) != view {
				t.Error("it is not what the kernel shows")
			}
			kernellab.Run(t, c.fsck[0], append(c.fsck[1:], m.file)...)
			kernellab.Run(t, "mount", "-t", c.fsType, "-o", "loop,"+c.options, m.file, v.dir)
			got := v.files()
			v.unmount()
			if len(got) != len(before) {
				t.Errorf("%d files, there were %d", len(got), len(before))
			}
			for name, digest := range before {
				if got[name] != digest {
					t.Errorf("%s is not what it was", name)
				}
			}
			m.unmount()
			if kernellab.MustDigest(t, files[0])+kernellab.MustDigest(t, files[1]) != was {
				t.Error("a physical volume has changed")
			}
			if c.fsType == "ext4" {
				writtenThroughLVM(t, v, disks)
			}
		})
	}
}

// writtenThroughLVM writes a file to a file system in a snapshot that is mounted by its name. LVM
// activates the snapshot then, with the file in it, and the origin without.
func writtenThroughLVM(t *testing.T, v mountable, disks []string) {
	t.Helper()
	origin := kernellab.MustDigest(t, disks[0])
	m := mountSnapshot(t, "--writable", "vg0/snap", "--pv", disks[0], "--pv", disks[1])
	kernellab.Run(t, "mount", "-t", v.fsType, "-o", "loop", m.file, v.dir)
	v.write("", "in the snapshot", 200, 203)
	all := v.files()
	v.unmount()
	kernellab.Run(t, "e2fsck", "-f", "-n", m.file)
	m.unmount()
	if kernellab.MustDigest(t, disks[0]) != origin {
		t.Error("the physical volume of the origin has changed")
	}
	kernellab.Run(t, "lvm", "lvchange", "--activate", "y", "vg0/origin")
	v.mount("/dev/mapper/vg0-snap")
	if !maps.Equal(v.files(), all) {
		t.Error("LVM's snapshot has other files")
	}
	v.unmount()
}

// TestKernelMountWritesAsTheKernel has the kernel's snapshot and the mounted file written the
// same, one write after the other: both leave the same COW device, byte for byte.
func TestKernelMountWritesAsTheKernel(t *testing.T) {
	kernellab.Require(t)
	requireFUSE(t)
	const chunk = 8
	const origins, cows = 300 * chunk, 420 * chunk
	rng := rand.New(rand.NewPCG(5, devicetest.Seed(t)))
	var originFiles, cowFiles, loops [2]string
	for i := range 2 {
		originFiles[i], cowFiles[i] = kernellab.File(t, "origin", origins), kernellab.File(t, "cow", cows)
		devicetest.WriteFile(t, originFiles[i], kernellab.Pattern(0, origins, 1))
		loops[i] = kernellab.Loop(t, cowFiles[i])
	}
	expect(t, 0, "initialize", "--yes", "--chunk-size", "4K", loops[1])
	kernellab.Detach(t, loops[1])
	s := kernellab.NewSnapshot(t, kernellab.Loop(t, originFiles[0]), loops[0], "P", chunk)
	kernels, err := os.OpenFile(s.View.Path, os.O_RDWR|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := mountSnapshot(t, "--writable", cowFiles[1], "--origin", originFiles[1])
	ours, err := os.OpenFile(m.file, os.O_RDWR|syscall.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for version := range uint64(270) { // more than an area
		first := rng.Uint64N(origins)
		count := 1 + rng.Uint64N(min(2*chunk-first%chunk, origins-first))
		p := memory.Aligned(int(count) * sector)
		copy(p, kernellab.Pattern(first, count, version+2))
		for _, f := range []*os.File{kernels, ours} {
			if _, err := f.WriteAt(p, int64(first)*sector); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(kernels.Close(), ours.Close()); err != nil {
		t.Fatal(err)
	}
	s.Down(t)
	m.unmount()
	kernellab.Detach(t, loops[0])
	if fileDigest(t, cowFiles[0]) != fileDigest(t, cowFiles[1]) {
		a, _ := expect(t, 0, "dump", "--output", "csv", cowFiles[0])
		b, _ := expect(t, 0, "dump", "--output", "csv", cowFiles[1])
		t.Errorf("the kernel has\n%.600s\nand dmcow\n%.600s", a, b)
	}
}
