package device_test

import (
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

// TestKernelSuspended: a device that is suspended, or is kept on one that is, is not waited for.
func TestKernelSuspended(t *testing.T) {
	kernellab.Require(t)
	low := kernellab.Create(t, "low", linear(0, 800, patternLoop(t, 800), 0), false)
	top := mapped(t, "top", linear(0, 400, low.Path, 8))
	above := kernellab.Loop(t, top)
	low.Suspend(t)
	defer low.Resume(t) // or nothing of it could be removed
	want := "cannot be read: " + low.Path + " is suspended (dmsetup resume ends that)"
	for _, path := range []string{low.Path, top, above} {
		_, err := device.Open(path)
		_, werr := device.OpenWritable(path)
		_, serr := device.OpenShared(path)
		for _, err := range []error{err, werr, serr} {
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", path, err, want)
			}
		}
	}
	low.Resume(t)
	Open(t, top)
	wantFree(t, above)
}
