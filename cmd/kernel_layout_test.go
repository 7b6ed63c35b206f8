package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// layout is a kind of volume that an origin can be, on disks of its own.
type layout struct {
	name  string
	disks int
	make  []string // options of lvcreate
	spare int      // how many of its disks may be missing, whichever
	needs [][]int  // or: of each of these sets of disks one must be there
	doubt bool     // the legs may differ, though all is there
}

var layouts = []layout{
	{name: "raid1", disks: 2, make: []string{"--type", "raid1", "--mirrors", "1"}, spare: 1},
	{name: "raid1-3", disks: 3, make: []string{"--type", "raid1", "--mirrors", "2"}, spare: 2},
	{name: "raid0", disks: 3, make: []string{"--type", "raid0", "--stripes", "3", "--stripesize", "16k"}},
	{name: "raid0_meta", disks: 2, make: []string{"--type", "raid0_meta", "--stripes", "2", "--stripesize", "64k"}},
	{name: "raid10", disks: 4, make: []string{"--type", "raid10", "--stripes", "2", "--mirrors", "1", "--stripesize", "32k"}, needs: [][]int{{0, 1}, {2, 3}}},
	{name: "mirror-core", disks: 2, make: []string{"--type", "mirror", "--mirrors", "1", "--mirrorlog", "core"}, needs: [][]int{{0}}, doubt: true},
	{name: "mirror-disk", disks: 3, make: []string{"--type", "mirror", "--mirrors", "1", "--mirrorlog", "disk"}, needs: [][]int{{0, 1}, {0, 2}}},
	{name: "raid4", disks: 3, make: []string{"--type", "raid4", "--stripes", "2", "--stripesize", "16k"}, spare: 1},
	{name: "raid5_ls", disks: 4, make: []string{"--type", "raid5_ls", "--stripes", "3", "--stripesize", "16k"}, spare: 1},
	{name: "raid5_la", disks: 4, make: []string{"--type", "raid5_la", "--stripes", "3", "--stripesize", "8k"}, spare: 1},
	{name: "raid5_rs", disks: 4, make: []string{"--type", "raid5_rs", "--stripes", "3", "--stripesize", "16k"}, spare: 1},
	{name: "raid5_ra", disks: 4, make: []string{"--type", "raid5_ra", "--stripes", "3", "--stripesize", "16k"}, spare: 1},
	{name: "raid5_n", disks: 4, make: []string{"--type", "raid5_n", "--stripes", "3", "--stripesize", "64k"}, spare: 1},
	{name: "raid6_zr", disks: 5, make: []string{"--type", "raid6_zr", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_nr", disks: 5, make: []string{"--type", "raid6_nr", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_nc", disks: 5, make: []string{"--type", "raid6_nc", "--stripes", "3", "--stripesize", "8k"}, spare: 2},
	{name: "raid6_n_6", disks: 5, make: []string{"--type", "raid6_n_6", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_ls_6", disks: 6, make: []string{"--type", "raid6_ls_6", "--stripes", "4", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_la_6", disks: 5, make: []string{"--type", "raid6_la_6", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_rs_6", disks: 5, make: []string{"--type", "raid6_rs_6", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
	{name: "raid6_ra_6", disks: 5, make: []string{"--type", "raid6_ra_6", "--stripes", "3", "--stripesize", "16k"}, spare: 2},
}

// bears reports whether the volume can be had without these disks.
func (a layout) bears(missing []int) bool {
	if a.needs != nil {
		return !slices.ContainsFunc(a.needs, func(one []int) bool {
			return !slices.ContainsFunc(one, func(i int) bool { return !slices.Contains(missing, i) })
		})
	}
	return len(missing) <= a.spare
}

// layoutLab makes a group with an origin of a layout, and a snapshot of it on the last disk.
func layoutLab(t *testing.T, a layout, mib uint64) *lvmLab {
	t.Helper()
	l := lvmScenario{
		name: a.name, group: "vg0", vg: []string{"--physicalextentsize", "128k"}, merge: "snap", disks: slices.Repeat([]uint64{mib}, a.disks+1),
		make: func(l *lvmLab) {
			l.lvm(slices.Concat([]string{"lvcreate", "--yes", "--name", "origin", "--size", "3m"}, a.make, []string{l.group}, l.loops[:a.disks])...)
		},
	}.start(t)
	l.waitSync("origin")
	return l
}

// waitSync waits until a volume's images are in sync.
func (l *lvmLab) waitSync(volume string) {
	l.Helper()
	for {
		switch sync := l.lvm("lvs", "--noheadings", "-o", "sync_percent", l.group+"/"+volume); sync {
		case "", "100.00":
			return
		}
		kernellab.Run(l, "udevadm", "--version") // any program takes a while
	}
}

// fill writes the origin, makes a snapshot of it, and writes to both.
func (l *lvmLab) fill() {
	l.Helper()
	l.write("origin", 1, span(0, l.chunks("origin"))...)
	l.snapshot("snap", "origin", "4k", 1024, l.loops[len(l.loops)-1])
	l.write("origin", 2, 0, 1, 2, 3, 17, 18, 19, 100, 201, 300, 301, 400, 555, 700)
	l.write("snap", 3, 5, 300, 500, 767)
}

// chunks are a volume's, of 4 KiB.
func (l *lvmLab) chunks(volume string) uint64 {
	l.Helper()
	var sectors uint64
	if _, err := fmt.Sscan(kernellab.Run(l, "blockdev", "--getsz", l.mapped(volume, "")), &sectors); err != nil {
		l.Fatal(err)
	}
	return sectors / 8
}

// subsets are all sets of up to so many of the first n numbers.
func subsets(n, most int) (all [][]int) {
	for bits := range 1 << n {
		var s []int
		for i := range n {
			if bits>>i&1 != 0 {
				s = append(s, i)
			}
		}
		if len(s) <= most {
			all = append(all, s)
		}
	}
	return all
}

// checkReads wants the origin to be read as the kernel showed it, without each set of disks that it can do without, and
// the snapshot, with all disks and with one set, to be exported, mounted and compared as it was.
func (l *lvmLab) checkReads(a layout, origin, snap []byte) {
	l.Helper()
	missed := false
	for _, missing := range subsets(a.disks, 3) {
		disks := without(l.files, missing)
		content, told, err := readVolume(l.T, "vg0/origin", disks)
		switch {
		case !a.bears(missing) && err == nil:
			l.Errorf("%s without %v: is read, and told %q", a.name, missing, told)
		case !a.bears(missing):
		case err != nil || !bytes.Equal(content, origin):
			l.Errorf("%s without %v: %v, is as it was: %v, told %q", a.name, missing, err, bytes.Equal(content, origin), told)
		case (len(missing) > 0 || a.doubt) != (len(told) > 0):
			l.Errorf("%s without %v: told %q", a.name, missing, told)
		}
		if a.bears(missing) && (len(missing) == 0 || !missed) {
			missed = missed || len(missing) > 0
			l.checkExport("vg0/snap", disks, corpus.Digest(snap))
			l.checkShown(disks, origin, snap)
		}
	}
}

// checkShown wants the snapshot to be mounted as it was, and to be compared with its origin, chunk by chunk.
func (l *lvmLab) checkShown(disks []string, origin, snap []byte) {
	l.Helper()
	m := mountSnapshot(l.T, append([]string{"vg0/snap"}, pv(disks)...)...)
	if kernellab.MustDigest(l, m.file) != corpus.Digest(snap) {
		l.Errorf("from %d disks: the file is not what the snapshot was", len(disks))
	}
	m.unmount()
	const chunk = 4096
	want := "offset,length\n"
	for at, end := 0, 0; at < len(snap); at = max(end, at+chunk) {
		for end = at; end < len(snap) && !bytes.Equal(origin[end:][:chunk], snap[end:][:chunk]); end += chunk {
		}
		if end > at {
			want += fmt.Sprintf("%d,%d\n", at, end-at)
		}
	}
	if got, stderr := expect(l.T, 0, append([]string{"diff", "--content", "--output", "csv", "vg0/snap"}, pv(disks)...)...); got != want {
		l.Errorf("from %d disks: %s differs, want %s; %s", len(disks), got, want, stderr)
	}
}

// checkCutOff wants origin and snapshot to be read as they are from what a power cut would leave of the disks now.
func (l *lvmLab) checkCutOff(origin, snap []byte) {
	l.Helper()
	dir := l.TempDir()
	var disks []string
	for i, file := range l.files {
		disks = append(disks, filepath.Join(dir, fmt.Sprint("cut", i)))
		devicetest.WriteFile(l, disks[i], kernellab.MustRead(l, file))
	}
	if content, told, err := readVolume(l.T, "vg0/origin", disks); err != nil || !bytes.Equal(content, origin) {
		l.Errorf("cut off: %v, is as it was: %v, told %q", err, bytes.Equal(content, origin), told)
	}
	l.checkExport("vg0/snap", disks, corpus.Digest(snap))
	for _, disk := range disks {
		kernellab.Must(l, os.Remove(disk))
	}
}

// checkExport wants a snapshot to be exported as it was.
func (l *lvmLab) checkExport(name string, disks []string, want string) {
	l.Helper()
	image := filepath.Join(l.TempDir(), "image")
	if _, stderr := expect(l.T, 0, append([]string{"export", name, image}, pv(disks)...)...); kernellab.MustDigest(l, image) != want {
		l.Errorf("%s, from %d disks: is not exported as it was: %s", name, len(disks), stderr)
	}
}

// checkImage wants what is exported with these arguments to have a digest.
func (l *lvmLab) checkImage(want string, args ...string) {
	l.Helper()
	image := filepath.Join(l.TempDir(), "image")
	if _, stderr := expect(l.T, 0, slices.Concat([]string{"export"}, args, []string{image})...); kernellab.MustDigest(l, image) != want {
		l.Errorf("export %v: is something else: %s", args, stderr)
	}
}

// TestKernelLayouts: whatever an origin's layout, it and its snapshot are read as the kernel shows them, also
// without the disks that it can do without, and from what a power cut leaves.
func TestKernelLayouts(t *testing.T) {
	kernellab.Require(t)
	requireFUSE(t)
	for _, a := range layouts {
		t.Run(a.name, func(t *testing.T) {
			devicetest.LongBut(t, a.name, "raid1", "raid10", "mirror-disk", "raid5_ls", "raid6_zr")
			l := layoutLab(t, a, 12)
			l.fill()
			origin, snap := kernellab.MustRead(t, l.mapped("origin", "")), kernellab.MustRead(t, l.mapped("snap", ""))
			cow := kernellab.MustDigest(t, l.mapped("snap", "cow"))
			l.checkImage(corpus.Digest(origin), "vg0/origin")
			l.checkCutOff(origin, snap)
			expect(t, 8, "export", "--store", "vg0/snap", filepath.Join(t.TempDir(), "image"))
			l.lvm("vgchange", "--activate", "n", "vg0")
			l.checkReads(a, origin, snap)
			l.checkImage(corpus.Digest(origin), append(pv(l.files), "vg0/origin")...)
			l.checkImage(cow, append(pv(l.files), "--store", "vg0/snap")...)
			if a.name == "raid1" {
				l.checkImage(corpus.Digest(snap), append(pv(l.files), "--origin", "vg0/origin_rimage_1", "vg0/snap")...)
			}
		})
	}
}
