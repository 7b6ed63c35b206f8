package cmd

import (
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelLVMRecipeInvalid: the recipe of dmcow-recovery(7) for a snapshot that ran full. LVM extends it while it is
// not active, and the kernel serves it again.
func TestKernelLVMRecipeInvalid(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	l.write("origin", 4, span(0, 300)...) // it has room for 250
	status := func() string { return kernellab.Run(t, "dmsetup", "status", l.mapped("snap", "")) }
	if !strings.Contains(status(), "Invalid") {
		t.Fatalf("it is not lost: %s", status())
	}
	l.lvm("lvchange", "-an", "vg0/origin")
	if stdout, _ := expect(t, 0, "revalidate", "--dry-run", "--assume-origin-unchanged", "vg0/snap"); !strings.Contains(stdout, "first grow the device by at least") {
		t.Errorf("it does not say by how much to grow it: %s", stdout)
	}
	l.lvm("lvextend", "-L", "+256k", "vg0/snap")
	if _, stderr := expect(t, 0, "revalidate", "--yes", "--assume-origin-unchanged", "vg0/snap"); strings.Contains(stderr, "still full") {
		t.Errorf("it was extended: %s", stderr)
	}
	l.lvm("lvchange", "-ay", "vg0/origin")
	if strings.Contains(status(), "Invalid") {
		t.Errorf("the kernel does not serve it: %s", status())
	}
}
