package corpus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dmcow/check"
	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

// TestKernelLVM has LVM make a snapshot of a volume with a file system on it, changes
// files, and compares what LVM says of it with what the kernel makes of a copy
// of the store.
func TestKernelLVM(t *testing.T) {
	kernellab.Require(t)
	makeVolume(t)
	mountPoint := mountVolume(t)
	writeFiles(t, mountPoint, "before", 0, 40)
	syscall.Sync()
	lvm(t, "lvcreate", "--snapshot", "--name", "snap", "--chunksize", "4k", "--size", "8m", "vg0/origin")
	changeFiles(t, mountPoint)
	unmount(t, mountPoint)

	s := Store{Name: "lvm-ext4", LVMName: "vg0/snap"}
	s.DataPercent = strings.TrimSpace(lvm(t, "lvs", "--noheadings", "-o", "data_percent", "vg0/snap"))
	status := kernellab.Run(t, "dmsetup", "status", "vg0-snap")
	cow, origin := kernellab.MustRead(t, "/dev/mapper/vg0-snap-cow"), kernellab.MustRead(t, "/dev/mapper/vg0-origin")
	s.COWSHA256, s.OriginSHA256 = Digest(cow), Digest(origin)
	ask(t, &s, kernellab.LoopOf(t, origin), kernellab.LoopOf(t, cow), "P", 8)
	s.Exceptions = nil // ext4 may have written a block as it was
	if !strings.HasSuffix(status, " snapshot "+s.Status) {
		t.Errorf("LVM's snapshot has the status %q, its store loaded alone %q", status, s.Status)
	}
	if got := Digest(kernellab.MustRead(t, "/dev/mapper/vg0-snap")); got != s.ViewSHA256 {
		t.Errorf("LVM's snapshot reads as %s, its store loaded alone as %s", got, s.ViewSHA256)
	}
	t.Logf("%s: %s, %s%%", s.Name, s.Status, s.DataPercent)
	if updating() {
		save(t, s, cow, origin)
	}
}

func lvm(t *testing.T, args ...string) string {
	t.Helper()
	return kernellab.Run(t, "lvm", args...)
}

// makeVolume makes the volume group vg0 on a loop device, and in it the volume
// origin.
func makeVolume(t *testing.T) {
	t.Helper()
	kernellab.VolumeGroup(t, "vg0", kernellab.Loop(t, kernellab.File(t, "pv", 40<<20/kernellab.SectorSize)))
	lvm(t, "lvcreate", "--name", "origin", "--size", "16m", "vg0")
}

// mountVolume makes a file system on the volume, and mounts it.
func mountVolume(t *testing.T) string {
	t.Helper()
	const uuid = "5d1ee9a0-0c0f-4d4c-8b1b-3c1b1f0a6c55"
	kernellab.Run(t, "mkfs.ext4", "-q", "-U", uuid,
		"-E", "hash_seed="+uuid+",lazy_itable_init=0,lazy_journal_init=0", "/dev/mapper/vg0-origin")
	dir := t.TempDir()
	if err := syscall.Mount("/dev/mapper/vg0-origin", dir, "ext4", syscall.MS_NOATIME, ""); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	syscall.Sync()
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatalf("unmount: %v", err)
	}
}

// writeFiles writes the files numbered from first up to but without end: lines
// of text, 15 KiB to 250, which name the file and hold the word.
func writeFiles(t *testing.T, dir, word string, first, end int) {
	t.Helper()
	for n := first; n < end; n++ {
		name := fmt.Sprintf("file-%02d.txt", n)
		line := fmt.Appendf(nil, "%s, as it was %s\n", name, word)
		content := bytes.Repeat(line, 400+n*160)
		kernellab.Must(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
}

// changeFiles changes some files, deletes some, and adds others.
func changeFiles(t *testing.T, dir string) {
	t.Helper()
	writeFiles(t, dir, "changed", 5, 24)
	for n := 24; n < 30; n++ {
		kernellab.Must(t, os.Remove(filepath.Join(dir, fmt.Sprintf("file-%02d.txt", n))))
	}
	kernellab.Must(t, os.Mkdir(filepath.Join(dir, "new"), 0o755))
	writeFiles(t, filepath.Join(dir, "new"), "added", 0, 12)
}

// TestKernelLVMOverAnOldSnapshot makes a snapshot, fills it, removes it, and makes
// another on the same extents. LVM zeroes the first 4096 bytes of those, and until
// the new snapshot is activated for the first time the old exceptions stand behind
// them. All is well with such a store; but nobody can tell it from one whose header
// was wiped, and check says both.
func TestKernelLVMOverAnOldSnapshot(t *testing.T) {
	kernellab.Require(t)
	makeVolume(t)
	snapshot := []string{"lvcreate", "--yes", "--snapshot", "--name", "snap", "--chunksize", "4k", "--size", "8m", "vg0/origin"}
	lvm(t, snapshot...)
	if failed, err := kernellab.WritePattern("/dev/mapper/vg0-origin", 8, []uint64{5, 9, 100, 101, 102, 7}, 1); failed > 0 || err != nil {
		t.Fatal(failed, err)
	}
	where := kernellab.Extents(t, "vg0/snap")
	lvm(t, "lvremove", "--yes", "vg0/snap")
	lvm(t, "lvchange", "--activate", "n", "vg0/origin") // or the new snapshot would be active at once
	lvm(t, snapshot...)
	if now := kernellab.Extents(t, "vg0/snap"); !slices.Equal(now, where) {
		t.Fatalf("the new snapshot is on %v, the old one was on %v", now, where)
	}

	d, err := device.Open(where[0].Physical)
	kernellab.Must(t, err)
	defer d.Close()
	// The physical volume itself is none of that, though it holds a store.
	whole, err := check.Make(check.Options{Device: d})
	kernellab.Must(t, err)
	if len(whole.Tallies) != 1 || whole.Tallies[0].Name != "foreign-content" {
		t.Errorf("the physical volume: %+v", whole.Tallies)
	}
	cow, err := d.Section(int64(where[0].Start)*kernellab.SectorSize, int64(where[0].Sectors)*kernellab.SectorSize)
	kernellab.Must(t, err)
	r, err := check.Make(check.Options{Device: cow, Origin: 16 << 20})
	kernellab.Must(t, err)
	if len(r.Tallies) != 1 || r.Tallies[0].Name != "zeroed-header" || r.Tallies[0].Severity != check.Error ||
		r.Outcome() != check.Damaged {
		t.Fatalf("%s: %+v", r.Outcome(), r.Tallies)
	}
	said := r.Tallies[0].Findings[0].Message()
	for _, reading := range []string{"this is a new, never active LVM snapshot on the blocks of an old one", "the header was wiped", "8-sector chunks has left 6 plausible exceptions"} {
		if !strings.Contains(said, reading) {
			t.Errorf("%q does not say %q", said, reading)
		}
	}

	lvm(t, "lvchange", "--activate", "y", "vg0/origin")
	if status := kernellab.Run(t, "dmsetup", "status", "vg0-snap"); !strings.HasSuffix(status, " snapshot 16/16384 16") {
		t.Errorf("the new snapshot is not empty: %s", status)
	}
}
