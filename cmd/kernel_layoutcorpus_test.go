package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// smallLayouts are groups for testdata/lvm, each as small as it can be.
var smallLayouts = []struct {
	name     string
	disks    int // with one for the COW store
	options  []string
	then     func(s *stateLab) // before the snapshot
	readings []reading
}{
	{"raid1", 3, []string{"--type", "raid1", "--mirrors", "1"}, nil, []reading{{}, {Without: []int{0}, Told: "is missing"}, {Without: []int{1}, Told: "is missing"}}},
	{"raid0", 3, []string{"--type", "raid0", "--stripes", "2", "--stripesize", "8k"}, nil, []reading{{}, {Without: []int{1}, Fails: "is missing"}}},
	{"raid10", 5, []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "8k"}, nil, []reading{{}, {Without: []int{0, 3}, Told: "is missing"}, {Without: []int{2, 3}, Fails: "is missing"}}},
	{"mirror", 4, []string{"--type", "mirror", "--mirrors", "1", "--mirrorlog", "disk"}, nil, []reading{{}, {Without: []int{0}, Told: "the first leg of vg0/origin is not whole"}, {Without: []int{0, 2}, Fails: "is missing"}}},
	{"raid4", 4, []string{"--type", "raid4", "--stripes", "2", "--stripesize", "8k"}, nil, []reading{{}, {Without: []int{1}, Told: "is missing"}}},
	{"raid5", 4, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "8k"}, nil, []reading{{}, {Without: []int{2}, Told: "is missing"}, {Without: []int{0, 2}, Fails: "2 of 3 images are lacking"}}},
	{"raid6", 6, []string{"--type", "raid6_nc", "--stripes", "3", "--stripesize", "8k"}, nil, []reading{{}, {Without: []int{1, 4}, Told: "is missing"}, {Without: []int{0, 1, 2}, Fails: "3 of 5 images are lacking"}}},
	{"failed", 3, []string{"--type", "raid1", "--mirrors", "1"}, func(s *stateLab) {
		s.use(0, "error", "")
		s.write("origin", 7, span(30, 90)...)
	}, []reading{{Told: "out of date"}, {Without: []int{0}, Told: "is missing"}}},
	{"split", 3, []string{"--type", "raid1", "--mirrors", "1"}, func(s *stateLab) {
		s.lvm("lvconvert", "--yes", "--splitmirrors", "1", "--trackchanges", "vg0/origin", s.loops[0])
		s.write("origin", 7, span(30, 90)...)
	}, []reading{{Told: "is split off"}, {Without: []int{1}, Fails: "is split off"}}},
}

// TestKernelLayoutCorpus writes groups to DMCOW_LAB_OUT, with what the kernel showed of them.
func TestKernelLayoutCorpus(t *testing.T) {
	kernellab.Require(t)
	if os.Getenv("DMCOW_UPDATE") == "" {
		t.Skip("makes what is in testdata/lvm: make testdata")
	}
	for _, c := range smallLayouts {
		t.Run(c.name, func(t *testing.T) {
			s := smallLab(t, c.disks)
			s.origin(s.loops[:c.disks-1], append(c.options, "--size", "384k")...)
			s.waitSync("origin")
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			if c.then != nil {
				c.then(s)
			}
			if c.name != "split" { // LVM makes no snapshot then
				s.snapshot("snap", "origin", "4k", 256, s.last())
				s.write("origin", 2, 0, 1, 2, 17, 50, 95)
				s.write("snap", 3, 5, 50, 80)
			}
			s.saveViews("layout-"+c.name, c.readings)
		})
	}
	saveTargets(t)
	t.Run("moving", func(t *testing.T) {
		s := smallLab(t, 2)
		s.origin(s.loops[:1], "--size", "384k")
		s.write("origin", 1, span(0, 96)...)
		s.snapshot("snap", "origin", "4k", 256, s.loops[0])
		s.use(1, "delay", fmt.Sprintf(" 0 %s 0 200", s.under[1]))
		s.killMoveAt(s.loops[0], s.loops[1], func(float64) bool { return true })
		s.write("origin", 2, 0, 1, 2, 17, 50, 95)
		s.saveViews("layout-moving", []reading{{}})
	})
	t.Run("merging", func(t *testing.T) {
		s := smallLab(t, 1)
		s.origin(nil, "--size", "384k")
		s.write("origin", 1, span(0, 96)...)
		s.snapshot("snap", "origin", "4k", 256)
		s.write("origin", 2, 0, 1, 2, 17, 50, 95)
		s.write("snap", 3, 5, 50, 80)
		open, err := os.Open(s.mapped("origin", "")) // the merge waits for its end
		kernellab.Must(t, err)
		s.lvm("lvconvert", "--merge", "vg0/snap")
		kernellab.Must(t, open.Close())
		s.saveViews("layout-merging", []reading{{}})
	})
	t.Run("virtual", func(t *testing.T) {
		s := smallLab(t, 1)
		s.lvm("lvcreate", "--yes", "--type", "snapshot", "--virtualsize", "2m", "--size", "256k", "--chunksize", "4k", "--name", "snap", "vg0")
		s.write("snap", 3, 5, 50, 80)
		s.saveViews("layout-virtual", []reading{{}})
	})
}

// smallTargets make an origin of 384 KiB that device-mapper serves through metadata of its own.
var smallTargets = []struct {
	name string
	make func(s *stateLab)
	kept func(*lvmLab)
}{
	{"thin", func(s *stateLab) {
		s.lvm("lvcreate", "--yes", "--type", "thin-pool", "--size", "1m", "--poolmetadatasize", "2m", "--poolmetadataspare", "n", "--name", "pool", "vg0")
		s.lvm("lvcreate", "--yes", "--virtualsize", "384k", "--thinpool", "pool", "--name", "origin", "vg0")
	}, nil},
	{"cache", func(s *stateLab) {
		s.origin(nil, "--size", "384k")
		s.lvm("lvcreate", "--yes", "--type", "cache-pool", "--chunksize", "64k", "--poolmetadatasize", "2m", "--poolmetadataspare", "n", "--size", "2m", "--name", "fast", "vg0")
		s.lvm("lvconvert", "--yes", "--type", "cache", "--cachemode", "writeback", "--poolmetadataspare", "n", "--cachepool", "fast", "vg0/origin")
	}, func(l *lvmLab) { keepDirtyBlocks(l, 128, 1, 3, 5) }},
}

// saveTargets writes such groups.
func saveTargets(t *testing.T) {
	for _, c := range smallTargets {
		t.Run(c.name, func(t *testing.T) {
			s := stateLabOn(t, 1, 8, "64k", func(int) []byte { return make([]byte, 8<<20) })
			c.make(s)
			s.write("origin", 1, span(0, 96)...)
			if c.kept != nil {
				c.kept(s.lvmLab)
			}
			s.snapshot("snap", "origin", "4k", 256)
			s.write("origin", 2, 0, 1, 2, 17, 50, 95)
			s.write("snap", 3, 5, 50, 80)
			s.saveViews("layout-"+c.name, []reading{{}})
			if c.name != "cache" {
				return
			}
			under, _, err := readVolume(t, "vg0/origin_corig", s.copies())
			if all, _, e := readVolume(t, "vg0/origin", s.copies()); e != nil || err != nil || bytes.Equal(under, all) {
				t.Error("nothing in the cache is dirty", err, e)
			}
		})
	}
}

func smallLab(t *testing.T, disks int) *stateLab {
	t.Helper()
	return stateLabOn(t, disks, 3, "64k", func(int) []byte { return make([]byte, 3<<20) })
}

// saveViews writes the disks as they are when the group is not active any more, or else as they are now.
func (s *stateLab) saveViews(name string, readings []reading) {
	s.Helper()
	f := layoutFacts{Readings: readings}
	for _, volume := range []string{"origin", "snap"} {
		if _, err := os.Stat(s.mapped(volume, "")); err == nil {
			f.Views = append(f.Views, volumeView{"vg0/" + volume, volume == "snap", kernellab.MustDigest(s, s.mapped(volume, ""))})
		}
	}
	moving := name == "layout-moving"
	if !moving {
		for i := range s.devices {
			s.use(i, "linear", "")
		}
		s.lvm("vgchange", "--activate", "n", "vg0")
	}
	dir := os.Getenv("DMCOW_LAB_OUT")
	for i, file := range s.copies() {
		content, err := os.ReadFile(file)
		kernellab.Must(s, err)
		f.Disks = append(f.Disks, fmt.Sprintf("%s.%d.gz", name, i))
		kernellab.Must(s, os.WriteFile(filepath.Join(dir, f.Disks[i]), devicetest.Zip(s, content), 0o644))
	}
	if moving {
		s.use(1, "linear", "")
		s.lvm("pvmove", "--abort")
	}
	b, err := json.MarshalIndent(f, "", "  ")
	kernellab.Must(s, err)
	kernellab.Must(s, os.WriteFile(filepath.Join(dir, name+".json"), append(b, '\n'), 0o644))
	for _, r := range slices.Clone(readings) {
		for _, v := range f.Views {
			if !moving {
				r.check(s.T, v, without(s.copies(), r.Without))
			}
		}
	}
}
