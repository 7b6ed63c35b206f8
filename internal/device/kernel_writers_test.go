package device_test

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

// TestKernelWriters: what is made on top of a device could write it, unless it can only be
// read; so does swap. Of joined devices those could that have some of their bytes.
func TestKernelWriters(t *testing.T) {
	kernellab.Require(t)
	dev := patternLoop(t, 8192)
	d := Open(t, dev)
	part := func(start, length int64) *device.Device {
		j, err := device.Join("joined", []device.Part{{Length: length, Stripes: []device.Stripe{{On: d, Start: start}}}})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	readOnly := kernellab.Create(t, "ro", linear(0, 8, dev, 0), true)
	checkWriters(t, d)
	readOnly.Remove(t)
	front := kernellab.Create(t, "front", linear(0, 8, dev, 0), false)
	checkWriters(t, d, heldBy(t, front))
	checkWriters(t, part(0, 8192), heldBy(t, front))
	checkWriters(t, part(4096, 4096))
	// It has written nothing, until somebody opens it; what was written once stays so.
	for _, of := range []*device.Device{d, part(0, 8192)} {
		checkNew(t, of)
	}
	f, err := os.OpenFile(front.Path, os.O_RDWR|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []*device.Device{d, part(0, 8192)} {
		checkNew(t, of, heldBy(t, front))
	}
	f.Close()
	checkNew(t, d)
	above := kernellab.Create(t, "above", linear(0, 8, front.Path, 0), false)
	checkNew(t, d, heldBy(t, front))
	above.Remove(t)
	checkNew(t, d)
	if failed, err := kernellab.WritePattern(front.Path, 8, []uint64{0}, 1); failed > 0 || err != nil {
		t.Fatal(failed, err)
	}
	checkNew(t, d, heldBy(t, front))
	checkNew(t, part(0, 8192), heldBy(t, front))
	front.Remove(t)
	checkWriters(t, d)

	swap := kernellab.Loop(t, kernellab.File(t, "swap", 4096))
	kernellab.Run(t, "mkswap", swap)
	if err := exec.Command("swapon", swap).Run(); err != nil {
		t.Skipf("swapon: %v", err)
	}
	defer func() { _ = exec.Command("swapoff", swap).Run() }()
	checkWriters(t, Open(t, swap), "swap")
}

// checkWriters wants the device to be written by these, or that it could be.
func checkWriters(t *testing.T, d *device.Device, by ...string) {
	t.Helper()
	if got := d.Writers(); !slices.Equal(got, by) {
		t.Errorf("%s: written by %q, want %q", d.Path(), got, by)
	}
}

// checkNew wants the device to have been written by these since it was looked at, or that it could be.
func checkNew(t *testing.T, d *device.Device, by ...string) {
	t.Helper()
	if got := d.ActiveWriters(); !slices.Equal(got, by) {
		t.Errorf("%s: written since by %q, want %q", d.Path(), got, by)
	}
	if got := d.ActiveHolders(); !slices.Equal(got, by) {
		t.Errorf("%s: held since by %q, want %q", d.Path(), got, by)
	}
}
