package cmd

import (
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// targetOrigins are origins that device-mapper serves through metadata of their own. make makes the volume origin, of 4 MiB.
var targetOrigins = []struct {
	name string
	make func(l *lvmLab)
	kept func(l *lvmLab) // after the origin was written
}{
	{name: "thin", make: func(l *lvmLab) {
		l.lvm("lvcreate", "--yes", "--type", "thin-pool", "--size", "8m", "--name", "pool", l.group)
		l.lvm("lvcreate", "--yes", "--virtualsize", "4m", "--thinpool", "pool", "--name", "origin", l.group)
	}},
	{name: "cache", make: func(l *lvmLab) {
		l.lvm("lvcreate", "--yes", "--size", "4m", "--name", "origin", l.group)
		l.lvm("lvcreate", "--yes", "--type", "cache-pool", "--chunksize", "64k", "--size", "2m", "--name", "fast", l.group)
		l.lvm("lvconvert", "--yes", "--type", "cache", "--cachemode", "writeback", "--cachepool", "fast", l.group+"/origin")
	}, kept: keepDirty},
	{name: "writethrough", make: func(l *lvmLab) {
		l.lvm("lvcreate", "--yes", "--size", "4m", "--name", "origin", l.group)
		l.lvm("lvcreate", "--yes", "--type", "cache-pool", "--chunksize", "64k", "--size", "2m", "--name", "fast", l.group)
		l.lvm("lvconvert", "--yes", "--type", "cache", "--cachemode", "writethrough", "--cachepool", "fast", l.group+"/origin")
	}},
}

// keepDirty has the cache of the origin take blocks in, and keep what is written to them from then on.
func keepDirty(l *lvmLab) { keepDirtyBlocks(l, 128, 3, 4, 5, 20, 40) }

func keepDirtyBlocks(l *lvmLab, sectors uint64, blocks ...uint64) {
	write := func(version uint64) {
		if failed, err := kernellab.WritePattern(l.mapped("origin", ""), sectors, blocks, version); failed > 0 || err != nil {
			l.Fatal(failed, err)
		}
	}
	for round := range uint64(20) {
		write(10 + round)
	}
	kernellab.Run(l, "dmsetup", "message", l.group+"-origin", "0", "migration_threshold", "0")
	write(30)
}

// TestKernelTargetOrigins: a snapshot whose origin is a thin volume or has a cache is exported, compared and counted as
// the kernel showed it, and not merged.
func TestKernelTargetOrigins(t *testing.T) {
	for _, o := range targetOrigins {
		t.Run(o.name, func(t *testing.T) {
			l := lvmScenario{name: o.name, group: "vg0", vg: []string{"--physicalextentsize", "128k"}, merge: "snap", disks: slices.Repeat([]uint64{32}, 2), make: o.make}.start(t)
			l.write("origin", 1, span(0, 1024)...)
			if o.kept != nil {
				o.kept(l)
			}
			l.snapshot("snap", "origin", "4k", 1024, l.loops[1])
			l.write("origin", 2, 0, 1, 2, 100, 101, 700)
			l.write("snap", 3, 5, 101, 1000)
			origin, snap := kernellab.MustDigest(t, l.mapped("origin", "")), kernellab.MustDigest(t, l.mapped("snap", ""))
			l.lvm("vgchange", "--activate", "n", l.group)
			l.checkExport("vg0/snap", l.files, snap)
			if content, told, err := readVolume(t, "vg0/origin", l.files); err != nil || corpus.Digest(content) != origin || len(told) > 0 {
				t.Errorf("the origin: %v, told %q", err, told)
			}
			if out, _ := expect(t, 0, append([]string{"diff", "vg0/snap", "--summary"}, pv(l.files)...)...); !strings.Contains(out, "8 chunks differ") {
				t.Errorf("diff: %s", out)
			}
			if _, told := expect(t, 8, append([]string{"merge", "vg0/snap", "--yes"}, pv(l.loops)...)...); !strings.Contains(told, "which only the kernel can write") {
				t.Errorf("merge: %s", told)
			}
			l.checkExport("vg0/snap", l.files, snap)
		})
	}
}
