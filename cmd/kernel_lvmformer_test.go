package cmd

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelLVMFormer: of a COW volume that was reduced and extended again, check says where its end lay before, active or
// not, and the store's data is there; not of one that got the same extents again, or that pvmove moved.
func TestKernelLVMFormer(t *testing.T) {
	kernellab.Require(t)
	var before []byte // the last 128 KiB of the volume, before it was reduced
	l := lvmScenario{
		disks: []uint64{16}, group: "vg0", vg: []string{"--physicalextentsize", "64k"},
		make: func(l *lvmLab) {
			l.origin("origin", 1024)
			l.snapshot("snap", "origin", "4k", 512)
			l.snapshot("same", "origin", "4k", 512)
			l.write("origin", 2, span(0, 115)...)
			b, err := os.ReadFile(l.mapped("snap", "cow"))
			if err != nil {
				l.Fatal(err)
			}
			before = b[384<<10:]
			for _, name := range []string{"snap", "same"} {
				l.lvm("lvreduce", "--yes", "--force", "--size", "384k", "vg0/"+name)
			}
			l.lvm("lvcreate", "--yes", "--wipesignatures", "n", "--zero", "n", "--name", "between", "--size", "64k", "vg0", l.loops[0]+":22-22")
			l.extend("snap", 128, l.loops[0]+":40-50")
			l.extend("same", 128, l.loops[0]+":30-31")
		},
	}.start(t)
	check := func(name string, more ...string) string {
		_, _, stderr := dmcow(append([]string{"check", "vg0/" + name}, more...)...)
		return stderr
	}
	const want = "dmcow: vg0/snap: extents 6 to 7 of the volume are others than before it was reduced (LVM's metadata "
	said := check("snap")
	if !strings.Contains(said, want) || !strings.Contains(said, ", which are now of vg0/between") {
		t.Errorf("check of the active snapshot says %q", said)
	}
	if said := check("same"); strings.Contains(said, "others than") {
		t.Errorf("check of one that got the same extents again says %q", said)
	}
	l.lvm("vgchange", "--activate", "n", "vg0")
	said = check("snap", pv(l.files)...)
	var from, to int64
	_, rest, _ := strings.Cut(said, "lies on bytes ")
	if n, _ := fmt.Sscanf(rest, "%d to %d of", &from, &to); n != 2 || !strings.Contains(said, want) {
		t.Fatalf("check says %q", said)
	}
	disk, err := os.ReadFile(l.files[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(disk[from:to+1], before) {
		t.Errorf("bytes %d to %d are not what the volume had", from, to)
	}
}
