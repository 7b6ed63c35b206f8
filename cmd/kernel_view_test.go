package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelViewOfActiveSnapshots: while LVM has a snapshot active, diff tells where its origin
// was written, and nothing else reads it. Then it is exported by its name, to a file and to
// another volume of the group, and is what the kernel showed.
func TestKernelViewOfActiveSnapshots(t *testing.T) {
	kernellab.Require(t)
	disk := blankLoop(t, 48<<11)
	kernellab.VolumeGroup(t, "vg0", disk)
	lvcreate := func(args ...string) {
		t.Helper()
		kernellab.Run(t, "lvm", append([]string{"lvcreate", "--yes"}, args...)...)
	}
	write := func(dev string, version uint64, chunks ...uint64) {
		t.Helper()
		if failed, err := kernellab.WritePattern(dev, 8, chunks, version); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
	}
	const origin, snap, copied = "/dev/mapper/vg0-origin", "/dev/mapper/vg0-snap", "/dev/mapper/vg0-copied"
	lvcreate("--name", "origin", "--size", "8m", "vg0")
	write(origin, 1, span(0, 2048)...)
	lvcreate("--snapshot", "--name", "snap", "--chunksize", "4k", "--size", "4m", "vg0/origin")
	lvcreate("--snapshot", "--name", "later", "--chunksize", "8k", "--size", "4m", "vg0/origin")
	lvcreate("--name", "copied", "--size", "8m", "vg0")
	lvcreate("--name", "small", "--size", "4m", "vg0")
	write(origin, 2, 3, 4, 5, 100)
	write(snap, 3, 2047)
	view := kernellab.MustDigest(t, snap)

	var d struct {
		Ranges []struct{ Offset, Length uint64 }
	}
	stdout, _ := expect(t, 0, "diff", "--output", "json", "vg0/snap")
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	if r := d.Ranges; len(r) != 3 || r[0].Offset != 3*4096 || r[0].Length != 3*4096 || r[1].Offset != 100*4096 || r[2].Offset != 2047*4096 || r[2].Length != 4096 {
		t.Errorf("%+v", r)
	}
	stdout, _ = expect(t, 0, "diff", "--output", "csv", "--content", "--live", "vg0/snap", "--against", "vg0/later")
	if stdout != "offset,length\n8384512,4096\n" { // what was written to the one snapshot
		t.Errorf("the two snapshots: %s", stdout)
	}
	for _, args := range [][]string{{"export", "vg0/snap"}, {"mount", "--dry-run", "vg0/snap", t.TempDir()}} {
		if _, stderr := expect(t, 8, args...); !strings.Contains(stderr, "in use by vg0-snap") {
			t.Errorf("%q: %s", args, stderr)
		}
	}
	if _, stderr := expect(t, 8, "export", snap, "--origin", origin); !strings.Contains(stderr, "shows the snapshot; its COW device is") {
		t.Error(stderr)
	}

	kernellab.Run(t, "lvm", "lvchange", "--activate", "n", "vg0/origin")
	file := filepath.Join(t.TempDir(), "file")
	expect(t, 0, "export", "vg0/snap", "--pv", disk, file)
	expect(t, 0, "export", "--yes", "vg0/snap", "--pv", disk, copied)
	if kernellab.MustDigest(t, file) != view || kernellab.MustDigest(t, copied) != view {
		t.Error("what was exported is not what the kernel showed")
	}
	if _, stderr := expect(t, 8, "export", "--yes", "vg0/snap", "--pv", disk, "/dev/mapper/vg0-small"); !strings.Contains(stderr, "too small") {
		t.Error(stderr)
	}
	kernellab.Run(t, "mkfs.ext4", "-q", copied)
	before := kernellab.MustDigest(t, copied)
	if _, stderr := expect(t, 8, "export", "--yes", "vg0/snap", "--pv", disk, copied); !strings.Contains(stderr, "it holds ext4") {
		t.Error(stderr)
	}
	dir := t.TempDir()
	kernellab.Run(t, "mount", "-o", "ro,noload", copied, dir)
	expect(t, 8, "export", "--yes", "--force", "vg0/snap", "--pv", disk, copied)
	kernellab.Run(t, "umount", dir)
	if kernellab.MustDigest(t, copied) != before {
		t.Error("a device that was refused has changed")
	}
	expect(t, 0, "export", "--yes", "--force", "vg0/snap", "--pv", disk, copied)
	if kernellab.MustDigest(t, copied) != view {
		t.Error("forced, it is not what the kernel showed")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}
