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
	front := kernellab.Loop(t, file, kernellab.Part(0, 1024))
	back := kernellab.Loop(t, file, kernellab.Part(1024, 1024))
	rest := kernellab.Loop(t, file, kernellab.Part(2048, 0))
	linear := kernellab.Create(t, "linear", fmt.Sprintf("0 1024 linear %s 0", loop), false).Path
	sibling := kernellab.Create(t, "sibling", fmt.Sprintf("0 1024 linear %s 1024", loop), false).Path
	above := kernellab.Loop(t, linear)
	other := kernellab.Loop(t, kernellab.File(t, "other", 4096))

	checkOverlaps(t, []pair{
		{file, file, true}, {loop, loop, true},
		{file, loop, true}, {file, linear, true}, {file, above, true},
		{loop, same, true}, {loop, linear, true}, {loop, above, true}, {linear, above, true},
		{loop, front, true}, {front, back, false}, {back, rest, false}, {loop, rest, true}, {file, rest, true},
		{linear, sibling, false}, {sibling, above, false},
		{other, file, false}, {other, loop, false}, {other, above, false},
	})
}

// A pair of devices, and whether they overlap.
type pair struct {
	a, b string
	want bool
}

// checkOverlaps asks of each pair in both orders.
func checkOverlaps(t *testing.T, pairs []pair) {
	t.Helper()
	for _, c := range pairs {
		a, b := Open(t, c.a), Open(t, c.b)
		if got := a.Overlaps(b); got != c.want {
			t.Errorf("%s and %s: overlap %v, want %v", c.a, c.b, got, c.want)
		}
		if got := b.Overlaps(a); got != c.want {
			t.Errorf("%s and %s: overlap %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

// mapped makes a device-mapper device of a table of these lines.
func mapped(t *testing.T, name string, lines ...string) string {
	t.Helper()
	return kernellab.Create(t, name, strings.Join(lines, "\n"), false).Path
}

// linear is the line of a table that shows sectors of a device from one on.
func linear(start, sectors int, dev string, from int) string {
	return fmt.Sprintf("%d %d linear %s %d", start, sectors, dev, from)
}

// TestKernelOverlapsMapped: of devices that are on one third device, those that show
// some of the same sectors of it are told from others, to whatever depth.
func TestKernelOverlapsMapped(t *testing.T) {
	kernellab.Require(t)
	file := kernellab.File(t, "file", 16384)
	loop, same := kernellab.Loop(t, file), kernellab.Loop(t, file)
	tail := kernellab.Loop(t, file, kernellab.Part(8192, 0))
	low := mapped(t, "low", linear(0, 5600, loop, 0))
	high := mapped(t, "high", linear(0, 5500, loop, 64))
	last := mapped(t, "last", linear(0, 1, loop, 5599))
	next := mapped(t, "next", linear(0, 1000, loop, 5600))

	upper := mapped(t, "upper", linear(0, 100, high, 5400)) // sectors 5464 to 5563
	lower := mapped(t, "lower", linear(0, 100, low, 5364))
	highest := mapped(t, "highest", linear(0, 50, upper, 50))
	onHigh := kernellab.Loop(t, high, kernellab.Part(5400, 100))
	inSame := mapped(t, "insame", linear(0, 100, same, 5500))
	inTail := mapped(t, "intail", linear(0, 100, tail, 0)) // sectors 8192 to 8291
	atTail := mapped(t, "attail", linear(0, 1, loop, 8291))
	behind := mapped(t, "behind", linear(0, 100, same, 8292))

	halves := mapped(t, "halves", linear(0, 100, loop, 9000), linear(100, 100, same, 5500))
	pastHalf := mapped(t, "pasthalf", linear(0, 100, halves, 50))
	firstHalf := mapped(t, "firsthalf", linear(0, 100, halves, 0))
	var lines []string
	for i := range 200 {
		lines = append(lines, linear(i, 1, loop, 12000+2*i))
	}
	scattered := mapped(t, "scattered", lines...) // a table of more than a page
	hit := mapped(t, "hit", linear(0, 1, same, 12000+2*199))
	gap := mapped(t, "gap", linear(0, 1, same, 12000+2*199-1))
	origin := mapped(t, "origin", "0 100 snapshot-origin "+inTail)
	mixed := mapped(t, "mixed", "0 100 error", linear(100, 100, loop, 5600))
	onError := mapped(t, "onerror", linear(0, 50, mixed, 0))

	checkOverlaps(t, []pair{
		{low, high, true}, {low, last, true}, {high, last, false}, {low, next, false}, {last, next, false},
		{upper, lower, false}, {upper, low, true}, {highest, low, true}, {highest, lower, false}, {highest, last, false},
		{onHigh, low, true}, {onHigh, upper, true}, {onHigh, lower, false}, {onHigh, highest, true},
		{inSame, low, true}, {inSame, upper, true}, {inSame, lower, false}, {inSame, next, false},
		{inTail, atTail, true}, {inTail, behind, false}, {inTail, inSame, false}, {tail, atTail, true}, {tail, inSame, false},
		{halves, low, true}, {halves, inSame, true}, {halves, lower, false}, {halves, next, false},
		{pastHalf, low, true}, {firstHalf, low, false}, {firstHalf, pastHalf, true},
		{scattered, hit, true}, {scattered, gap, false}, {scattered, low, false},
		{origin, atTail, true}, {origin, behind, false},
		{mixed, next, true}, {mixed, low, false}, {onError, next, false}, {onError, low, false},
	})
}

// TestKernelOverlapsStriped: of a striped device, it is told which sectors of which
// device are its own, or those of a part of it.
func TestKernelOverlapsStriped(t *testing.T) {
	kernellab.Require(t)
	one := kernellab.Loop(t, kernellab.File(t, "one", 4096))
	two := kernellab.Loop(t, kernellab.File(t, "two", 4096))
	striped := mapped(t, "striped", fmt.Sprintf("0 256 striped 2 16 %s 1000 %s 2000", one, two))
	onOne := mapped(t, "onone", linear(0, 1, one, 1127))
	pastOne := mapped(t, "pastone", linear(0, 100, one, 1128))
	onTwo := mapped(t, "ontwo", linear(0, 100, two, 2100))
	beforeTwo := mapped(t, "beforetwo", linear(0, 100, two, 1900))
	chunk := mapped(t, "chunk", linear(0, 16, striped, 16)) // the first one on two
	other := mapped(t, "other", linear(0, 16, striped, 32)) // the second one on one
	first := mapped(t, "first", linear(0, 16, two, 2000))
	second := mapped(t, "second", linear(0, 16, one, 1016))

	checkOverlaps(t, []pair{
		{striped, one, true}, {striped, onOne, true}, {striped, pastOne, false}, {striped, onTwo, true}, {striped, beforeTwo, false},
		{chunk, first, true}, {chunk, second, false}, {other, second, true}, {other, first, false},
		{chunk, other, false}, {chunk, onOne, false}, {chunk, onTwo, false}, {striped, first, true},
	})
}

// TestKernelOverlapsPartition: a partition is a part of its disk, and not of
// another partition; a device that shows some of its sectors otherwise is found.
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
	whole := Open(t, disk)
	if !whole.Overlaps(one) || !one.Overlaps(whole) || one.Overlaps(two) {
		t.Error("told apart wrongly")
	}
	for _, c := range []struct {
		start, sectors int
		one, two       bool
	}{
		{4000, 200, true, true}, {2000, 48, false, false}, {2048, 1, true, false}, {4095, 1, true, false}, {4096, 100, false, true},
	} {
		d := Open(t, mapped(t, fmt.Sprint("at-", c.start), linear(0, c.sectors, disk, c.start)))
		if d.Overlaps(one) != c.one || two.Overlaps(d) != c.two {
			t.Errorf("%d sectors from %d on: told apart wrongly", c.sectors, c.start)
		}
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
	return Open(t, node)
}
