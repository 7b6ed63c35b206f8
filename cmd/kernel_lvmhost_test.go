package cmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// host has LVM's configuration give this host a system ID, and has it use groups of others, too.
func (l *lvmLab) host(id, extra string) {
	l.Helper()
	config := "global/system_id_source = \"lvmlocal\"\nlocal { system_id = \"" + id + "\" extra_system_ids = [ \"" + extra + "\" ] }\n"
	devicetest.WriteFile(l, filepath.Join(os.Getenv("LVM_SYSTEM_DIR"), "lvmlocal.conf"), []byte(config))
}

// TestKernelLVMForeign: a group that belongs to a host is written to on hosts on which LVM uses it,
// and on others only for who names that host.
func TestKernelLVMForeign(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	l.lvm("vgchange", "--activate", "n", "vg0")
	l.host("alpha", "")
	t.Cleanup(func() { l.host("alpha", "") })
	l.lvm("vgchange", "--yes", "--systemid", "alpha", "vg0")
	if image, err := os.ReadFile(l.files[0]); err != nil || !bytes.Contains(image, []byte(`flags = ["WRITE_LOCKED"]`)) {
		t.Errorf("LVM has not made it seem read-only: %v", err)
	}
	expect(t, 0, "invalidate", "--yes", "vg0/snap")
	expect(t, 0, "revalidate", "--yes", "--assume-origin-unchanged", "vg0/snap")
	copied := filepath.Join(t.TempDir(), "copy")
	kernellab.Run(t, "cp", l.files[0], copied)

	const refusal = "vg0/snap: refused: volume group vg0 belongs to host alpha, and "
	for _, c := range []struct{ id, extra, says string }{
		{"alpha", "", ""},
		{"al, pha", "", ""},
		{"beta", "alpha", ""},
		{"beta", "", "this host is beta\ndmcow: hint: --foreign-host alpha to write anyway\n"},
		{"beta", "gamma", "this host is beta\n"},
		{"", "", `this host has no system ID (local/system_id: invalid system ID "")`},
		{"", "alpha", "this host has no system ID ("},
		{"localhost", "alpha", "this host has no system ID ("},
	} {
		l.host(c.id, c.extra)
		if err := exec.Command("lvm", "lvs", "vg0/snap").Run(); (err == nil) != (c.says == "") {
			t.Errorf("%+v: LVM: %v", c, err)
		}
		for _, args := range [][]string{{"invalidate", "--dry-run"}, {"merge", "--dry-run"}} {
			if c.says == "" {
				expect(t, 0, append(args, "vg0/snap")...)
			} else {
				refusedWith(t, refusal+c.says, append(args, "vg0/snap")...)
				refusedWith(t, refusal+c.says, append(args, "vg0/snap", "--foreign-host", c.id+"x")...)
			}
			expect(t, 0, append(args, "vg0/snap", "--foreign-host", "alpha")...)
			expect(t, 0, append(args, "vg0/snap", "--pv", copied)...)
		}
		expect(t, 0, "check", "vg0/snap")
	}
	refusedWith(t, refusal, "mount", "--writable", "--dry-run", "vg0/snap", "/")
	expect(t, 0, "mount", "--writable", "--dry-run", "--foreign-host", "alpha", "vg0/snap", "/")
	refusedWith(t, refusal, "merge", "--yes", "vg0/snap")
	expect(t, 0, "merge", "--yes", "--foreign-host", "alpha", "vg0/snap")
}

// TestKernelListNothing: a list says that there is nothing where it has looked, and only there.
func TestKernelListNothing(t *testing.T) {
	kernellab.Require(t)
	kernellab.LVM(t) // which is for the lab alone
	blankLoop(t, 2048)
	if all := list(t, 0); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	for dir, want := range map[string]string{
		"/sys": "dmcow: list: the kernel shows no block device\ndmcow: hint: mount /sys, or name the disks with --pv\n",
		"/dev": ", and there are no others: ",
	} {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		stdout, stderr := expect(t, 8, "list", "--output", "json")
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		if stdout != "" || strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, want) {
			t.Errorf("without %s: %s%s, want %s", dir, stdout, stderr, want)
		}
	}
}
