package device_test

import (
	"os/exec"
	"slices"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

// TestKernelWriters: what is made on top of a device could write it, unless it can only be
// read; so does swap. Of joined devices those could that have some of their bytes.
func TestKernelWriters(t *testing.T) {
	kernellab.Require(t)
	dev := patternLoop(t, 8192)
	d := open(t, dev)
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
	front.Remove(t)
	checkWriters(t, d)

	swap := kernellab.Loop(t, kernellab.File(t, "swap", 4096))
	kernellab.Run(t, "mkswap", swap)
	if err := exec.Command("swapon", swap).Run(); err != nil {
		t.Skipf("swapon: %v", err)
	}
	defer func() { _ = exec.Command("swapoff", swap).Run() }()
	checkWriters(t, open(t, swap), "swap")
}

// checkWriters wants the device to be written by these, or that it could be.
func checkWriters(t *testing.T, d *device.Device, by ...string) {
	t.Helper()
	if got := d.Writers(); !slices.Equal(got, by) {
		t.Errorf("%s: written by %q, want %q", d.Path(), got, by)
	}
}
