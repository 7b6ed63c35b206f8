package cmd

import (
	"os"
	"regexp"
	"slices"
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
	expectSeries(t, "dmcow_snapshot_monitored", "1")
	l.lvm("lvchange", "--config", "activation/monitoring=1", "--monitor", "n", "vg0/snap")
	expectSeries(t, "dmcow_snapshot_monitored", "0")
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

// expectSeries holds a metric of the active snapshot, and its labels, to what each way to name it says.
func expectSeries(t *testing.T, metric, value string) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^` + metric + `\{device="([^"]*)",lv="snap",(origin="vg0/origin",)?uuid="(\w{6}-[\w-]+)",vg="vg0"\} ` + value + `$`)
	var uuids []string
	for _, line := range [][]string{{"usage", "--all"}, {"list"}, {"usage", "vg0/snap"}, {"usage", "/dev/mapper/vg0-snap-cow"}, {"usage", "/dev/mapper/*-cow"}} {
		stdout, stderr := expect(t, 0, append(line, "-v", "--output", "prometheus")...)
		all := series.FindAllStringSubmatch(stdout, -1)
		if len(all) != 1 {
			t.Fatalf("%q: %d series %s in\n%s%s", line, len(all), series, stdout, stderr)
		}
		uuids = append(uuids, all[0][3])
	}
	if stdout, _ := expect(t, 0, "list", "--output", "json"); !strings.Contains(stdout, `"monitored": `+map[string]string{"0": "false", "1": "true"}[value]) {
		t.Errorf("list: %s", stdout)
	}
	if len(slices.Compact(uuids)) != 1 {
		t.Errorf("UUIDs %q", uuids)
	}
}
