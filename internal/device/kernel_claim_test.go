package device_test

import (
	"errors"
	"slices"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/kernellab"
)

// TestKernelClaim: nothing is made on top of a device that is claimed. Where something has other
// parts of it, those that are joined can be read; where it has some of them, it is named.
func TestKernelClaim(t *testing.T) {
	kernellab.Require(t)
	dev := patternLoop(t, 8192)
	claim := func(start int64) (bool, error) {
		d, err := device.OpenUnlocked(dev)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		j, err := device.Join("joined", []device.Part{{Length: 4096, Stripes: []device.Stripe{{On: d, Start: start}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		whole, err := j.Claim()
		if !whole {
			return whole, err
		}
		if _, err := kernellab.TryCreate(t, "beside", linear(0, 8, dev, 4096), false); err == nil {
			t.Error("something was made on top of it")
		}
		return whole, err
	}
	if whole, err := claim(0); !whole || err != nil {
		t.Errorf("claimed whole: %v, %v", whole, err)
	}
	front := kernellab.Create(t, "front", linear(0, 8, dev, 0), false)
	if whole, err := claim(4096); whole || err != nil {
		t.Errorf("something has another part, claimed whole: %v, %v", whole, err)
	}
	var busy *inuse.BusyError
	if _, err := claim(0); !errors.As(err, &busy) || !slices.Equal(busy.By, []string{heldBy(t, front)}) {
		t.Errorf("something has it: %v", err)
	}
	d := Open(t, dev)
	if _, err := d.Claim(); !errors.As(err, &busy) || !slices.Equal(busy.By, []string{heldBy(t, front)}) {
		t.Errorf("something has some of it: %v", err)
	}
}
