package cmd

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// mountable is a file system on the logical volume vg0/origin.
type mountable struct {
	*testing.T
	dir    string // where it is mounted
	fsType string
}

func (v mountable) mount(dev string) {
	v.Helper()
	kernellab.Run(v, "mount", "-t", v.fsType, dev, v.dir)
}

func (v mountable) unmount() {
	v.Helper()
	kernellab.Run(v, "umount", v.dir)
}

// files are all of the files, with what they hold.
func (v mountable) files() map[string]string {
	v.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = corpus.Digest(content)
		return err
	})
	if err != nil {
		v.Fatal(err)
	}
	return all
}

// write writes the files numbered from first up to but without end, which name
// themselves and a word in each line.
func (v mountable) write(dir, word string, first, end int) {
	v.Helper()
	dir = filepath.Join(v.dir, dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		v.Fatal(err)
	}
	for n := first; n < end; n++ {
		line := fmt.Appendf(nil, "file %d, as it was %s\n", n, word)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), bytes.Repeat(line, 500+n*120), 0o644); err != nil {
			v.Fatal(err)
		}
	}
}

// TestKernelMergeOfFileSystems makes a snapshot of a file system that is in use, and
// changes files. Off line, the snapshot is merged: the file system is clean, and each
// file what it was that day; LVM removes the snapshot then.
func TestKernelMergeOfFileSystems(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		fsType string
		mkfs   []string
		fsck   []string
		size   uint64 // of the volume, in MiB
		chunk  string
		pv     bool // the COW device is a part of its physical volume; else a device of its own
	}{
		{"ext4", []string{"mkfs.ext4", "-q"}, []string{"e2fsck", "-f", "-n"}, 24, "4k", true},
		{"ext4", []string{"mkfs.ext4", "-q", "-b", "1024"}, []string{"e2fsck", "-f", "-n"}, 24, "64k", false},
		{"xfs", []string{"mkfs.xfs", "-q"}, []string{"xfs_repair", "-n"}, 304, "4k", false},
	} {
		t.Run(c.fsType+" "+c.chunk, func(t *testing.T) {
			if _, err := exec.LookPath(c.mkfs[0]); err != nil {
				t.Skip("no " + c.mkfs[0])
			}
			const dev, lv = "/dev/mapper/vg0-origin", "vg0/origin"
			disks := []string{blankLoop(t, (c.size+16)<<11), blankLoop(t, 40<<11)}
			kernellab.VolumeGroup(t, "vg0", disks...)
			// Two extents, with another volume between them.
			kernellab.Run(t, "lvm", "lvcreate", "--name", "origin", "--size", "8m", "vg0", disks[0])
			kernellab.Run(t, "lvm", "lvcreate", "--name", "between", "--size", "4m", "vg0", disks[0])
			kernellab.Run(t, "lvm", "lvextend", "--size", fmt.Sprintf("%dm", c.size), lv, disks[0])
			kernellab.Run(t, c.mkfs[0], append(c.mkfs[1:], dev)...)
			v := mountable{t, t.TempDir(), c.fsType}
			t.Cleanup(func() { _ = syscall.Unmount(v.dir, 0) })
			v.mount(dev)
			v.write("", "before", 0, 40)
			v.write("deep/er", "before", 0, 10)
			before := v.files()
			kernellab.Run(t, "lvm", "lvcreate", "--snapshot", "--name", "snap", "--chunksize", c.chunk, "--size", "24m", lv, disks[1])
			v.write("", "changed", 5, 24)
			v.write("new", "added", 0, 12)
			for n := 24; n < 30; n++ {
				if err := os.Remove(filepath.Join(v.dir, fmt.Sprint(n))); err != nil {
					t.Fatal(err)
				}
			}
			v.unmount()
			view := kernellab.MustDigest(t, "/dev/mapper/vg0-snap")
			if view == kernellab.MustDigest(t, dev) {
				t.Fatal("nothing has changed")
			}
			kernellab.Run(t, "lvm", "lvchange", "--activate", "n", lv)
			kernellab.Run(t, "lvm", "lvchange", "--activate", "n", "vg0/between")

			origin := kernellab.Linear(t, "origin", kernellab.Extents(t, lv))
			extents := kernellab.Extents(t, "vg0/snap")
			if c.pv {
				if len(extents) != 1 {
					t.Fatal(extents)
				}
				e := extents[0]
				expect(t, 0, "merge", "--yes", "--offset", fmt.Sprintf("%ds", e.Start), "--size", fmt.Sprintf("%ds", e.Sectors),
					e.Physical, "--into", origin.Path)
			} else {
				cow := kernellab.Linear(t, "cow", extents)
				expect(t, 0, "merge", "--yes", "--verify", cow.Path, "--into", origin.Path)
				cow.Remove(t)
			}
			if kernellab.MustDigest(t, origin.Path) != view {
				t.Error("the origin is not what the snapshot was")
			}
			fsck := func() { kernellab.Run(t, c.fsck[0], append(c.fsck[1:], origin.Path)...) }
			if c.fsType != "xfs" { // whose log is to be replayed first
				fsck()
			}
			v.mount(origin.Path)
			if got := v.files(); !maps.Equal(got, before) {
				t.Errorf("%d files, there were %d, or they hold something else", len(got), len(before))
			}
			v.unmount()
			fsck()
			origin.Remove(t)

			kernellab.Run(t, "lvm", "lvchange", "--activate", "y", lv)
			kernellab.Run(t, "lvm", "lvremove", "--yes", "vg0/snap")
			v.mount(dev)
			if !maps.Equal(v.files(), before) {
				t.Error("without the snapshot, the files hold something else")
			}
			v.unmount()
		})
	}
}
