package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// stateLab is a group of which each disk is behind a device that can be made to fail, or to be slow.
type stateLab struct {
	*lvmLab
	under   []string // loop devices
	devices []*kernellab.Device
	sectors uint64
}

// newStateLab makes a group on so many disks, with nothing in it. The disks hold something already, each something else.
func newStateLab(t *testing.T, disks int, mib uint64) *stateLab {
	t.Helper()
	return stateLabOn(t, disks, mib, "128k", func(i int) []byte { return kernellab.Pattern(0, mib<<11, uint64(1000+i)) })
}

// stateLabOn is newStateLab on disks that hold something.
func stateLabOn(t *testing.T, disks int, mib uint64, extent string, content func(i int) []byte) *stateLab {
	t.Helper()
	s := &stateLab{lvmLab: &lvmLab{T: t, lvmScenario: lvmScenario{group: "vg0"}}, sectors: mib << 11}
	for i := range disks {
		file := kernellab.File(t, fmt.Sprint("disk", i), s.sectors)
		devicetest.WriteFile(t, file, content(i))
		s.files = append(s.files, file)
		s.under = append(s.under, kernellab.Loop(t, file))
		s.devices = append(s.devices, kernellab.Create(t, fmt.Sprint("pv", i), s.table(i, "linear", ""), false))
		s.loops = append(s.loops, s.devices[i].Path)
	}
	kernellab.LVM(t, s.loops...)
	s.lvm(slices.Concat([]string{"pvcreate"}, s.loops)...)
	s.lvm(slices.Concat([]string{"vgcreate", "--physicalextentsize", extent, "vg0"}, s.loops)...)
	t.Cleanup(func() {
		for i, d := range s.devices {
			d.Reload(t, s.table(i, "linear", ""))
		}
		s.lvm("vgchange", "--activate", "n", "vg0")
	})
	return s
}

func (s *stateLab) table(disk int, target, rest string) string {
	if target == "error" { // for all but what LVM keeps on it
		return fmt.Sprintf("0 2048 linear %s 0\n2048 %d error", s.under[disk], s.sectors-2048)
	}
	return fmt.Sprintf("0 %d %s %s 0%s", s.sectors, target, s.under[disk], rest)
}

// use makes a disk another target: linear, error, or delay.
func (s *stateLab) use(disk int, target, rest string) {
	s.Helper()
	s.devices[disk].Reload(s.T, s.table(disk, target, rest))
}

// origin makes the origin on some disks, and the first writes to it.
func (s *stateLab) origin(disks []string, options ...string) {
	s.Helper()
	s.lvm(slices.Concat([]string{"lvcreate", "--yes", "--wipesignatures", "n", "--zero", "n", "--name", "origin"}, sized(options), []string{s.group}, disks)...)
}

// sized are options with a size.
func sized(options []string) []string {
	if slices.Contains(options, "--size") {
		return options
	}
	return append(slices.Clip(options), "--size", "3m")
}

func (s *stateLab) last() string { return s.loops[len(s.loops)-1] }

// copies are the disks as they are now, as a power cut would leave them.
func (s *stateLab) copies() (files []string) {
	s.Helper()
	for _, d := range s.devices {
		d.Suspend(s)
	}
	defer func() {
		for _, d := range s.devices {
			d.Resume(s)
		}
	}()
	dir := s.TempDir()
	for i, file := range s.files {
		b, err := os.ReadFile(file)
		kernellab.Must(s, err)
		files = append(files, filepath.Join(dir, fmt.Sprint("copy", i)))
		devicetest.WriteFile(s, files[i], b)
	}
	return files
}

// check wants the origin, and the snapshot if there is one, to be read as they are now, from the disks as they are and
// as they are after they were deactivated.
func (s *stateLab) check(all ...reading) {
	s.Helper()
	want := map[string]string{"vg0/origin": kernellab.MustDigest(s, s.mapped("origin", ""))}
	if _, err := os.Stat(s.mapped("snap", "")); err == nil {
		want["vg0/snap"] = kernellab.MustDigest(s, s.mapped("snap", ""))
	}
	copies := s.copies()
	s.checkFiles("active", copies, want, all)
	for _, file := range copies {
		kernellab.Must(s, os.Remove(file))
	}
	for i, d := range s.devices {
		d.Reload(s, s.table(i, "linear", ""))
	}
	s.lvm("vgchange", "--activate", "n", "vg0")
	s.checkFiles("not active", s.copies(), want, all)
}

func (s *stateLab) checkFiles(when string, files []string, want map[string]string, all []reading) {
	s.Helper()
	for _, r := range all {
		disks := without(files, r.Without)
		content, told, err := readVolume(s.T, "vg0/origin", disks)
		if r.Fails != "" {
			if err == nil || !strings.Contains(err.Error(), r.Fails) {
				s.Errorf("%s, without %v: %v, want %s; told %q", when, r.Without, err, r.Fails, told)
			}
			continue
		}
		if when == "active" && r.Told == "" { // it may have been written just now
			told = slices.DeleteFunc(told, func(s string) bool { return strings.Contains(s, "were being written when all was cut off") })
		}
		if text := strings.Join(told, "; "); err != nil || corpus.Digest(content) != want["vg0/origin"] || !strings.Contains(text, r.Told) || r.Told == "" && text != "" {
			s.Errorf("%s, without %v: %v, as the kernel has it: %v; told %q, want %q", when, r.Without, err, corpus.Digest(content) == want["vg0/origin"], told, r.Told)
		}
		if snap := want["vg0/snap"]; snap != "" {
			s.checkExport("vg0/snap", disks, snap)
		}
	}
}

// snapshotOnLast makes a snapshot, and writes to it and to the origin.
func (s *stateLab) snapshotOnLast() {
	s.Helper()
	s.snapshot("snap", "origin", "4k", 1024, s.last())
	s.write("origin", 2, 0, 1, 2, 3, 17, 18, 19, 100, 201, 300, 301, 400, 555, 700)
	s.write("snap", 3, 5, 300, 500, 767)
}

// degrade activates the group without a disk, and writes to the origin.
func (s *stateLab) degrade(disk int) {
	s.Helper()
	s.lvm("vgchange", "--activate", "n", "vg0")
	kernellab.LVM(s.T, without(s.loops, []int{disk})...)
	s.lvm("vgchange", "--activate", "y", "--activationmode", "degraded", "vg0")
	s.write("origin", 7, span(30, 250)...)
}

// TestKernelStaleImages: an image that was away, or failed while it ran, is not read, though LVM's metadata
// knows nothing of that.
func TestKernelStaleImages(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name    string
		disks   int
		options []string
		stale   []int
	}{
		{"raid1", 2, []string{"--type", "raid1", "--mirrors", "1"}, []int{0, 1}},
		{"raid10", 4, []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "16k"}, []int{2}},
		{"raid5", 3, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "16k"}, []int{0}},
		{"raid6", 5, []string{"--type", "raid6", "--stripes", "3", "--stripesize", "16k"}, []int{4}},
	} {
		for _, stale := range c.stale {
			t.Run(fmt.Sprint(c.name, "-away-", stale), func(t *testing.T) {
				devicetest.LongBut(t, c.name, "raid1")
				s := newStateLab(t, c.disks+1, 12)
				s.origin(s.loops[:c.disks], c.options...)
				s.waitSync("origin")
				s.write("origin", 1, span(0, s.chunks("origin"))...)
				s.snapshotOnLast()
				s.degrade(stale)
				s.check(reading{Told: "out of date"}, reading{Without: []int{stale}, Told: "is missing"})
			})
			t.Run(fmt.Sprint(c.name, "-failed-", stale), func(t *testing.T) {
				devicetest.LongBut(t, fmt.Sprint(c.name, stale), "raid64")
				s := newStateLab(t, c.disks+1, 12)
				s.origin(s.loops[:c.disks], c.options...)
				s.waitSync("origin")
				s.write("origin", 1, span(0, s.chunks("origin"))...)
				s.use(stale, "error", "")
				s.write("origin", 7, span(30, 250)...)
				s.snapshotOnLast()
				s.check(reading{Told: "out of date"}, reading{Without: []int{stale}, Told: "is missing"})
			})
		}
	}
}

// TestKernelSplitImage: an image that is split off with its changes tracked is not read.
func TestKernelSplitImage(t *testing.T) {
	kernellab.Require(t)
	s := newStateLab(t, 3, 12)
	s.origin(s.loops[:2], "--type", "raid1", "--mirrors", "1")
	s.waitSync("origin")
	s.write("origin", 1, span(0, s.chunks("origin"))...)
	s.lvm("lvconvert", "--yes", "--splitmirrors", "1", "--trackchanges", "vg0/origin", s.loops[0])
	s.write("origin", 7, span(30, 250)...)
	s.check(reading{Told: "is split off"}, reading{Without: []int{0}, Told: "is split off"}, reading{Without: []int{1}, Fails: "is split off"})
}

// throttle has arrays get into sync so slowly that they never do.
func throttle(t *testing.T) {
	t.Helper()
	for _, name := range []string{"min", "max"} {
		file := "/proc/sys/dev/raid/speed_limit_" + name
		was, err := os.ReadFile(file)
		kernellab.Must(t, err)
		kernellab.Must(t, os.WriteFile(file, []byte("1"), 0))
		t.Cleanup(func() { _ = os.WriteFile(file, was, 0) })
	}
}

// unsynced wants the origin not to be in sync yet.
func (s *stateLab) unsynced() {
	s.Helper()
	if sync := s.lvm("lvs", "--noheadings", "-o", "sync_percent", "vg0/origin"); sync == "100.00" || sync == "" {
		s.Fatalf("is in sync: %q", sync)
	}
}

// TestKernelResync: an array that is not in sync yet is read as the kernel reads it, with whatever its images held before.
func TestKernelResync(t *testing.T) {
	kernellab.Require(t)
	kernellab.Run(t, "modprobe", "-a", "raid1", "raid10", "raid456")
	throttle(t)
	const differ = "may differ, because they were not yet in sync"
	for _, c := range []struct {
		name    string
		disks   int
		options []string
		all     []reading
	}{
		{"raid1", 2, []string{"--type", "raid1", "--mirrors", "1"}, []reading{{Told: differ}, {Without: []int{1}, Told: differ}}},
		{"raid10", 4, []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "16k"}, []reading{{Told: differ}, {Without: []int{1, 3}, Told: differ}}},
		{"raid5", 3, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "16k"}, []reading{{Told: differ}, {Without: []int{1}, Fails: "its parity says nothing"}}},
		{"raid6", 5, []string{"--type", "raid6", "--stripes", "3", "--stripesize", "16k"}, []reading{{Told: differ}, {Without: []int{1}, Fails: "its parity says nothing"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			devicetest.LongBut(t, c.name, "raid1")
			s := newStateLab(t, c.disks+1, 16)
			s.origin(s.loops[:c.disks], append(c.options, "--size", "12m")...)
			s.write("origin", 1, span(2000, 2500)...)
			s.snapshotOnLast()
			s.unsynced()
			s.check(c.all...)
		})
	}
}

// TestKernelLongResyncMirror: so is a mirror whose second leg is slow; without the first leg, what the log does not have in sync
// cannot be read.
func TestKernelLongResyncMirror(t *testing.T) {
	kernellab.Require(t)
	devicetest.Long(t)
	s := newStateLab(t, 4, 24)
	s.use(1, "delay", fmt.Sprintf(" 0 %s 0 60", s.under[1]))
	s.origin(s.loops[:3], "--type", "mirror", "--mirrors", "1", "--mirrorlog", "disk", "--regionsize", "32k", "--size", "12m")
	s.write("origin", 1, span(2000, 2010)...)
	s.snapshotOnLast()
	s.unsynced()
	want := map[string]string{"vg0/origin": kernellab.MustDigest(t, s.mapped("origin", "")), "vg0/snap": kernellab.MustDigest(t, s.mapped("snap", ""))}
	s.checkFiles("active", s.copies(), want, []reading{
		{Told: "may differ, because they are not in sync: the first is read"}, {Without: []int{1}, Told: "a leg of vg0/origin is not whole"},
		{Without: []int{0}, Fails: "is missing"},
	})
}

// TestKernelRebuild: an image that is being rebuilt is read up to there, and only there.
func TestKernelRebuild(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name    string
		disks   int
		options []string
		lacks   []int // with these, and what is not rebuilt, there is too little
	}{
		{"raid1", 2, []string{"--type", "raid1", "--mirrors", "1"}, []int{1}},
		{"raid10", 4, []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "16k"}, []int{1}},
		{"raid5", 3, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "16k"}, []int{1}},
		{"raid6", 5, []string{"--type", "raid6", "--stripes", "3", "--stripesize", "16k"}, []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			devicetest.LongBut(t, c.name, "raid5")
			s := newStateLab(t, c.disks+1, 16)
			s.origin(s.loops[:c.disks], append(c.options, "--size", "12m")...)
			s.waitSync("origin")
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			throttle(t)
			s.lvm("lvchange", "--yes", "--rebuild", s.loops[0], "vg0/origin")
			s.write("origin", 7, span(1500, 2000)...)
			s.snapshotOnLast()
			s.unsynced()
			s.check(reading{Told: "rebuilt"}, reading{Without: []int{0}, Told: "is missing"}, reading{Without: c.lacks, Fails: "rebuilt"})
		})
	}
}
