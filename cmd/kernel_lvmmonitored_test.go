package cmd

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/kernellab"
)

// TestKernelLVMMonitored asks LVM's own dmeventd whether it monitors a snapshot, before and after it does.
func TestKernelLVMMonitored(t *testing.T) {
	kernellab.Require(t)
	l := newStateLab(t, 1, 16)
	l.origin(nil)
	l.snapshot("snap", "origin", "4k", 1024)
	expectMonitored(t, false, "off (dmeventd does not monitor it: lvchange --monitor y vg0/snap; in lvm.conf, section activation: snapshot_autoextend_threshold = 70)")
	t.Cleanup(func() {
		if pid, err := os.ReadFile("/run/dmeventd.pid"); err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
	})
	l.lvm("lvchange", "--config", "activation/monitoring=1", "--monitor", "y", "vg0/snap")
	expectMonitored(t, true, "off (in lvm.conf, section activation: snapshot_autoextend_threshold = 70)")
	l.lvm("lvchange", "--config", "activation/monitoring=1", "--monitor", "n", "vg0/snap")
	expectMonitored(t, false, "off (dmeventd does not monitor it")
}

func expectMonitored(t *testing.T, want bool, says string) {
	t.Helper()
	for _, name := range []string{"vg0/snap", "/dev/mapper/vg0-snap-cow"} {
		if u := usageOf(t, name); u.Monitored == nil || *u.Monitored != want || *u.Autoextend != 100 {
			t.Errorf("%s: monitored: %v, threshold %v", name, u.Monitored, u.Autoextend)
		}
		if stdout, _ := expect(t, 0, "usage", name); !strings.Contains(stdout, says) {
			t.Errorf("%s: no %q in\n%s", name, says, stdout)
		}
	}
}
