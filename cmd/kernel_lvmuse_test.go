package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/snapshot"
)

// usedGroup is a volume group with a snapshot, and another volume, that is not active but
// for that other volume.
func usedGroup(t *testing.T) *lvmLab {
	t.Helper()
	l := lvmScenario{
		disks: []uint64{12}, group: "vg0", vg: []string{"--physicalextentsize", "256k"},
		make: func(l *lvmLab) {
			l.origin("origin", 2048)
			l.origin("other", 1024)
			l.snapshot("snap", "origin", "4k", 1024)
			l.write("origin", 2, 0, 1, 2, 300, 77)
			l.lvm("lvchange", "--activate", "n", "vg0/origin")
		},
	}.start(t)
	return l
}

// refusedWith runs a command that must be refused, with these words.
func refusedWith(t *testing.T, words string, args ...string) {
	t.Helper()
	if _, stderr := expect(t, 8, args...); !strings.Contains(stderr, words) {
		t.Errorf("%q: %s; expected %q", args, stderr, words)
	}
}

// TestKernelLVMInUse: a snapshot is written to beside volumes that are active, and is not
// where something else has its extents, or those of its origin, whichever way.
func TestKernelLVMInUse(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	write := [][]string{{"merge", "--yes", "vg0/snap"}, {"invalidate", "--yes", "vg0/snap"}}

	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	refusedWith(t, "in use by vg0-snap (dm-", write[0]...)
	refusedWith(t, "in use by vg0-snap (dm-", write[1]...)
	for _, by := range []string{"vg0-origin (dm-", "vg0-origin-real (dm-", "vg0-snap-cow (dm-"} {
		refusedWith(t, by, append(write[1], pv(l.loops)...)...)
	}
	refusedWith(t, "in use by loop", append(write[1], pv(l.files)...)...)
	expect(t, 0, "check", "vg0/snap")
	l.lvm("lvchange", "--activate", "n", "vg0/origin")

	l.lvm("vgchange", "--activate", "n", "vg0")
	program, err := os.OpenFile(l.loops[0], os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "in use by another program", write[1]...)
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	l.lvm("lvchange", "--activate", "y", "vg0/other")

	again := kernellab.Loop(t, l.files[0]) // over the same file
	for volume, dev := range map[string]string{"vg0/snap": again, "vg0/origin": l.loops[0]} {
		at := kernellab.Extents(t, volume)[0]
		mapped := kernellab.Create(t, "somebody", fmt.Sprintf("0 8 linear %s %d", dev, at.Start+at.Sectors-8), false)
		for _, args := range write {
			refusedWith(t, "-somebody (dm-", args...)
		}
		mapped.Remove(t)
		hidden := kernellab.Create(t, "hidden", fmt.Sprintf("0 8 delay %s %d 0", l.loops[0], at.Start), false)
		refusedWith(t, "-hidden (dm-", write[0]...)
		hidden.Remove(t)
	}
	// What is beside the volumes is no obstacle.
	end := kernellab.Extents(t, "vg0/snap")[0]
	beside := kernellab.Create(t, "beside", fmt.Sprintf("0 8 linear %s %d", again, end.Start+end.Sectors), false)
	view := corpus.Digest(lvmView(t, "vg0/snap", "vg0/origin", l.loops))
	expect(t, 0, write[0]...)
	beside.Remove(t)
	kernellab.Detach(t, again)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	if kernellab.MustDigest(t, l.mapped("origin", "")) != view {
		t.Error("the origin is not what the snapshot was")
	}
}

// TestKernelLVMHiddenUse: who has the extents is found where a loop device shows them that is
// mounted, and where no table can be read; a device that is suspended is not waited for.
func TestKernelLVMHiddenUse(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	merge := []string{"merge", "--yes", "vg0/snap", "--pv", l.loops[0]}

	at := kernellab.Extents(t, "vg0/origin")[0]
	part := kernellab.Loop(t, l.files[0], kernellab.Part(at.Start, at.Sectors))
	kernellab.Run(t, "mke2fs", "-q", part)
	dir := t.TempDir()
	kernellab.Run(t, "mount", part, dir)
	refusedWith(t, "a file system mounted on "+dir, merge...)
	kernellab.Run(t, "umount", dir)

	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	const control = "/dev/mapper/control"
	if err := os.Rename(control, control+".away"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{merge, {"invalidate", "--yes", "vg0/snap", "--pv", l.loops[0]}} {
		refusedWith(t, "vg0-origin", args...)
	}
	if err := os.Rename(control+".away", control); err != nil {
		t.Fatal(err)
	}
	l.lvm("lvchange", "--activate", "n", "vg0/origin")

	low := kernellab.Create(t, "low", "0 4096 linear "+blankLoop(t, 4096)+" 0", false)
	top := kernellab.Create(t, "top", "0 4096 linear "+low.Path+" 0", false)
	kernellab.Run(t, "dmsetup", "suspend", low.Path)
	expect(t, 0, "check", "vg0/snap")
	expect(t, 0, "list")
	for _, dev := range []string{low.Path, top.Path} {
		refusedWith(t, low.Path+" is suspended", "list", "--pv", dev)
	}
	kernellab.Run(t, "dmsetup", "resume", low.Path)
	top.Remove(t)
	low.Remove(t)
	expect(t, 0, merge...)
}

// TestKernelLVMOnPartition: a group on a partition of a disk is found once, by the partition or by
// the disk; what uses the disk in a way that is not known may have its extents.
func TestKernelLVMOnPartition(t *testing.T) {
	kernellab.Require(t)
	const sectors = 12 << 11
	file := kernellab.File(t, "disk", sectors)
	partition(t, file, 2048, sectors-2*2048)
	disk := kernellab.Loop(t, file, kernellab.Partitions())
	l := &lvmLab{T: t, lvmScenario: lvmScenario{group: "vg0"}, files: []string{file}, loops: []string{disk + "p1"}}
	kernellab.LVM(t, l.loops...)
	l.lvm("pvcreate", l.loops[0])
	l.lvm("vgcreate", "--physicalextentsize", "256k", "vg0", l.loops[0])
	l.origin("origin", 2048)
	l.snapshot("snap", "origin", "4k", 1024)
	l.write("origin", 2, 0, 1, 2, 300, 77)
	view := kernellab.MustDigest(t, l.mapped("snap", ""))
	l.lvm("vgchange", "--activate", "n", "vg0")
	for _, where := range [][]string{nil, {"--pv", disk}, {"--pv", disk + "p1"}, {"--pv", file}} {
		if all := list(t, 0, where...); len(all) != 1 || *all["vg0/snap"].Exceptions != 5 {
			t.Errorf("%q: %+v", where, all)
		}
	}
	hidden := kernellab.Create(t, "hidden", fmt.Sprintf("0 8 delay %s 4096 0", disk), false)
	for _, where := range [][]string{nil, {"--pv", disk + "p1"}} {
		if _, stderr := expect(t, 8, append([]string{"merge", "--yes", "vg0/snap"}, where...)...); !strings.Contains(stderr, "in use by ") {
			t.Errorf("%q: %s", where, stderr)
		}
	}
	hidden.Remove(t)
	expect(t, 0, "merge", "--yes", "vg0/snap", "--pv", disk)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	if kernellab.MustDigest(t, l.mapped("origin", "")) != view {
		t.Error("the origin is not what the snapshot was")
	}
	l.lvm("lvremove", "--yes", "vg0/snap")
	l.lvm("vgchange", "--activate", "n", "vg0")
}

// TestKernelLVMRecord: a store with other chunks than LVM has on record is loaded by them, and
// check says so, whether the snapshot is active or not.
func TestKernelLVMRecord(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	checked := func() {
		t.Helper()
		stdout, _ := expect(t, 0, "check", "vg0/snap")
		if !strings.Contains(stdout, "the header has 16-sector chunks, LVM's metadata 8") || strings.Contains(stdout, "not tested") {
			t.Errorf("%s", stdout)
		}
	}
	expect(t, 0, "initialize", "--yes", "--force", "--chunk-size", "8K", "vg0/snap")
	checked()
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	checked()
	l.write("origin", 3, 0, 1)
	if u := usageOf(t, "vg0/snap"); *u.ChunkSectors != 16 || *u.Exceptions != 1 || *u.MaximumSectors == 0 {
		t.Errorf("%+v", u)
	}
	l.lvm("lvchange", "--activate", "n", "vg0/origin")
}

// TestKernelLVMLock: while a command writes, LVM's lock of the group is held, and while LVM
// has it, none does.
func TestKernelLVMLock(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	patience := lockPatience
	lockPatience = 0
	defer func() { lockPatience = patience }()
	dir := filepath.Join(os.Getenv("LVM_SYSTEM_DIR"))
	lock := filepath.Join(dir, "V_vg0")
	hasLock := func() bool {
		_, err := exec.Command("lvm", "lvchange", "--config", "global/wait_for_locks=0 global/locking_dir=\""+dir+"\"", "--addtag", "x", "vg0/other").CombinedOutput()
		return err == nil
	}
	session := snapshot.Open(snapshot.Options{})
	named := snapshot.Request{COW: "vg0/snap"}
	old, err := session.Look(named)
	if err != nil || !hasLock() { // which changes the metadata
		t.Fatalf("to read, the lock is taken; %v", err)
	}
	v, err := session.Write(snapshot.ViewRequest{Request: named})
	if err != nil {
		t.Fatal(err)
	}
	if hasLock() {
		t.Error("LVM has the lock while dmcow should have it")
	}
	if v.COW.Volume.Group.Seqno <= old.Volume.Group.Seqno {
		t.Error("the metadata was not read again")
	}
	refusedWith(t, "dmcow: vg0: LVM's lock of the volume group, "+lock+", is in use", "invalidate", "--yes", "vg0/snap")
	expect(t, 0, "check", "vg0/snap")
	for range 2 { // to give it back twice does nothing
		if err := v.Unlock(); err != nil || !hasLock() {
			t.Error("LVM cannot have the lock that dmcow has given back")
		}
	}
	v.Close()
	if v, err = session.Write(snapshot.ViewRequest{Request: named}); err != nil || hasLock() {
		t.Errorf("the lock is not taken again: %v", err)
	}
	v.Close()
	session.Close()
	if _, err := os.Stat(lock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file stays: %v", err)
	}
	if !hasLock() {
		t.Error("LVM cannot have the lock when dmcow has ended")
	}

	f, err := os.Create(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "is in use", "invalidate", "--yes", "vg0/snap")
	expect(t, 0, "invalidate", "--dry-run", "vg0/snap")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	waiting := snapshot.Open(snapshot.Options{Patience: time.Hour, Interrupted: func() error {
		if ctx.Err() != nil {
			return snapshot.ErrInterrupted
		}
		return nil
	}})
	var refused *snapshot.Refusal
	if _, err := waiting.Write(snapshot.ViewRequest{Request: named}); !errors.As(err, &refused) || refused.Code != snapshot.Interrupted {
		t.Errorf("interrupted while it waits for the lock: %v", err)
	}
	waiting.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "invalidate", "--yes", "vg0/snap")
	// On image files alone, LVM cannot be at work.
	image, err := os.ReadFile(l.files[0])
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	devicetest.WriteFile(t, copied, image)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "revalidate", "--yes", "--assume-origin-unchanged", "vg0/snap", "--pv", copied)
}

// TestKernelLVMAway: of a group that is exported nothing is read; of one that lacks a
// physical volume, what is on the others is.
func TestKernelLVMAway(t *testing.T) {
	kernellab.Require(t)
	l := lvmScenario{
		disks: []uint64{12, 12}, group: "vg0", vg: []string{"--physicalextentsize", "256k"},
		make: func(l *lvmLab) {
			l.lvm("lvcreate", "--yes", "--name", "origin", "--size", "2048k", "vg0", l.loops[0])
			l.snapshot("here", "origin", "4k", 1024, l.loops[0])
			l.snapshot("there", "origin", "4k", 512, l.loops[0])
			l.extend("there", 512, l.loops[1])
			l.write("origin", 2, 0, 1, 2, 300, 77)
			l.lvm("vgchange", "--activate", "n", "vg0")
		},
	}.start(t)
	l.lvm("vgexport", "vg0")
	refusedWith(t, "volume group vg0 is exported", "dump", "vg0/here")
	if got := list(t, 0); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	l.lvm("vgimport", "vg0")
	uuid := l.lvm("pvs", "--noheadings", "-o", "uuid", l.loops[1])
	one := pv(l.loops[:1])
	expect(t, 0, append([]string{"check", "vg0/here"}, one...)...)
	stdout, stderr := expect(t, 8, append([]string{"dump", "--output", "csv", "vg0/there"}, one...)...)
	if strings.Count(stdout, "\n") != 6 || !strings.Contains(stderr, uuid+" is missing (it was "+l.loops[1]+"): extents 2 to 3 cannot be read; the rest can") {
		t.Errorf("%s%s", stdout, stderr)
	}
	refusedWith(t, uuid, append([]string{"invalidate", "--yes", "vg0/there"}, one...)...)
	refusedWith(t, uuid, append([]string{"merge", "--yes", "vg0/here"}, one...)...)
	expect(t, 0, append([]string{"invalidate", "--yes", "vg0/here"}, one...)...)
}
