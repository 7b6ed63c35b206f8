package inuse_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/inuse"
	"dmcow/internal/kernellab"
)

// TestGuard tests nothing: it guards a name for the tests of those who want that.
func TestGuard(t *testing.T) {
	name := os.Getenv("DEVICE_TEST_GUARD")
	if name == "" {
		t.Skip("run by other tests")
	}
	if _, err := inuse.Guard(name); err != nil {
		t.Fatal(err)
	}
	fmt.Println("guarded")
	_, _ = io.ReadAll(os.Stdin)
}

// guardElsewhere has another process guard a name, until it is killed.
func guardElsewhere(t *testing.T, name string) (kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestGuard$", "-test.v")
	c.Env = append(os.Environ(), "DEVICE_TEST_GUARD="+name)
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "guarded" {
			return kill
		}
	}
	t.Fatal("nothing is guarded")
	return nil
}

// guard guards a name.
func guard(t *testing.T, name string) (release func()) {
	t.Helper()
	release, err := inuse.Guard(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return release
}

// isMapped reports whether there is a device-mapper device of a name.
func isMapped(name string) bool {
	return slices.ContainsFunc(inuse.Mappings(), func(m inuse.Mapping) bool { return m.Name == name })
}

// untilGone waits for the kernel to remove a device.
func untilGone(t *testing.T, name string) {
	t.Helper()
	for range 100 {
		if !isMapped(name) {
			return
		}
		kernellab.Run(t, "dmsetup", "info") // takes a while
	}
	t.Errorf("%s is still there", name)
}

// TestKernelGuard: nothing is made by a name that is guarded, until the last one who guards it
// has released it, or was killed.
func TestKernelGuard(t *testing.T) {
	kernellab.Require(t)
	const name = "vg--0-snap-cow"
	create := func() error { return exec.Command("dmsetup", "create", name, "--notable").Run() }
	mine := guard(t, name)
	if create() == nil {
		t.Error("made by a name that is guarded")
	}
	mine()
	if isMapped(name) {
		t.Error("released, and there at once")
	}
	kill := guardElsewhere(t, name)
	if create() == nil {
		t.Error("made by a name that another process guards")
	}
	mine = guard(t, name)
	again := guard(t, name)
	kill()
	again()
	if create() == nil {
		t.Error("made by a name that one still guards")
	}
	again()
	mine()
	if isMapped(name) {
		t.Error("the last one has released it, and it is there")
	}
	guardElsewhere(t, name)()
	untilGone(t, name)
	if err := create(); err != nil {
		t.Fatal(err)
	}
	var busy *inuse.BusyError
	if _, err := inuse.Guard(name); !errors.As(err, &busy) || len(busy.By) != 1 || !strings.HasPrefix(busy.By[0], name+" (dm-") {
		t.Errorf("something else has the name: %v", err)
	}
	kernellab.Run(t, "dmsetup", "remove", name)
	if _, err := inuse.Guard(strings.Repeat("x", 128)); err == nil {
		t.Error("a name was guarded that nothing can have")
	}
}

// TestKernelGuardAgainstLVM: LVM does not activate a snapshot whose COW device is guarded, and
// does when it no longer is.
func TestKernelGuardAgainstLVM(t *testing.T) {
	kernellab.Require(t)
	loop := kernellab.Loop(t, kernellab.File(t, "disk", 12<<11))
	kernellab.VolumeGroup(t, "vg0", loop)
	kernellab.Run(t, "lvm", "lvcreate", "--yes", "--name", "origin", "--size", "4m", "vg0")
	kernellab.Run(t, "lvm", "lvcreate", "--yes", "--snapshot", "--name", "snap", "--size", "4m", "vg0/origin")
	kernellab.Run(t, "lvm", "lvchange", "--activate", "n", "vg0/origin")
	activate := func() error {
		out, err := exec.Command("lvm", "lvchange", "--activate", "y", "vg0/origin").CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	for _, end := range []func(){guard(t, "vg0-snap-cow"), nil} {
		if end == nil {
			end = guardElsewhere(t, "vg0-snap-cow")
		}
		if activate() == nil {
			t.Error("activated")
		}
		for _, m := range inuse.Mappings() {
			if strings.HasPrefix(m.Name, "vg0-snap") && !strings.HasPrefix(m.UUID, "DMCOW-") {
				t.Errorf("LVM has left %s", m.Name)
			}
		}
		end()
		untilGone(t, "vg0-snap-cow")
		if err := activate(); err != nil {
			t.Errorf("it cannot be activated any more: %v", err)
		}
		kernellab.Run(t, "lvm", "lvchange", "--activate", "n", "vg0/origin")
	}
}
