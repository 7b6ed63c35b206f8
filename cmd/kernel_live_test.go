package cmd

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// TestKernelFillsAnAreaWhileAReadIsAhead has the kernel fill area 382 and clear
// area 383, which holds what was there before. By then dmcow, which reads
// several areas at once, has read 383 and not yet 382.
func TestKernelFillsAnAreaWhileAReadIsAhead(t *testing.T) {
	kernellab.Require(t)
	const (
		sectors = 16000
		filling = 382
		slow    = 256 // the area whose read takes half a second
		behind  = 102 // areas from filling on, on the device
	)
	area := func(k int) int { return 1 + 33*k } // as a sector: a chunk is one here
	image := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=1\nfill %d", sectors, 32*(filling+1)-1))
	stale := image[area(filling+1)*kernellab.SectorSize:]
	for i := range stale {
		stale[i] = 0xa5
	}
	disk := kernellab.LoopOf(t, image)
	cow := kernellab.Create(t, "cow", strings.Join([]string{
		fmt.Sprintf("0 %d linear %s 0", area(slow), disk),
		fmt.Sprintf("%d 1 delay %s %d 500 %s %d 0", area(slow), disk, area(slow), disk, area(slow)), // reads only
		fmt.Sprintf("%d %d linear %s %d", area(slow)+1, sectors-area(slow)-1, disk, area(slow)+1),
	}, "\n"), false)
	s := kernellab.NewSnapshot(t, blankLoop(t, 40000), cow.Path, "P", 1)

	read := sectorsRead(t, cow.Path)
	type result struct {
		status         int
		stdout, stderr string
	}
	done := make(chan result)
	go func() {
		var r result
		r.status, r.stdout, r.stderr = dmcow("usage", "--output", "json", cow.Path)
		done <- r
	}()
	const header, before = 8, slow // an area is a sector
	// Should dmcow read less ahead one day, there is nothing to wait for.
	for deadline := time.Now().Add(400 * time.Millisecond); read() < header+before+behind-1 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	overwrite(t, s.Origin.Path, 1, []uint64{39001})
	if r := <-done; r.status != 0 || !strings.Contains(r.stdout, fmt.Sprintf(`"status": "%s"`, s.View.Status(t))) {
		t.Errorf("exit status %d, the kernel says %q: %s%s", r.status, s.View.Status(t), r.stderr, r.stdout)
	}
}

// sectorsRead counts the sectors that are read from a device from now on.
func sectorsRead(t *testing.T, path string) func() (n int) {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stat := "/sys/dev/block/" + d.Number().String() + "/stat"
	count := func() (n int) {
		var ios, merged int
		b, err := os.ReadFile(stat)
		if _, e := fmt.Sscan(string(b), &ios, &merged, &n); err != nil || e != nil {
			t.Error(err, e)
		}
		return n
	}
	start := count()
	return func() int { return count() - start }
}
