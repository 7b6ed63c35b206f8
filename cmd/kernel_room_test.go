package cmd

import (
	"fmt"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// holed is a store that lost 18 chunks to a hole.
const holed = "header chunk=1\nex 0 5 20"

// TestKernelStoresAsManyAsAreFreeAndNoMore has the kernel store as many
// exceptions as free_chunks says, and then the one that is too many.
func TestKernelStoresAsManyAsAreFreeAndNoMore(t *testing.T) {
	kernellab.Require(t)
	origin := blankLoop(t, 4000)
	for _, c := range []struct {
		name          string
		chunk, chunks uint64 // sectors, and whole chunks on the COW device
		tail          uint64 // sectors behind them
		written       uint64 // before usage is asked
		reload        bool
		spec          string // of what is there before
	}{
		{name: "no room", chunk: 1, chunks: 2},
		{name: "three chunks", chunk: 1, chunks: 3},
		{name: "area 0 not full", chunk: 1, chunks: 33, written: 3},
		{name: "area 0 full, area 1 would not fit", chunk: 1, chunks: 34, written: 3},
		{name: "the same, one left", chunk: 1, chunks: 34, written: 30, reload: true},
		{name: "area 1 fits, its data would not", chunk: 1, chunks: 35, written: 1},
		{name: "one chunk in area 1", chunk: 1, chunks: 36, written: 32, reload: true},
		{name: "area 1 full, area 2 would not fit", chunk: 1, chunks: 67, written: 40},
		{name: "area 2 fits", chunk: 1, chunks: 68, written: 64, reload: true},
		{name: "several areas", chunk: 1, chunks: 200, written: 70, reload: true},
		{name: "a hole", chunk: 1, chunks: 34, written: 2, spec: holed},
		{name: "a hole up to area 1", chunk: 1, chunks: 67, spec: "header chunk=1\nex 0 5 33"},
		{name: "4 KiB, three chunks", chunk: 8, chunks: 3, tail: 7},
		{name: "4 KiB, area 0 full, area 1 would not fit", chunk: 8, chunks: 258, tail: 3, written: 10},
		{name: "4 KiB, one chunk in area 1", chunk: 8, chunks: 260, written: 200, reload: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := c.chunks*c.chunk + c.tail
			cow := kernellab.LoopOf(t, storespec.MustCompile(t, fmt.Sprintf("device %d\n%s", size, c.spec)))
			s := kernellab.NewSnapshot(t, origin, cow, "P", c.chunk)
			const first = 10 // chunks that the specs do not use
			next := first + c.written
			overwrite(t, s.Origin.Path, c.chunk, span(first, next))
			if c.reload {
				s.Down(t)
				s = kernellab.NewSnapshot(t, origin, cow, "P", c.chunk)
			}
			free := *usageOf(t, cow).FreeChunks
			overwrite(t, s.Origin.Path, c.chunk, span(next, next+free))
			checkFull(t, s, cow, c.chunk, next+free)
			s.Down(t)
		})
	}
}

// checkFull wants a valid store without room, and the kernel to drop it when
// the origin's chunk next is written. The kernel drops it before it lets the
// write through.
func checkFull(t *testing.T, s *kernellab.Snapshot, cow string, chunk, next uint64) {
	t.Helper()
	u := usageOf(t, cow)
	if got := s.View.Status(t); got != *u.Status || *u.FreeChunks != 0 {
		t.Errorf("the kernel says %q where there should be no room left; usage says %q, %d free", got, *u.Status, *u.FreeChunks)
	}
	overwrite(t, s.Origin.Path, chunk, span(next, next+1))
	if got := s.View.Status(t); got != "Invalid" {
		t.Errorf("one more than fits: the kernel says %q", got)
	}
	decodeUsage(t, 2, cow)
}

// TestKernelServesAllOnTheMinimumAndOnNoLess cuts stores to minimum_sectors,
// and then takes one sector more off.
func TestKernelServesAllOnTheMinimumAndOnNoLess(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name    string
		chunk   uint64
		written []uint64 // chunks of a snapshot of 100
		short   uint64   // sectors that the origin's last chunk is short of
		less    uint64   // sectors that are too many to take off
		spec    string
	}{
		{name: "empty", chunk: 1, less: 1},
		{name: "data decides", chunk: 1, written: span(10, 41), less: 1},
		{name: "the area after a full one decides", chunk: 1, written: span(10, 42), less: 1},
		{name: "data in area 1 decides", chunk: 1, written: span(10, 43), less: 1},
		{name: "the area after two full ones decides", chunk: 1, written: span(10, 74), less: 1},
		{name: "a hole", chunk: 1, written: span(10, 12), less: 1, spec: holed},
		{name: "the origin's last chunk", chunk: 8, written: []uint64{3, 99}, less: 1},
		// The kernel reads no more of a chunk than the origin has.
		{name: "the origin's last chunk is short", chunk: 8, written: []uint64{3, 99}, short: 3, less: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := kernellab.LoopOf(t, kernellab.Pattern(0, 100*c.chunk-c.short, 0))
			cow := kernellab.LoopOf(t, storespec.MustCompile(t, "device 2000\n"+c.spec))
			table := fmt.Sprintf("0 %d snapshot %s %s P %d", kernellab.Size(t, origin), origin, cow, c.chunk)
			view := kernellab.Create(t, "snap", table, false)
			overwrite(t, view.Path, c.chunk, c.written)
			want := kernellab.MustDigest(t, view.Path)
			view.Remove(t)
			least := *usageOf(t, cow).MinimumSectors
			if got, err := cutView(t, origin, cow, least, c.chunk); err != nil || got != want {
				t.Errorf("%d sectors, and not all is served: %v", least, err)
			}
			if _, err := cutView(t, origin, cow, least-c.less, c.chunk); err == nil {
				t.Errorf("all is served on %d sectors, minimum_sectors is %d", least-c.less, least)
			}
		})
	}
}

// cutView is what a snapshot shows whose COW device is cut to so many sectors,
// or why the kernel cannot show it.
func cutView(t *testing.T, origin, cow string, sectors, chunk uint64) (digest string, err error) {
	t.Helper()
	cut := kernellab.Create(t, "cut", fmt.Sprintf("0 %d linear %s 0", sectors, cow), false)
	defer cut.Remove(t)
	table := fmt.Sprintf("0 %d snapshot %s %s P %d", kernellab.Size(t, origin), origin, cut.Path, chunk)
	view, err := kernellab.TryCreate(t, "snap", table, true)
	if err != nil {
		return "", err
	}
	defer view.Remove(t)
	return kernellab.Digest(view.Path)
}

// TestKernelNeedsTheMaximumAndNoMore changes every chunk of an origin whose
// snapshot has maximum_sectors, and then one chunk less.
func TestKernelNeedsTheMaximumAndNoMore(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		name          string
		chunk, chunks uint64 // of the origin
		short         uint64 // sectors that its last chunk is short of
		spec          string
	}{
		{name: "area 0 full", chunk: 1, chunks: 32},
		{name: "one in area 1", chunk: 1, chunks: 33},
		{name: "a hole", chunk: 1, chunks: 40, spec: holed},
		{name: "a short last chunk", chunk: 8, chunks: 20, short: 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin := kernellab.LoopOf(t, kernellab.Pattern(0, c.chunks*c.chunk-c.short, 0))
			image := storespec.MustCompile(t, "device 2000\n"+c.spec)
			file := kernellab.File(t, "cow", 0)
			devicetest.WriteFile(t, file, image)
			most := *usageOf(t, "--origin", origin, "--chunk-size", fmt.Sprintf("%ds", c.chunk), file).MaximumSectors
			for less, lost := range map[uint64]bool{0: false, c.chunk: true} {
				cow := kernellab.LoopOf(t, image[:(most-less)*kernellab.SectorSize])
				s := kernellab.NewSnapshot(t, origin, cow, "P", c.chunk)
				overwrite(t, s.Origin.Path, c.chunk, span(0, c.chunks))
				if got := s.View.Status(t); (got == "Invalid") != lost {
					t.Errorf("maximum_sectors is %d; with %d less the kernel says %q", most, less, got)
				}
				s.Down(t)
			}
		})
	}
}
