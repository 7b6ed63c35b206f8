package cmd

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// TestKernelRevalidate has a write to the snapshot, or to a device like the origin, lose a
// snapshot for want of room. Marked valid again, on a device that has grown, it shows every
// chunk that was saved before.
func TestKernelRevalidate(t *testing.T) {
	kernellab.Require(t)
	for _, toSnapshot := range []bool{true, false} {
		const chunk, originChunks = 8, 64
		origin, disk := blankLoop(t, chunk*originChunks), blankLoop(t, 2000)
		linear := func(sectors int) string { return fmt.Sprintf("0 %d linear %s 0", sectors, disk) }
		cow := kernellab.Create(t, "small-cow", linear(22*chunk), false)
		up := kernellab.NewSnapshot(t, origin, cow.Path, "P", chunk)
		overwrite(t, up.Origin.Path, chunk, span(0, 20)) // all that there is room for
		path := up.Origin.Path
		if toSnapshot {
			path = up.View.Path
		}
		_, err := kernellab.WritePattern(path, chunk, []uint64{40}, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got := up.View.Status(t); got != "Invalid" {
			t.Fatalf("the snapshot is %s", got)
		}
		up.Down(t)

		stdout, _ := expect(t, 8, "revalidate", "--yes", cow.Path)
		if want := fmt.Sprintf("grow the device by at least %d sectors, to %d sectors (", chunk, 23*chunk); !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
		expect(t, 0, "revalidate", "--yes", "--assume-origin-unchanged", "--origin", origin, cow.Path)
		cow.Reload(t, linear(23*chunk))
		up = kernellab.NewSnapshot(t, origin, cow.Path, "P", chunk)
		// What was saved are the zeros of the origin. The write that found no room went
		// through where it was one to the origin.
		want := make([]byte, chunk*originChunks*512)
		if !toSnapshot {
			copy(want[40*chunk*512:], kernellab.Pattern(40*chunk, chunk, 2))
		}
		if got := kernellab.MustRead(t, up.View.Path); !slices.Equal(got, want) {
			t.Errorf("to the snapshot %v: it shows something else", toSnapshot)
		}
		overwrite(t, up.Origin.Path, chunk, []uint64{50})
		if got := up.View.Status(t); got == "Invalid" {
			t.Error("the next chunk has lost it again")
		}
		up.Down(t)
		cow.Remove(t)
	}
}

// TestKernelStale makes a snapshot, fills it, removes it, and makes another on the same
// device, as LVM does: 4096 bytes are zeroed. What the first had saved is found, and is
// right.
func TestKernelStale(t *testing.T) {
	kernellab.Require(t)
	const chunk, originChunks = 1, 400
	origin, cow := blankLoop(t, chunk*originChunks), blankLoop(t, 1000)
	overwrite(t, origin, chunk, span(0, originChunks)) // what the first is to save
	before := kernellab.MustRead(t, origin)
	up := kernellab.NewSnapshot(t, origin, cow, "P", chunk)
	const saved = 150
	if _, err := kernellab.WritePattern(up.Origin.Path, chunk, span(100, 100+saved), 2); err != nil {
		t.Fatal(err)
	}
	up.Down(t)
	device, err := os.OpenFile(cow, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if _, err := device.WriteAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	up = kernellab.NewSnapshot(t, origin, cow, "P", chunk)
	if _, err := kernellab.WritePattern(up.Origin.Path, chunk, span(0, 40), 3); err != nil {
		t.Fatal(err)
	}
	up.Down(t)

	stdout, _ := expect(t, 0, "dump", "--stale", "--output", "csv", cow)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	content := kernellab.MustRead(t, cow)
	found := 0
	for _, r := range rows[1:] {
		if r[4] != "stale" {
			continue
		}
		old, _ := strconv.Atoi(r[2])
		new, _ := strconv.Atoi(r[3])
		if old < 100 || old >= 100+saved {
			t.Errorf("%v is no chunk that the first one saved", r)
			continue
		}
		if r[5] == "good" {
			found++
			if !slices.Equal(content[new*512:][:512], before[old*512:][:512]) {
				t.Errorf("%v has other data", r)
			}
		}
	}
	// The second has used area 0, and has begun with area 1; the kernel clears an area
	// before it uses it.
	if want := saved - 2*32; found != want {
		t.Errorf("%d chunks of the first are found, expected %d", found, want)
	}
}

// TestKernelRepair mends a store on a block device, also one of large blocks, and has the
// kernel serve it; then it takes the repair back with the log.
func TestKernelRepair(t *testing.T) {
	kernellab.Require(t)
	for _, options := range [][]kernellab.LoopOption{nil, {kernellab.BlockSize(4096)}} {
		image := storespec.MustCompile(t, "device 4000\nheader chunk=8\nfill 300 0\ndata 9\nex 20 0 0\nex 280 7 99999\nex 290 3 5")
		cow := kernellab.LoopOf(t, image, options...)
		origin := blankLoop(t, 8*400, options...)
		log := t.TempDir() + "/log"
		expect(t, 5, "repair", "--yes", "--undo", log, "--hidden", "keep", "--drop", "--keep", "first", "--origin", origin, cow)
		up := kernellab.NewSnapshot(t, origin, cow, "P", 8)
		want := make([]byte, 8*400*512)
		for old := range 300 {
			if new := 2 + old + old/256; old != 20 && old != 280 && old != 290 {
				copy(want[old*4096:], image[new*4096:][:4096])
			}
		}
		if !slices.Equal(kernellab.MustRead(t, up.View.Path), want) {
			t.Error("the snapshot shows something else")
		}
		up.Down(t)
		expect(t, 0, "merge", log, "--into", cow, "--yes")
		if !slices.Equal(kernellab.MustRead(t, cow), image) {
			t.Error("taken back, the store is not what it was")
		}
	}
}
