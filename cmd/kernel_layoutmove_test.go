package cmd

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/volume"
)

// killAt starts pvmove, and kills it when so much has been moved, by what LVM says of the volume's progress.
func (s *stateLab) killMoveAt(from, to string, enough func(percent float64) bool) {
	s.Helper()
	move := exec.Command("lvm", "pvmove", "--interval", "1", from, to)
	kernellab.Must(s, move.Start())
	ended := make(chan error, 1)
	go func() { ended <- move.Wait() }()
	for {
		select {
		case err := <-ended:
			s.Fatal("pvmove has come to its end: ", err)
		default:
		}
		var percent float64
		text := s.lvm("lvs", "--all", "--noheadings", "--select", "lv_name=pvmove0", "-o", "copy_percent", "vg0")
		if strings.TrimSpace(text) == "" {
			continue // it has not begun
		}
		if _, err := fmt.Sscan(text, &percent); err == nil && enough(percent) {
			kernellab.Must(s, move.Process.Kill())
			<-ended
			return
		}
	}
}

// TestKernelMoving: while pvmove is at work on an origin and its COW store, and when it was cut off, which LVM
// cannot activate any more, both are read as the kernel showed them.
func TestKernelMoving(t *testing.T) {
	kernellab.Require(t)
	for _, enough := range []float64{0, 40, 75} {
		t.Run(fmt.Sprint(enough), func(t *testing.T) {
			devicetest.LongBut(t, fmt.Sprint(enough), "75")
			s := newStateLab(t, 3, 24)
			s.origin(s.loops[:1])
			s.snapshot("snap", "origin", "4k", 1024, s.loops[0])
			s.lvm("lvchange", "--activate", "n", "vg0/origin")
			s.extend("origin", 2048, s.loops[0]) // a second segment, behind the COW store
			s.lvm("lvchange", "--activate", "y", "vg0/origin")
			s.lvm("lvremove", "--yes", "vg0/snap")
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			s.snapshot("snap", "origin", "4k", 1024, s.loops[0])
			s.write("origin", 2, 0, 1, 2, 3, 100, 201, 300, 301, 400, 555, 700, 1000)
			s.use(2, "delay", fmt.Sprintf(" 0 %s 0 60", s.under[2]))
			s.killMoveAt(s.loops[0], s.loops[2], func(percent float64) bool { return percent > enough })
			s.write("origin", 7, span(30, 60)...)
			s.write("snap", 8, 3, 500, 1100)
			origin, snap := kernellab.MustDigest(t, s.mapped("origin", "")), kernellab.MustDigest(t, s.mapped("snap", ""))
			files := s.copies()
			content, told, err := readVolume(t, "vg0/origin", files)
			if err != nil || corpus.Digest(content) != origin || len(told) > 0 {
				t.Errorf("%v, as the kernel has it: %v, told %q", err, corpus.Digest(content) == origin, told)
			}
			s.checkExport("vg0/snap", files, snap)
			expect(t, 0, append([]string{"merge", "--yes", "vg0/snap"}, pv(files)...)...)
			s.checkMerged(kept{}, files, snap)
			if enough == 75 {
				s.checkMovedSegment(files)
			}
			s.use(2, "linear", "")
			s.lvm("pvmove", "--abort")
		})
	}
}

// TestKernelLongMovingImage: so is an array of which pvmove is moving an image, also without another one.
func TestKernelLongMovingImage(t *testing.T) {
	kernellab.Require(t)
	devicetest.Long(t)
	s := newStateLab(t, 4, 16)
	s.origin(s.loops[:2], "--type", "raid1", "--mirrors", "1")
	s.waitSync("origin")
	s.write("origin", 1, span(0, s.chunks("origin"))...)
	s.snapshot("snap", "origin", "4k", 1024, s.loops[2])
	s.use(3, "delay", fmt.Sprintf(" 0 %s 0 200", s.under[3]))
	s.killMoveAt(s.loops[0], s.loops[3], func(float64) bool { return true })
	s.write("origin", 2, 0, 1, 2, 300, 555)
	s.write("snap", 3, 5, 300)
	want := map[string]string{"vg0/origin": kernellab.MustDigest(t, s.mapped("origin", "")), "vg0/snap": kernellab.MustDigest(t, s.mapped("snap", ""))}
	s.checkFiles("active", s.copies(), want, []reading{{}, {Without: []int{1}, Told: "is missing"}, {Without: []int{0}, Told: "is missing"}})
	s.use(3, "linear", "")
	s.lvm("pvmove", "--abort")
}

// checkMovedSegment wants a segment to be on record as moved, and another one not.
func (s *stateLab) checkMovedSegment(files []string) {
	s.Helper()
	sight, err := volume.Look(volume.Options{Given: files, Tell: func(string, string) {}})
	kernellab.Must(s, err)
	defer sight.Close()
	moved := map[bool]int{}
	for _, m := range sight.Groups.All[0].Find("pvmove0").Segments {
		if m.Type == "mirror" {
			moved[m.Number("extents_moved") == m.Count]++
		}
	}
	if moved[true] == 0 || moved[false] == 0 {
		s.Errorf("%d segments are on record as moved, %d not", moved[true], moved[false])
	}
}

// TestKernelVirtual: a snapshot of nothing but zeros is read as the kernel shows it.
func TestKernelVirtual(t *testing.T) {
	kernellab.Require(t)
	s := newStateLab(t, 1, 24)
	s.lvm("lvcreate", "--yes", "--type", "snapshot", "--virtualsize", "32m", "--size", "4m", "--chunksize", "4k", "--name", "virt", "vg0")
	s.write("virt", 3, append(span(1000, 1100), 8191)...)
	view := kernellab.MustDigest(t, s.mapped("virt", ""))
	s.lvm("vgchange", "--activate", "n", "vg0")
	s.checkExport("vg0/virt", s.copies(), view)
}

// TestKernelErrorSegment: of an origin of which a segment is of type error, all else is read.
func TestKernelErrorSegment(t *testing.T) {
	kernellab.Require(t)
	s := newStateLab(t, 2, 12)
	s.origin(s.loops[:1])
	s.write("origin", 1, span(0, s.chunks("origin"))...)
	s.lvm("lvextend", "--type", "error", "--size", "+1m", "vg0/origin")
	files := s.copies()
	content, told, err := readVolume(t, "vg0/origin", files)
	if want := kernellab.Pattern(0, 3<<11, 1); err == nil || len(content) != 4<<20 || !slices.Equal(content[:3<<20], want) || !strings.Contains(strings.Join(told, ""), "extents 24 to 31 cannot be read") {
		t.Errorf("%v, %d bytes, told %q", err, len(content), told)
	}
}

// TestKernelRAIDStore: a COW store on RAID0, which LVM lets a user make, is read, and emptied.
func TestKernelRAIDStore(t *testing.T) {
	kernellab.Require(t)
	s := newStateLab(t, 3, 12)
	s.origin(s.loops[:1])
	s.write("origin", 1, span(0, s.chunks("origin"))...)
	s.lvm("lvcreate", "--yes", "--type", "raid0", "--stripes", "2", "--stripesize", "16k", "--size", "1m", "--name", "snap", "vg0", s.loops[1], s.loops[2])
	s.lvm("lvconvert", "--yes", "--snapshot", "--chunksize", "4k", "vg0/origin", "vg0/snap")
	s.write("origin", 2, 0, 1, 2, 3, 100, 201, 300, 301, 400, 555, 700)
	s.check(reading{})
	expect(t, 0, append([]string{"check", "vg0/snap"}, pv(s.copies())...)...)
	s.activate(true)
	snap := kernellab.MustDigest(t, s.mapped("snap", ""))
	s.activate(false)
	expect(t, 0, append([]string{"merge", "--yes", "vg0/snap"}, pv(s.loops)...)...)
	s.activate(true)
	for _, name := range []string{"origin", "snap"} {
		if kernellab.MustDigest(t, s.mapped(name, "")) != snap {
			t.Errorf("%s does not show the snapshot", name)
		}
	}
}

// TestKernelChangedRAID: what LVM made of an array later is read: larger, of another level, with more images.
func TestKernelChangedRAID(t *testing.T) {
	kernellab.Require(t)
	for name, c := range map[string]struct {
		disks   int
		options []string
		change  func(s *stateLab)
		spare   int
	}{
		"extended": {4, []string{"--type", "raid5", "--stripes", "3", "--stripesize", "16k"}, func(s *stateLab) {
			s.lvm("lvcreate", "--yes", "--name", "between", "--size", "256k", "vg0", s.loops[1])
			s.extend("origin", 3072, s.loops[:4]...)
		}, 1},
		"raid1-to-raid5": {2, []string{"--type", "raid1", "--mirrors", "1"}, func(s *stateLab) {
			s.lvm("lvconvert", "--yes", "--type", "raid5", "vg0/origin")
		}, 1},
		"raid0-to-raid5": {3, []string{"--type", "raid0", "--stripes", "2", "--stripesize", "16k"}, func(s *stateLab) {
			s.lvm("lvconvert", "--yes", "--type", "raid5_n", "vg0/origin")
		}, 1},
		"one-more": {3, []string{"--type", "raid1", "--mirrors", "1"}, func(s *stateLab) {
			s.lvm("lvconvert", "--yes", "--mirrors", "2", "vg0/origin")
		}, 2},
		"image-moved": {2, []string{"--type", "raid1", "--mirrors", "1"}, func(s *stateLab) {
			s.lvm("pvmove", "--interval", "1", s.loops[0], s.loops[3])
		}, 0},
		"reshaped": {4, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "64k"}, func(s *stateLab) {
			s.lvm("lvconvert", "--yes", "--stripes", "3", "vg0/origin")
		}, 1},
		"reshaped-twice": {3, []string{"--type", "raid5", "--stripes", "2", "--stripesize", "64k"}, func(s *stateLab) {
			s.lvm("lvconvert", "--yes", "--stripesize", "32k", "vg0/origin")
			s.waitSync("origin")
			s.lvm("lvconvert", "--yes", "--type", "raid5_rs", "vg0/origin")
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			devicetest.LongBut(t, name, "raid1-to-raid5")
			s := newStateLab(t, 5, 24)
			first := c.disks
			if name == "reshaped" || name == "raid0-to-raid5" || name == "one-more" {
				first--
			}
			s.origin(s.loops[:first], c.options...)
			s.waitSync("origin")
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			c.change(s)
			s.waitSync("origin")
			s.lvm("vgchange", "--activate", "n", "vg0")
			s.lvm("vgchange", "--activate", "y", "vg0")
			s.waitSync("origin")
			s.write("origin", 4, span(100, 300)...)
			if !strings.HasPrefix(name, "reshaped") { // LVM makes no snapshot of one for a while
				s.snapshotOnLast()
			}
			all := []reading{{}}
			for i := range c.spare {
				all = append(all, reading{Without: []int{i}, Told: "is missing"})
			}
			s.check(all...)
		})
	}
}
