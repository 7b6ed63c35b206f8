package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// kept are the volumes that an origin is kept in: those in a group of copies must hold the same, and records are what
// says whether they do.
type kept struct {
	copies  [][]string
	records []string
}

// mergeLayouts are the layouts that can be merged into.
var mergeLayouts = []struct {
	name    string
	disks   int // with one for the COW store
	options []string
	kept
	on int // the disk of which a part fails; where nothing is kept twice, none does
}{
	{"raid1", 4, []string{"--type", "raid1", "--mirrors", "2"},
		kept{[][]string{{"origin_rimage_0", "origin_rimage_1", "origin_rimage_2"}}, []string{"origin_rmeta_0", "origin_rmeta_1", "origin_rmeta_2"}}, 1},
	{"raid1-nosync", 3, []string{"--type", "raid1", "--nosync", "--mirrors", "1"},
		kept{[][]string{{"origin_rimage_0", "origin_rimage_1"}}, []string{"origin_rmeta_0", "origin_rmeta_1"}}, 0},
	{"raid10", 5, []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "32k"},
		kept{[][]string{{"origin_rimage_0", "origin_rimage_1"}, {"origin_rimage_2", "origin_rimage_3"}}, []string{"origin_rmeta_0", "origin_rmeta_1", "origin_rmeta_2", "origin_rmeta_3"}}, 3},
	{"mirror-disk", 4, []string{"--type", "mirror", "--mirrors", "1", "--mirrorlog", "disk"},
		kept{[][]string{{"origin_mimage_0", "origin_mimage_1"}}, []string{"origin_mlog"}}, 1},
	{"mirror-striped", 5, []string{"--type", "mirror", "--mirrors", "1", "--mirrorlog", "core", "--stripes", "2", "--stripesize", "16k"},
		kept{[][]string{{"origin_mimage_0", "origin_mimage_1"}}, nil}, 3},
	{"raid0", 3, []string{"--type", "raid0", "--stripes", "2", "--stripesize", "16k"}, kept{}, -1},
}

// volume is the content of a volume on disks.
func (s *stateLab) volume(name string, disks []string) []byte {
	s.Helper()
	b, _, err := readVolume(s.T, "vg0/"+name, disks)
	kernellab.Must(s, err)
	return b
}

// same reports whether all copies hold the same.
func (k kept) same(s *stateLab, disks []string) bool {
	s.Helper()
	for _, all := range k.copies {
		first := s.volume(all[0], disks)
		if slices.ContainsFunc(all[1:], func(name string) bool { return !bytes.Equal(first, s.volume(name, disks)) }) {
			return false
		}
	}
	return true
}

// recorded is what stands in the records.
func (k kept) recorded(s *stateLab, disks []string) (all [][]byte) {
	s.Helper()
	for _, name := range k.records {
		all = append(all, s.volume(name, disks))
	}
	return all
}

// replaceWithin makes a stretch of a disk another target, in sectors.
func (s *stateLab) replaceWithin(disk int, from, to uint64, target string) {
	s.Helper()
	s.devices[disk].Reload(s.T, fmt.Sprintf("0 %d linear %s 0\n%[1]d %[3]d %[6]s\n%[4]d %[5]d linear %[2]s %[4]d", from, s.under[disk], to-from, to, s.sectors-to, target))
}

func (s *stateLab) activate(yes bool) {
	s.Helper()
	s.lvm("vgchange", "--activate", map[bool]string{true: "y", false: "n"}[yes], "vg0")
}

// TestKernelMergeLayouts: a merge writes all copies that the origin is kept in. Where it is cut off, as it is
// here because a leg cannot be written, they differ, and the same command ends it; or the kernel is the next to see
// the origin, and makes them the same, with the snapshot as it was. After a merge that came to its end, the kernel
// has nothing to do: what it keeps on record of the copies is what it was.
func TestKernelMergeLayouts(t *testing.T) {
	kernellab.Require(t)
	for _, c := range mergeLayouts {
		t.Run(c.name, func(t *testing.T) {
			devicetest.LongBut(t, c.name, "raid1", "mirror-disk")
			s := newStateLab(t, c.disks, 8)
			s.origin(s.loops[:c.disks-1], c.options...)
			s.waitSync("origin")
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			s.snapshotOnLast()
			names := []string{"origin", "snap"}
			want := map[string]string{}
			if c.name == "raid1" { // whose other snapshots keep what they have
				s.snapshot("other", "origin", "4k", 1024, s.last())
				s.write("origin", 4, 3, 8, 201, 710)
				names = append(names, "other")
			}
			for _, name := range names {
				want[name] = kernellab.MustDigest(t, s.mapped(name, ""))
			}
			snap := want["snap"]
			want["origin"] = snap
			s.activate(false)
			if c.on >= 0 {
				s.cutOff(c.name, c.on, c.kept, snap)
			}

			before := c.recorded(s, s.loops)
			expect(t, 0, append([]string{"merge", "--yes", "--verify", "vg0/snap"}, pv(s.loops)...)...)
			if after := c.recorded(s, s.loops); !slices.EqualFunc(before, after, bytes.Equal) {
				t.Error("the records are not what they were")
			}
			s.checkMerged(c.kept, s.loops, snap)
			s.activate(true)
			if sync := s.lvm("lvs", "--noheadings", "-o", "sync_percent", "vg0/origin"); sync != "100.00" && sync != "" && c.name != "mirror-striped" { // whose log is in memory
				t.Errorf("in sync: %s", sync)
			}
			for _, name := range names {
				if kernellab.MustDigest(t, s.mapped(name, "")) != want[name] {
					t.Errorf("%s does not show what it should", name)
				}
			}
			s.activate(false)
			s.checkMerged(c.kept, s.loops, snap)
		})
	}
}

// checkMerged wants the origin to hold what the snapshot showed, in all copies.
func (s *stateLab) checkMerged(k kept, disks []string, snap string) {
	s.Helper()
	if corpus.Digest(s.volume("origin", disks)) != snap {
		s.Error("the origin is not what the snapshot showed")
	}
	if !k.same(s, disks) {
		s.Error("the copies differ")
	}
}

// cutOff cuts a merge off: some of a disk cannot be written, or it forgets what is written there, which reading it back
// shows; or it is killed.
func (s *stateLab) cutOff(layout string, disk int, k kept, snap string) {
	s.Helper()
	before := k.recorded(s, s.loops)
	args, target, why := []string{"merge", "--yes", "vg0/snap"}, "error", s.loops[disk]+": input/output error"
	if layout == "raid10" {
		args = append(args, "--verify")
		target, why = fmt.Sprintf("flakey %s %d 0 60 1 drop_writes", s.under[disk], 2048+1024), "reads back other data than was written"
	}
	if layout == "raid1-nosync" {
		s.use(disk, "delay", fmt.Sprintf(" 0 %s 0 30", s.under[disk]))
		after := time.Duration(rand.Int64N(int64(500 * time.Millisecond)))
		killed(s.T, &after, append(args, pv(s.loops)...)...)
		s.use(disk, "linear", "")
		s.Logf("killed after %v, the copies are the same: %v", after, k.same(s, s.loops))
		s.goOn(k, snap)
		return
	}
	s.replaceWithin(disk, 2048+1024, 2048+2048, target)
	_, stderr := expect(s.T, 8, append(args, pv(s.loops)...)...)
	if !strings.Contains(stderr, why) {
		s.Errorf("%s does not say %s", stderr, why)
	}
	s.use(disk, "linear", "")
	if k.same(s, s.loops) {
		s.Error("no copies differ")
	}
	if slices.ContainsFunc(slices.Collect(pairs(before, k.recorded(s, s.loops))), func(same bool) bool { return same }) {
		s.Error("it is not on record that copies may differ")
	}
	if told := s.goOn(k, snap); len(before) > 0 && !strings.Contains(told, "because a merge into it was cut off") {
		s.Errorf("%s", told)
	}
}

// goOn wants the same command to end a merge that was cut off, and where the kernel is the next, it to make the copies the
// same, with the snapshot as it was.
func (s *stateLab) goOn(k kept, snap string) (told string) {
	s.Helper()
	copies := s.copies()
	_, told = expect(s.T, 0, append([]string{"merge", "--yes", "vg0/snap"}, pv(copies)...)...)
	s.checkMerged(k, copies, snap)
	s.activate(true)
	s.waitSync("origin")
	if kernellab.MustDigest(s, s.mapped("snap", "")) != snap {
		s.Error("the snapshot is not what it was")
	}
	s.activate(false)
	if !k.same(s, s.loops) {
		s.Error("the kernel has not made the copies the same")
	}
	return told
}

// pairs says of each of two lists' elements whether they are the same.
func pairs(a, b [][]byte) func(yield func(bool) bool) {
	return func(yield func(bool) bool) {
		for i := range a {
			if !yield(bytes.Equal(a[i], b[i])) {
				return
			}
		}
	}
}

// TestKernelMergeMoving: a merge into an origin that pvmove was moving, when it was cut off, is there when LVM has
// moved the rest, and when it has given that up.
func TestKernelMergeMoving(t *testing.T) {
	kernellab.Require(t)
	for _, end := range []string{"--interval=1", "--abort"} {
		t.Run(end, func(t *testing.T) {
			devicetest.LongBut(t, end, "--abort")
			s := newStateLab(t, 3, 12)
			s.origin(s.loops[:1])
			s.write("origin", 1, span(0, s.chunks("origin"))...)
			s.snapshot("snap", "origin", "4k", 1024, s.loops[1])
			s.write("origin", 2, 0, 1, 2, 3, 100, 201, 300, 301, 400, 555, 700)
			snap := kernellab.MustDigest(t, s.mapped("snap", ""))
			s.use(2, "delay", fmt.Sprintf(" 0 %s 0 500", s.under[2]))
			s.killMoveAt(s.loops[0], s.loops[2], func(float64) bool { return true })
			s.activate(false)
			s.use(2, "linear", "")
			expect(t, 0, append([]string{"merge", "--yes", "--verify", "vg0/snap"}, pv(s.loops)...)...)
			s.activate(true)
			s.lvm("pvmove", end)
			for _, name := range []string{"origin", "snap"} {
				if kernellab.MustDigest(t, s.mapped(name, "")) != snap {
					t.Errorf("%s does not show the snapshot", name)
				}
			}
		})
	}
}

// TestKernelMergeUnsynced: into an array that is not in sync, or an image of which has failed, nothing is merged.
func TestKernelMergeUnsynced(t *testing.T) {
	kernellab.Require(t)
	kernellab.Run(t, "modprobe", "raid1")
	for name, why := range map[string]string{"not in sync": "vg0/origin is not in sync", "failed": "it has failed, and is out of date"} {
		t.Run(name, func(t *testing.T) {
			s := newStateLab(t, 3, 12)
			if name == "not in sync" {
				throttle(t)
			}
			s.origin(s.loops[:2], "--type", "raid1", "--mirrors", "1", "--size", "8m")
			if name == "failed" {
				s.waitSync("origin")
				s.use(1, "error", "")
				s.write("origin", 7, span(30, 250)...)
			}
			s.snapshotOnLast()
			s.use(1, "linear", "")
			files := s.copies()
			was := imagesOf(t, files)
			_, stderr := expect(t, 8, append([]string{"merge", "--yes", "vg0/snap"}, pv(files)...)...)
			if !strings.Contains(stderr, why) || !strings.Contains(stderr, "hint: lvchange --activate y vg0/origin; ") {
				t.Errorf("%s", stderr)
			}
			if !slices.EqualFunc(was, imagesOf(t, files), bytes.Equal) {
				t.Error("something was written")
			}
		})
	}
}
