package cmd

import (
	"bytes"
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

// mergingLab is a group with a snapshot "snap", which LVM has begun to merge, and "kept", another one of the origin,
// which was extended when both were there.
type mergingLab struct {
	*stateLab
	views map[string]string // what the snapshots showed
	after []byte            // what the origin is to be
	saved string            // LVM's metadata from before the merge
}

// newMergingLab makes it. The kernel is not at it yet: LVM waits for the origin to be closed.
func newMergingLab(t *testing.T) *mergingLab {
	t.Helper()
	l := &mergingLab{stateLab: newStateLab(t, 1, 16), views: map[string]string{}, saved: filepath.Join(t.TempDir(), "saved")}
	l.origin(nil)
	l.snapshot("kept", "origin", "16k", 1024)
	l.write("origin", 2, span(0, 60)...)
	l.snapshot("snap", "origin", "4k", 1024)
	l.lvm("lvchange", "--activate", "n", "vg0/origin")
	l.extend("origin", 1024)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	var apart []uint64 // a step of the kernel's for each
	for n := range uint64(40) {
		apart = append(apart, 3*n+n%2)
	}
	l.write("origin", 3, append(apart, 900)...)
	l.write("snap", 4, 5, 700)
	for _, name := range []string{"snap", "kept"} {
		view := kernellab.MustRead(t, l.mapped(name, ""))
		l.views[name] = corpus.Digest(view)
		if name == "snap" {
			l.after = append(view, kernellab.MustRead(t, l.mapped("origin", ""))[len(view):]...)
		}
	}
	l.lvm("vgcfgbackup", "--file", l.saved, "vg0")
	open, err := os.Open(l.mapped("origin", ""))
	kernellab.Must(t, err)
	l.lvm("lvconvert", "--merge", "vg0/snap")
	kernellab.Must(t, open.Close())
	l.lvm("lvchange", "--activate", "n", "vg0/origin")
	return l
}

// halfWay are the disks as they are when the kernel has done a part: one chunk of the origin cannot be written to, and it
// gives up there.
func (l *mergingLab) halfWay() (files []string) {
	l.Helper()
	const chunk = 30 // of which the other snapshot has a copy
	l.breaks(kernellab.Extents(l, "vg0/origin")[0].Start + chunk*8)
	l.lvm("lvchange", "--activate", "y", "--poll", "n", "vg0/origin")
	const enough = 500
	for n := 0; !strings.Contains(kernellab.Run(l, "dmsetup", "status", "vg0-origin"), "Merge failed"); n++ {
		if n == enough {
			l.Fatal("the kernel does not give up")
		}
	}
	refusedWith(l.T, "in use by vg0-origin", "merge", "--yes", "vg0/snap")
	if m := list(l.T, 0)["vg0/snap"]; !m.Merging || !m.Active || m.LeftToMerge == nil || *m.LeftToMerge == 0 {
		l.Errorf("while the kernel is at it: %+v", m)
	}
	files = l.copies()
	l.use(0, "linear", "")
	l.lvm("vgchange", "--activate", "n", "vg0")
	return files
}

// breaks has 8 sectors of the first disk fail.
func (s *stateLab) breaks(at uint64) {
	s.Helper()
	s.devices[0].Reload(s, fmt.Sprintf("0 %d linear %s 0\n%[1]d 8 error\n%[3]d %[4]d linear %[2]s %[3]d", at, s.under[0], at+8, s.sectors-at-8))
}

// TestKernelLVMMerging: a merge that LVM has begun ends off line, whether the kernel has done a part of it or not; LVM
// then finds that nothing is left, and removes the snapshot. Other snapshots keep what they show.
func TestKernelLVMMerging(t *testing.T) {
	kernellab.Require(t)
	l := newMergingLab(t)
	scheduled := l.copies()
	half := l.halfWay()
	all := *list(t, 0, pv(scheduled)...)["vg0/snap"].LeftToMerge
	if left := *list(t, 0, pv(half)...)["vg0/snap"].LeftToMerge; left == 0 || left >= all {
		t.Fatalf("%d exceptions of %d are left", left, all)
	}
	for _, c := range []struct {
		name  string
		disks []string
		then  func(files []string)
	}{{"half", half, l.ends}, {"taken back", scheduled, l.takenBack}} {
		t.Run(c.name, func(t *testing.T) {
			l.T = t
			file := filepath.Join(t.TempDir(), "disk")
			devicetest.WriteFile(t, file, kernellab.MustRead(t, c.disks[0]))
			c.then([]string{file})
		})
	}
	l.T = t
}

// offLine merges off line, on disks that are images.
func (l *mergingLab) offLine(files []string, args ...string) {
	l.Helper()
	where := pv(files)
	before := metadataOn(l.T, files[0])
	expect(l.T, 0, slices.Concat([]string{"merge", "--yes", "--verify", "vg0/snap"}, where, args)...)
	if !bytes.Equal(metadataOn(l.T, files[0]), before) {
		l.Error("LVM's metadata was written")
	}
	l.holds(files, l.after, "after the merge")
	if m := list(l.T, 0, where...)["vg0/snap"]; !m.Merging || *m.LeftToMerge != 0 {
		l.Errorf("%+v", m)
	}
}

// metadataOn is what LVM keeps before the first extent.
func metadataOn(t *testing.T, file string) []byte {
	t.Helper()
	return kernellab.MustRead(t, file)[:1<<20]
}

// holds wants the origin to hold something, and both snapshots to show what they did.
func (l *mergingLab) holds(files []string, want []byte, when string) {
	l.Helper()
	content, told, err := readVolume(l.T, "vg0/origin", files)
	if err != nil || !bytes.Equal(content, want) {
		l.Errorf("%s, the origin is something else (%v, %q)", when, err, told)
	}
	for name, view := range l.views {
		l.checkExport("vg0/"+name, files, view)
	}
}

// ends merges off line, activates the group, and wants LVM to end the merge.
func (l *mergingLab) ends(files []string) {
	l.Helper()
	l.offLine(files)
	l.attach(files)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	const enough = 500
	for n := 0; strings.Contains(l.lvm("lvs", "--all", "--noheadings", "-o", "lv_name", "vg0"), "snap"); n++ {
		if n == enough {
			l.Fatal("LVM does not remove the snapshot")
		}
	}
	l.activated()
}

// activated wants the origin to be what it is to be, and the other snapshot to show what it did.
func (l *mergingLab) activated() {
	l.Helper()
	if kernellab.MustDigest(l, l.mapped("origin", "")) != corpus.Digest(l.after) {
		l.Error("active, the origin is something else")
	}
	if kernellab.MustDigest(l, l.mapped("kept", "")) != l.views["kept"] {
		l.Error("the other snapshot shows something else")
	}
}

// attach has LVM see images of the disks, and no others, until the test ends.
func (l *mergingLab) attach(files []string) {
	l.Helper()
	var loops []string
	for _, f := range files {
		loops = append(loops, kernellab.Loop(l.T, f))
	}
	kernellab.LVM(l.T, loops...)
	l.Cleanup(func() { l.lvm("vgchange", "--activate", "n", "vg0") })
}

// takenBack takes back what was merged off line: then LVM's merge is as it was, and the kernel ends it; or LVM is made
// to forget that it had begun it, and the snapshot is there.
func (l *mergingLab) takenBack(files []string) {
	l.Helper()
	before, _, err := readVolume(l.T, "vg0/origin", files)
	kernellab.Must(l, err)
	log := filepath.Join(l.TempDir(), "log")
	l.offLine(files, "--undo", log)
	_, stderr := expect(l.T, 0, append([]string{"merge", "--yes", log, "--into", "vg0/origin"}, pv(files)...)...)
	if !strings.Contains(stderr, "the kernel merges again what is undone") {
		l.Errorf("%s", stderr)
	}
	l.holds(files, before, "taken back")
	l.attach(files)
	l.lvm("vgcfgrestore", "--file", l.saved, "vg0")
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	if kernellab.MustDigest(l, l.mapped("origin", "")) != corpus.Digest(before) || kernellab.MustDigest(l, l.mapped("snap", "")) != l.views["snap"] {
		l.Error("with LVM's merge called off, origin or snapshot are something else")
	}
	l.lvm("lvchange", "--activate", "n", "vg0/origin")
}

// TestKernelLVMSeveral: snapshots of several origins are merged in one go, also one that LVM has begun to merge. Where a
// chunk of one cannot be read, the others are merged all the same, and it is when it can be read again.
func TestKernelLVMSeveral(t *testing.T) {
	kernellab.Require(t)
	l := newStateLab(t, 1, 16)
	views := map[string]string{}
	for _, name := range []string{"root", "var"} {
		l.lvmLab.origin(name, 1024)
		l.snapshot(name+"-snap", name, "4k", 512)
		l.write(name, 2, append(span(0, 20), 77, 99)...)
		l.write(name+"-snap", 3, 5, 50)
		views[name] = kernellab.MustDigest(t, l.mapped(name+"-snap", ""))
	}
	open, err := os.Open(l.mapped("var", ""))
	kernellab.Must(t, err)
	l.lvm("lvconvert", "--merge", "vg0/var-snap")
	kernellab.Must(t, open.Close())
	l.lvm("vgchange", "--activate", "n", "vg0")

	l.breaks(kernellab.Extents(t, "vg0/root-snap")[0].Start + 5*8)
	args := []string{"merge", "--yes", "--output", "json", "vg0/root-snap", "vg0/var-snap"}
	stdout, stderr := expect(t, 8, args...)
	if strings.Contains(stdout, "root-snap") || strings.Count(stdout, `"device": "vg0/`) != 1 {
		t.Errorf("programs are told %s", stdout)
	}
	for _, want := range []string{"vg0/root-snap: ", "vg0/var: merged 23 chunks"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s lacks %q", stderr, want)
		}
	}
	l.use(0, "linear", "")
	_, stderr = expect(t, 0, args...)
	if !strings.Contains(stderr, "vg0/root: merged ") || strings.Contains(stderr, "vg0/var: merged") {
		t.Errorf("%s", stderr)
	}
	l.lvm("vgchange", "--activate", "y", "vg0")
	for name, view := range views {
		if kernellab.MustDigest(t, l.mapped(name, "")) != view {
			t.Errorf("%s is not what its snapshot was", name)
		}
	}
	l.lvm("lvremove", "--yes", "vg0/root-snap")
}
