package cmd

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelLVMMounted: while a snapshot of an inactive origin is mounted, LVM's commands on its group
// run as ever, and neither it nor its origin can be activated; beside one that is only read another
// volume can. When the mount has ended, in whatever way, they can.
func TestKernelLVMMounted(t *testing.T) {
	kernellab.Require(t)
	requireFUSE(t)
	l := lvmScenario{
		disks: []uint64{24}, group: "vg-0", vg: []string{"--physicalextentsize", "32k"},
		make: func(l *lvmLab) {
			l.origin("origin", 4096)
			l.origin("other", 1024)
			l.snapshot("snap", "origin", "4k", 2048)
			l.write("origin", 2, 0, 1, 300, 77)
		},
	}.start(t)
	view := kernellab.MustDigest(t, l.mapped("snap", ""))
	l.lvm("vgchange", "--activate", "n", "vg-0")
	activate := func(volume string) error { return exec.Command("lvchange", "--activate", "y", "vg-0/"+volume).Run() }
	for _, how := range []string{"read", "written", "killed"} {
		args := []string{"vg-0/snap"}
		if how != "read" {
			args = append(args, "--writable")
		}
		m := mountSnapshot(t, args...)
		if got := kernellab.MustDigest(t, m.file); got != view {
			t.Errorf("%s: the file is not what the snapshot was", how)
		}
		if out := kernellab.Run(t, "lvs", "vg-0"); !strings.Contains(out, "snap") {
			t.Errorf("%s: lvs: %s", how, out)
		}
		for _, volume := range []string{"origin", "snap"} {
			if activate(volume) == nil {
				t.Errorf("%s: %s can be activated", how, volume)
			}
		}
		// What is written on has its disks for itself, where no other volume on them is active.
		if err := activate("other"); err != nil && how == "read" {
			t.Errorf("%s: another volume cannot be activated: %v", how, err)
		}
		l.lvm("vgchange", "--activate", "n", "vg-0")
		if how == "killed" {
			if err := m.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = m.Wait()
		} else {
			m.unmount()
		}
		if err := activate("origin"); err != nil {
			t.Errorf("%s, and unmounted: it cannot be activated: %v", how, err)
		}
		if _, err := os.Stat(l.mapped("snap", "")); err != nil {
			t.Errorf("%s, and unmounted: %v", how, err)
		}
		l.lvm("vgchange", "--activate", "n", "vg-0")
	}
}
