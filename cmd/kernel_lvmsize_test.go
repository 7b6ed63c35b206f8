package cmd

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmcow/dump"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// extendedGroup is a volume group with a snapshot "short", in chunks of 64 KiB, whose origin was
// extended when it was there, and a snapshot "long", in chunks of 4 KiB, that was made then.
// short ends in the middle of its chunk 64.
func extendedGroup(t *testing.T) *lvmLab {
	t.Helper()
	return lvmScenario{
		disks: []uint64{24}, group: "vg0", vg: []string{"--physicalextentsize", "32k"},
		make: func(l *lvmLab) {
			l.origin("origin", 4096+32)
			l.snapshot("short", "origin", "64k", 2048)
			l.write("origin", 2, 0, 1, 300, 77)
			l.lvm("vgchange", "--activate", "n", "vg0")
			l.extend("origin", 2048)
			l.lvm("vgchange", "--activate", "y", "vg0")
			l.snapshot("long", "origin", "4k", 2048)
		},
	}.start(t)
}

// oldChunks are the chunks of the origin that have an exception in a store.
func (l *lvmLab) oldChunks(name string) (all []uint64) {
	l.Helper()
	stdout, _ := expect(l.T, 0, "dump", "--output", "csv", name)
	for line := range strings.Lines(stdout) {
		var area, index, old, new uint64
		if n, _ := fmt.Sscanf(line, "%d,%d,%d,%d", &area, &index, &old, &new); n == 4 {
			all = append(all, old)
		}
	}
	slices.Sort(all)
	return all
}

// checkSizes wants dmcow to say of a snapshot what the kernel said of its device.
func (l *lvmLab) checkSizes(name string, device, origin uint64, status string) {
	l.Helper()
	for _, where := range [][]string{nil, pv(l.loops)} {
		if d := list(l.T, 0, where...)[name]; d.OriginSectors == nil || *d.OriginSectors != device || *d.Status != status {
			l.Errorf("%s by %q: listed as %+v, the kernel has %d sectors, %s", name, where, d, device, status)
		}
		for _, said := range [][]string{nil, {"--origin", "vg0/origin"}} {
			u := usageOf(l.T, slices.Concat(where, said, []string{name})...)
			if want := storeOf(u, device); u.MaximumSectors == nil || *u.MaximumSectors != want || *u.Status != status {
				l.Errorf("%s by %q: %+v, want %d sectors at most, %s", name, where, u, want, status)
			}
		}
		tables, _ := expect(l.T, 0, slices.Concat([]string{"usage", "--table"}, where, []string{name})...)
		for _, want := range []string{fmt.Sprintf("\n0 %d snapshot ", device), fmt.Sprintf("\n0 %d snapshot-merge ", origin)} {
			if !strings.Contains(tables, want) {
				l.Errorf("%s by %q: %s lacks %q", name, where, tables, want)
			}
		}
	}
}

// storeOf is how large a store is that has an exception for each chunk of a snapshot, and room to
// end its list.
func storeOf(u dump.Usage, sectors uint64) uint64 {
	chunks := (sectors + *u.ChunkSectors - 1) / *u.ChunkSectors
	areas := chunks/(*u.ChunkSectors*512/16) + 1
	return (1 + areas + chunks) * *u.ChunkSectors
}

func (l *lvmLab) sectors(volume string) (n uint64) {
	l.Helper()
	if _, err := fmt.Sscan(kernellab.Run(l, "blockdev", "--getsz", l.mapped(volume, "")), &n); err != nil {
		l.Fatal(err)
	}
	return n
}

// status is what the kernel's status line says of a snapshot.
func (l *lvmLab) status(volume string) string {
	l.Helper()
	_, text, _ := strings.Cut(kernellab.Run(l, "dmsetup", "status", l.mapped(volume, "")), " snapshot ")
	return strings.TrimSpace(text)
}

// TestKernelLVMSizes: a snapshot of an origin that was extended has the size that the kernel gives
// it, active or not; a merge of a longer one gives it no exceptions behind its end, as the kernel
// does not, and it goes on showing what it shows.
func TestKernelLVMSizes(t *testing.T) {
	kernellab.Require(t)
	l := extendedGroup(t)
	l.write("origin", 3, 5, 1033, 1100)
	if got := l.oldChunks("vg0/short"); !slices.Equal(got, []uint64{0, 4, 18}) {
		t.Errorf("what was written behind its end: the kernel has %d", got)
	}
	l.write("origin", 4, 500, 1031)
	if got := l.oldChunks("vg0/short"); !slices.Equal(got, []uint64{0, 4, 18, 31, 64}) {
		t.Errorf("the kernel has %d", got)
	}
	l.write("long", 5, 700, 1200)

	short, long := l.sectors("short"), l.sectors("long")
	status := map[string]string{"short": l.status("short"), "long": l.status("long")}
	views := map[string]string{"short": kernellab.MustDigest(t, l.mapped("short", "")), "long": kernellab.MustDigest(t, l.mapped("long", ""))}
	if origin := l.sectors("origin"); short != (4096+32)*2 || long != origin || origin != (6144+32)*2 {
		t.Fatalf("%d and %d sectors, their origin %d", short, long, origin)
	}
	for range 2 { // active, and not
		l.checkSizes("vg0/short", short, long, status["short"])
		l.checkSizes("vg0/long", long, long, status["long"])
		l.lvm("vgchange", "--activate", "n", "vg0")
	}
	for name, want := range views {
		for _, where := range [][]string{nil, pv(l.loops)} {
			if shown, _ := expect(t, 0, append([]string{"export", "--live", "vg0/" + name}, where...)...); corpus.Digest([]byte(shown)) != want {
				t.Errorf("%s by %q: exported, it is not what the kernel shows", name, where)
			}
			bytes := map[string]uint64{"short": short * 512, "long": long * 512}[name]
			for _, args := range [][]string{
				{"mount", "--dry-run", "vg0/" + name, t.TempDir()}, {"diff", "--content", "--live", "--output", "json", "vg0/" + name},
			} {
				if said, _ := expect(t, 0, append(args, where...)...); !strings.Contains(said, fmt.Sprint(bytes)) {
					t.Errorf("%q by %q: %s, expected %d bytes", args, where, said, bytes)
				}
			}
		}
	}
	// The kernel has copied the chunk that the end is in whole.
	cow, origin := volumeContent(t, "vg0/short", l.loops), volumeContent(t, "vg0/origin", l.loops)
	if tail := origin[1032*4096 : 1040*4096]; !bytes.Contains(cow, tail) {
		t.Error("the kernel's copy of the last chunk ends where the snapshot does")
	}

	expect(t, 0, "check", "vg0/short")
	expect(t, 0, "merge", "--yes", "--verify", "vg0/long")
	if got := l.oldChunks("vg0/short"); !slices.Equal(got, []uint64{0, 4, 18, 31, 43, 64}) {
		t.Errorf("after the merge %d have an exception", got)
	}
	expect(t, 0, "check", "vg0/short")
	l.lvm("vgchange", "--activate", "y", "vg0")
	if kernellab.MustDigest(t, l.mapped("short", "")) != views["short"] || kernellab.MustDigest(t, l.mapped("origin", "")) != views["long"] {
		t.Error("after the merge, short or its origin do not show what they should")
	}
	l.lvm("lvremove", "--yes", "vg0/long")
	l.lvm("vgchange", "--activate", "n", "vg0")
	expect(t, 0, "merge", "--yes", "--verify", "vg0/short")
	if got := corpus.Digest(volumeContent(t, "vg0/origin", l.loops)[:short*512]); got != views["short"] {
		t.Error("merged, the origin's beginning is not what the snapshot was")
	}
}
