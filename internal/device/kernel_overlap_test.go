package device_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

// TestKernelOverlaps: a device on another, to whatever depth, is told from two
// that only lie on the same one.
func TestKernelOverlaps(t *testing.T) {
	kernellab.Require(t)
	file := kernellab.File(t, "file", 4096)
	loop := kernellab.Loop(t, file)
	same := kernellab.Loop(t, file)
	front := kernellab.Loop(t, file, part(0, 1024))
	back := kernellab.Loop(t, file, part(1024, 1024))
	rest := kernellab.Loop(t, file, part(2048, 0))
	linear := kernellab.Create(t, "linear", fmt.Sprintf("0 1024 linear %s 0", loop), false).Path
	sibling := kernellab.Create(t, "sibling", fmt.Sprintf("0 1024 linear %s 1024", loop), false).Path
	above := kernellab.Loop(t, linear)
	other := kernellab.Loop(t, kernellab.File(t, "other", 4096))

	for _, c := range []struct {
		a, b string
		want bool
	}{
		{file, file, true}, {loop, loop, true},
		{file, loop, true}, {file, linear, true}, {file, above, true},
		{loop, same, true}, {loop, linear, true}, {loop, above, true}, {linear, above, true},
		{loop, front, true}, {front, back, false}, {back, rest, false}, {loop, rest, true}, {file, rest, true},
		{linear, sibling, false}, {sibling, above, false},
		{other, file, false}, {other, loop, false}, {other, above, false},
	} {
		a, b := open(t, c.a), open(t, c.b)
		if got := a.Overlaps(b); got != c.want {
			t.Errorf("%s and %s: overlap %v, want %v", c.a, c.b, got, c.want)
		}
		if got := b.Overlaps(a); got != c.want {
			t.Errorf("%s and %s: overlap %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

// part is an option for a loop device over a part of its file, in sectors; 0
// stands for all that is left.
func part(start, size int) kernellab.LoopOption {
	return func() []string {
		o := []string{"--offset", fmt.Sprint(start * kernellab.SectorSize)}
		if size > 0 {
			o = append(o, "--sizelimit", fmt.Sprint(size*kernellab.SectorSize))
		}
		return o
	}
}

// TestKernelOverlapsPartition: a partition is a part of its disk, and not of
// another partition.
func TestKernelOverlapsPartition(t *testing.T) {
	kernellab.Require(t)
	disk := kernellab.Loop(t, kernellab.File(t, "disk", 8192))
	for n, start := range []int{2048, 4096} {
		kernellab.Run(t, "addpart", disk, fmt.Sprint(n+1), fmt.Sprint(start), "2048")
	}
	t.Cleanup(func() {
		kernellab.Run(t, "delpart", disk, "1")
		kernellab.Run(t, "delpart", disk, "2")
	})
	one, two := partition(t, disk, 1), partition(t, disk, 2)
	whole := open(t, disk)
	if !whole.Overlaps(one) || !one.Overlaps(whole) || one.Overlaps(two) {
		t.Error("told apart wrongly")
	}
}

// partition opens a partition of a disk: there may be no node for it.
func partition(t *testing.T, disk string, n int) *device.Device {
	t.Helper()
	name := filepath.Base(disk)
	number, err := os.ReadFile(fmt.Sprintf("/sys/block/%s/%sp%d/dev", name, name, n))
	if err != nil {
		t.Fatal(err)
	}
	major, minor, _ := strings.Cut(strings.TrimSpace(string(number)), ":")
	node := filepath.Join(t.TempDir(), "partition")
	kernellab.Run(t, "mknod", node, "b", major, minor)
	return open(t, node)
}
