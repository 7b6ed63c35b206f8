package volume_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/volume"
)

// targetLab is a group of LVM with volumes of the targets that keep metadata of their own.
type targetLab struct {
	*testing.T
	files, loops []string
}

func newTargetLab(t *testing.T, disks int) *targetLab {
	kernellab.Require(t)
	l := &targetLab{T: t}
	for i := range disks {
		l.files = append(l.files, kernellab.File(t, fmt.Sprint("disk", i), 160<<10))
		l.loops = append(l.loops, kernellab.Loop(t, l.files[i]))
	}
	kernellab.LVM(t, l.loops...)
	l.lvm("pvcreate", l.loops...)
	l.lvm("vgcreate", append([]string{"--physicalextentsize", "512k", "vg0"}, l.loops...)...)
	t.Cleanup(func() { l.lvm("vgchange", "--activate", "n", "vg0") })
	return l
}

func (l *targetLab) lvm(command string, args ...string) {
	l.Helper()
	kernellab.Run(l, "lvm", append([]string{command, "--yes"}, args...)...)
}

func (l *targetLab) create(name string, args ...string) {
	l.Helper()
	l.lvm("lvcreate", append([]string{"--wipesignatures", "n", "--zero", "n", "--name", name}, args...)...)
}

// write writes chunks of so many sectors to a volume.
func (l *targetLab) write(name string, sectors, version uint64, chunks ...uint64) {
	l.Helper()
	if failed, err := kernellab.WritePattern("/dev/mapper/vg0-"+name, sectors, chunks, version); failed > 0 || err != nil {
		l.Fatal(name, failed, err)
	}
}

// fill writes all of a volume of so many MiB.
func (l *targetLab) fill(name string, version, mib uint64) {
	l.Helper()
	for i := range mib * 16 {
		l.write(name, 128, version, i)
	}
}

// views are the digests of what the kernel shows.
func (l *targetLab) views(names ...string) (all []string) {
	l.Helper()
	for _, name := range names {
		all = append(all, kernellab.MustDigest(l, "/dev/mapper/vg0-"+name))
	}
	return all
}

// compare wants the volumes to be read so.
func (l *targetLab) compare(when string, names, want []string) {
	l.Helper()
	for i, name := range names {
		if got := l.read(name, l.loops...); got != want[i] {
			l.Errorf("%s: %s is not read as the kernel showed it: %s", when, name, got)
		}
	}
}

// read is the digest of a volume as it is read from physical volumes, or why it cannot be.
func (l *targetLab) read(name string, paths ...string) string {
	l.Helper()
	s, err := volume.Look(volume.Options{Given: paths, Tell: func(about, text string) { l.Log(about, text) }})
	l.Cleanup(s.Close)
	kernellab.Must(l, err)
	g, err := s.Group("vg0")
	kernellab.Must(l, err)
	d, err := s.Volume("vg0/"+name, g, g.Find(name)).Open()
	if err != nil {
		return err.Error()
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.NewSectionReader(d, 0, d.Size()), make([]byte, 1<<20)); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestKernelThinVolumes: volumes of a thin pool of LVM are read as the kernel shows them: one, a snapshot of it, and one
// whose external origin is another volume.
func TestKernelThinVolumes(t *testing.T) {
	l := newTargetLab(t, 2)
	l.lvm("lvcreate", "--type", "thin-pool", "--size", "24M", "--name", "pool", "vg0")
	l.lvm("lvcreate", "--virtualsize", "40M", "--name", "thin", "--thinpool", "vg0/pool")
	l.create("outside", "--size", "4M", "vg0")
	l.fill("outside", 9, 4)
	l.write("thin", 128, 1, 0, 1, 2, 70, 71, 100)
	l.lvm("lvcreate", "--snapshot", "--name", "snap", "--setactivationskip", "n", "vg0/thin")
	l.write("thin", 8, 2, 5, 1130)
	l.write("snap", 8, 3, 5, 2000)
	l.lvm("lvchange", "--activate", "n", "vg0/outside")
	l.lvm("lvchange", "--permission", "r", "vg0/outside")
	l.lvm("lvcreate", "--snapshot", "--name", "on", "--setactivationskip", "n", "--thinpool", "vg0/pool", "vg0/outside")
	l.write("on", 8, 4, 5, 200)
	names := []string{"thin", "snap", "on"}
	want := l.views(names...)
	l.lvm("vgchange", "--activate", "n", "vg0")
	l.compare("inactive", names, want)
	if got := l.read("pool", l.loops...); !strings.Contains(got, "of type thin-pool, which cannot be read") {
		t.Errorf("the pool: %s", got)
	}
}

// TestKernelCachedVolumes: volumes that have a cache are read as the kernel shows them, by each way in which LVM
// keeps one, also where the cache has what the origin lacks.
func TestKernelCachedVolumes(t *testing.T) {
	l := newTargetLab(t, 3)
	cached := func(name string, mode string) {
		l.create(name, "--size", "8M", "vg0")
		l.fill(name, 1, 8)
		if name == "pooled" {
			l.lvm("lvcreate", "--type", "cache-pool", "--chunksize", "64k", "--size", "4M", "--name", "fast"+name, "vg0")
			l.lvm("lvconvert", "--type", "cache", "--cachemode", mode, "--cachepool", "vg0/fast"+name, "vg0/"+name)
		} else {
			l.create("fast"+name, "--size", "8M", "vg0")
			l.lvm("lvchange", "--activate", "n", "vg0/"+name, "vg0/fast"+name)
			l.lvm("lvconvert", "--type", "cache", "--chunksize", "64k", "--cachemode", mode, "--cachevol", "vg0/fast"+name, "vg0/"+name)
			l.lvm("lvchange", "--activate", "y", "vg0/"+name)
		}
		for round := range uint64(20) {
			l.write(name, 128, 2+round, 3, 4, 5, 60, 90, 127)
		}
		kernellab.Run(l, "dmsetup", "message", "vg0-"+name, "0", "migration_threshold", "0") // what is dirty stays so
		l.write(name, 128, 99, 3, 4, 5, 60, 90, 127)
		l.write(name, 8, 100, 50, 1000)
	}
	origins := map[string]string{"pooled": "pooled_corig", "late": "late_wcorig"}
	cached("pooled", "writeback")
	if !kernellab.Linux(7, 0) { // the lvm2 of whose release activates no such volume in the lab
		cached("volumed", "writeback")
		cached("through", "writethrough")
		origins["volumed"], origins["through"] = "volumed_corig", "through_corig"
	}
	l.create("late", "--size", "8M", "vg0")
	l.fill("late", 1, 8)
	l.create("fastlate", "--size", "8M", "vg0")
	l.lvm("lvchange", "--activate", "n", "vg0/late", "vg0/fastlate")
	l.lvm("lvconvert", "--type", "writecache", "--cachevol", "vg0/fastlate", "vg0/late")
	l.lvm("lvchange", "--activate", "y", "vg0/late")
	l.write("late", 8, 2, 0, 7, 1000, 1001)
	names := slices.Sorted(maps.Keys(origins))
	want := l.views(names...)
	if got := l.read("pooled", l.loops...); !strings.Contains(got, "was not shut down cleanly") {
		t.Errorf("active: %s", got)
	}
	l.lvm("vgchange", "--activate", "n", "vg0")
	l.compare("inactive", names, want)
	for i, name := range names {
		if same := l.read(origins[name], l.loops...) == want[i]; same != (name == "through") {
			t.Errorf("%s alone is right: %t", origins[name], same)
		}
	}
}

// TestKernelIntegrityVolumes: arrays whose images have checksums are read as the kernel shows them, and so are the images
// of RAID1: when they are not active, as they are in the midst of it, and without a physical volume; also where a block
// has gone bad, which its checksum shows.
func TestKernelIntegrityVolumes(t *testing.T) {
	l := newTargetLab(t, 3)
	names := []string{"guarded", "parity"}
	for i, with := range [][]string{{"--type", "raid1", "--mirrors", "1"}, {"--type", "raid5", "--stripes", "2"}} {
		l.create(names[i], append(with, "--raidintegrity", "y", "--size", "4M", "vg0")...)
		for kernellab.Run(l, "lvm", "lvs", "--noheadings", "-o", "sync_percent", "vg0/"+names[i]) != "100.00" {
		}
		l.fill(names[i], uint64(1+i), 4)
		l.write(names[i], 8, 3, 0, 7, 500)
	}
	for _, name := range names { // what the journal has not got yet, a power cut would lose
		kernellab.Run(l, "sync", "/dev/mapper/vg0-"+name)
	}
	want := l.views(names...)
	l.compare("active", names, want)
	l.lvm("vgchange", "--activate", "n", "vg0")
	l.compare("inactive", append(names, "guarded_rimage_0", "guarded_rimage_1"), append(want, want[0], want[0]))
	for missing := range l.loops {
		without := slices.Delete(slices.Clone(l.loops), missing, missing+1)
		for i, name := range names {
			if got := l.read(name, without...); got != want[i] {
				t.Errorf("without disk %d: %s is not read as the kernel showed it: %s", missing, name, got)
			}
		}
	}
	for _, version := range []uint64{1, 2} {
		l.rot(l.files[0], kernellab.Pattern(20, 1, version))
	}
	l.compare("with a bad block", names, want)
	l.lvm("vgchange", "--activate", "y", "vg0")
	if got := l.views(names...); !slices.Equal(got, want) {
		t.Error("with a bad block, the kernel shows something else")
	}
}

// rot changes a byte of what stands in one place of a file.
func (l *targetLab) rot(file string, what []byte) {
	l.Helper()
	b, err := os.ReadFile(file)
	kernellab.Must(l, err)
	at := bytes.Index(b, what)
	if at < 0 || bytes.Count(b, what) != 1 {
		l.Fatalf("it stands in %d places", bytes.Count(b, what))
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	kernellab.Must(l, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{what[0] ^ 0xff}, int64(at))
	kernellab.Must(l, err)
}
