// Package kernellab lets tests ask the real dm-snapshot driver: it makes block
// devices of files, device-mapper devices on top of them, and tells what the
// kernel says of them and serves through them.
//
// Such a test is an ordinary Go test that needs root and device-mapper. Without
// them Require skips it, and
//
//	go test -exec "go run dmcow/internal/kernellab/umlexec" ./...
//
// runs it in a kernel of its own. On a machine that has both it runs on that
// machine's kernel: a test must touch no device but those that it made with
// Loop and Create. Whatever a test makes here goes with the test, the youngest
// first, so that nothing is taken from under a device that still uses it.
//
// Sizes and offsets are in sectors of 512 bytes unless a name says otherwise.
package kernellab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// SectorSize is the number of bytes in a sector, the unit of device-mapper's
// tables, whatever the logical block size of a device.
const SectorSize = 512

// Require skips the test unless it can make snapshots here, saying what is
// missing. With DMCOW_KERNEL=require in the environment, as umlexec sets it,
// the test fails instead: there a skipped test would be a test lost.
func Require(t testing.TB) {
	t.Helper()
	switch what := missing(); {
	case what == "":
	case InLab():
		t.Fatal("kernel test: " + what)
	default:
		t.Skip("kernel test: " + what + "; run it with umlexec, see package kernellab")
	}
}

// InLab reports whether the test may count on a kernel for itself, in which it
// can even name a volume group without fear that there is one already.
func InLab() bool { return os.Getenv("DMCOW_KERNEL") == "require" }

// missing says what keeps tests from making snapshots here: "" for nothing.
var missing = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "not root"
	}
	if _, err := exec.LookPath("dmsetup"); err != nil {
		return "no dmsetup"
	}
	for _, control := range []string{"/dev/mapper/control", "/dev/loop-control"} {
		if _, err := os.Stat(control); err != nil {
			return "no " + control
		}
	}
	if hasSnapshotTarget() {
		return ""
	}
	// The kernel would load the module by itself when a table first names the target.
	_ = exec.Command("modprobe", "-q", "dm-snapshot").Run()
	if hasSnapshotTarget() {
		return ""
	}
	return "the kernel has no snapshot target"
})

// Linux reports whether the running kernel is that version, or a newer one.
func Linux(major, minor int) bool {
	is := Release()
	return is[0] > major || is[0] == major && is[1] >= minor
}

// Release is the version of the running kernel: {6, 12} for 6.12.113.
func Release() (version [2]int) {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	_, _ = fmt.Sscanf(string(release), "%d.%d", &version[0], &version[1])
	return version
}

func hasSnapshotTarget() bool {
	targets, err := run("dmsetup", "targets")
	return err == nil && strings.Contains("\n"+targets, "\nsnapshot ")
}

// run runs a program and returns its output. The error of one that fails holds
// what it said.
func run(name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Run runs a program and returns its standard output without the white space
// around it; the test ends if the program fails.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := run(name, args...)
	Must(t, err)
	return out
}

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
