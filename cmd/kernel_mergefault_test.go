package cmd

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// refusesMerge wants both commands, also in a dry run, to exit with 8, to say why,
// and to leave the devices alone.
func refusesMerge(t *testing.T, cow, origin, why string) {
	t.Helper()
	before := mergedOf(t, origin, cow)
	for _, command := range []string{"merge", "merge-step"} {
		stdout, stderr := expect(t, 8, command, "--yes", cow, "--into", origin)
		if stdout != "" || !strings.Contains(stderr, why) {
			t.Errorf("%s: wrote %q, and %q, expected %q in it", command, stdout, stderr, why)
		}
	}
	if mergedOf(t, origin, cow) != before {
		t.Errorf("%s: a device was written to", why)
	}
}

// TestKernelMergeRefused: what others use, and what is no origin, is left alone.
func TestKernelMergeRefused(t *testing.T) {
	kernellab.Require(t)
	u := scattered(t, rand.New(rand.NewPCG(15, 6)), 8, 4096, 100, 9)
	origin, cow := u.loops(t)
	sectors := len(u.origin) / kernellab.SectorSize

	s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
	free, freeCOW := u.loops(t)
	refusesMerge(t, cow, origin, "dmcow: "+cow+": in use by "+s.View.Name+" (dm-")
	refusesMerge(t, cow, free, "dmcow: "+cow+": in use by "+s.View.Name+" (dm-")
	refusesMerge(t, freeCOW, origin, "dmcow: "+origin+": in use by ")
	refusesMerge(t, freeCOW, s.View.Path, "is a snapshot device, not the origin")
	refusesMerge(t, s.View.Path, free, "shows the snapshot; its COW device is "+cow)
	s.Down(t)

	table := fmt.Sprintf("0 %d snapshot-merge %s %s P 8", sectors, origin, cow)
	merging := kernellab.Create(t, "merging", table, false)
	refusesMerge(t, freeCOW, merging.Path, "device, not the origin")
	merging.Remove(t)

	// Two loop devices on one file; the file, or its loop device, and a part of it.
	file := kernellab.File(t, "both", uint64(2*sectors))
	put(t, file, u.cow)
	first, second := kernellab.Loop(t, file), kernellab.Loop(t, file)
	refusesMerge(t, first, second, "overlaps "+first)
	kernellab.Detach(t, first)
	linear := kernellab.Create(t, "linear", fmt.Sprintf("0 %d linear %s %d", sectors, second, sectors), false)
	refusesMerge(t, file, linear.Path, "overlaps "+file)
	refusesMerge(t, second, linear.Path, "overlaps "+second)

	// Two devices on one, of which one begins within the other.
	table = fmt.Sprintf("0 %d linear %s 0", len(u.cow)/kernellab.SectorSize, second)
	front := kernellab.Create(t, "front", table, false)
	inside := kernellab.Create(t, "inside", fmt.Sprintf("0 %d linear %s 64", sectors, second), false)
	refusesMerge(t, front.Path, inside.Path, "overlaps "+front.Path)

	dir := t.TempDir()
	kernellab.Run(t, "mkfs.ext4", "-q", free)
	kernellab.Run(t, "mount", free, dir)
	t.Cleanup(func() { kernellab.Run(t, "umount", dir) })
	refusesMerge(t, freeCOW, free, "dmcow: "+free+": in use by a file system mounted on "+dir)
}

// holedTable is that of a device through which some sectors of another cannot be had.
func holedTable(dev string, sectors, bad, count uint64) string {
	return strings.Join([]string{
		fmt.Sprintf("0 %d linear %s 0", bad, dev),
		fmt.Sprintf("%d %d error", bad, count),
		fmt.Sprintf("%d %d linear %s %d", bad+count, sectors-bad-count, dev, bad+count),
	}, "\n")
}

// rows are those of a store's exceptions, as old and new chunk, in no order.
func rows(t *testing.T, cow string) (all []string) {
	t.Helper()
	stdout, _ := expect(t, 0, "dump", "--output", "csv", cow)
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n")[1:] {
		all = append(all, strings.Join(strings.Split(line, ",")[2:], ","))
	}
	slices.Sort(all)
	return all
}

// TestKernelMergeIOError: sectors of one device cannot be written or read. The merge
// says which, the snapshot stays what it was, and when they are there again, the merge
// run again ends as the kernel's.
func TestKernelMergeIOError(t *testing.T) {
	kernellab.Require(t)
	const chunk = 8
	u := scattered(t, rand.New(rand.NewPCG(15, 7)), chunk, 600*chunk, 300, 1)
	origin, cow, want := u.byKernel(t)
	view := viewOf(t, origin, cow, chunk)
	isOld, oldOf := map[uint64]bool{}, map[uint64]uint64{}
	for _, row := range rows(t, cow) {
		var old, new uint64
		if _, err := fmt.Sscanf(row, "%d,%d", &old, &new); err != nil {
			t.Fatal(row, err)
		}
		isOld[old], oldOf[new] = true, old
	}
	bad := uint64(100) // a chunk of both devices that is merged
	for !isOld[bad] || oldOf[bad] == 0 {
		bad++
	}
	for _, command := range [][]string{{"merge"}, {"merge-step", allSteps}} {
		for _, faulty := range []string{origin, cow} {
			u.reset(t, origin, cow)
			sectors := kernellab.Size(t, faulty)
			d := kernellab.Create(t, "faulty", holedTable(faulty, sectors, bad*chunk, chunk), false)
			into, from := d.Path, cow
			why := fmt.Sprintf("%s: sector %d, chunk %d: cannot be written: input/output error", d.Path, bad*chunk, bad)
			if faulty == cow {
				into, from = origin, d.Path
				why = fmt.Sprintf("%s: sector %d, chunk %d, for chunk %d of the origin: cannot be read: input/output error", d.Path, bad*chunk, bad, oldOf[bad])
			}
			args := append(command, "--yes", from, "--into", into)
			if _, stderr := expect(t, 8, args...); !strings.Contains(stderr, why) {
				t.Errorf("%q: %s, expected %q", args, stderr, why)
			}
			if viewOf(t, origin, cow, chunk) != view {
				t.Errorf("%q: the snapshot shows something else", args)
			}
			d.Reload(t, fmt.Sprintf("0 %d linear %s 0", sectors, faulty))
			expect(t, 0, args...)
			d.Remove(t)
			want.want(t, origin, cow)
		}
	}
}

// lost are the exceptions whose chunks lie on the given sectors, and the lines that
// tell of them.
func (u unmerged) lost(t *testing.T, cow string, bad, count uint64) (all, lines []string) {
	t.Helper()
	sectors := uint64(len(u.origin)) / kernellab.SectorSize
	for _, row := range rows(t, cow) {
		var old, new uint64
		if _, err := fmt.Sscanf(row, "%d,%d", &old, &new); err != nil {
			t.Fatal(row, err)
		}
		start := new * u.chunk // of a short chunk, no more is read than the origin has
		if end := start + min(u.chunk, sectors-old*u.chunk); start < bad+count && bad < end {
			all = append(all, row)
			lines = append(lines, fmt.Sprintf("%s,%d,%d", row, old*u.chunk, u.chunk))
		}
	}
	if len(all) < 2 {
		t.Fatalf("%d chunks are lost", len(all))
	}
	slices.Sort(lines)
	return all, lines
}

// TestKernelMergeRescue: what cannot be read stays in the store, which the kernel
// takes, and all else is merged. When it can be read again, a merge by dmcow or by the
// kernel ends as if nothing had been.
func TestKernelMergeRescue(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(15, 8))
	for _, c := range []struct {
		chunk, origin uint64
		n, longest    int
		bad, count    uint64 // sectors
	}{
		{1, 19000, 17500, 60, 6998, 32}, // two batches; all between two areas
		{8, 1000*8 - 3, 700, 20, 803, 90},
		{32, 60*32 - 8, 40, 5, 300, 100},
	} {
		t.Run(fmt.Sprint("chunk ", c.chunk), func(t *testing.T) {
			u := scattered(t, rng, c.chunk, c.origin, c.n, c.longest)
			origin, cow, want := u.byKernel(t)
			view := viewOf(t, origin, cow, c.chunk)
			for _, byKernel := range []bool{true, false} {
				u.reset(t, origin, cow)
				lost, lines := u.lost(t, cow, c.bad, c.count)
				failed := filepath.Join(t.TempDir(), "failed")
				d := kernellab.Create(t, "faulty", holedTable(cow, kernellab.Size(t, cow), c.bad, c.count), false)
				expect(t, 4, "merge", "--yes", "--memory=1M", "--rescue", "--failed", failed, d.Path, "--into", origin)
				d.Remove(t)
				list, err := os.ReadFile(failed)
				if err != nil {
					t.Fatal(err)
				}
				got := strings.Split(strings.TrimSpace(string(list)), "\n")[1:]
				slices.Sort(got)
				if !slices.Equal(got, lines) {
					t.Errorf("could not be read: %q, expected %q", got, lines)
				}
				if left := rows(t, cow); !slices.Equal(left, lost) {
					t.Errorf("left in the store: %q, expected %q", left, lost)
				}
				s := kernellab.NewSnapshot(t, origin, cow, "P", c.chunk)
				if got := s.View.Status(t); got != *usageOf(t, cow).Status {
					t.Errorf("the kernel says %q", got)
				}
				if kernellab.MustDigest(t, s.View.Path) != view {
					t.Error("the snapshot shows something else")
				}
				s.Down(t)
				if byKernel {
					kernelMerges(t, origin, cow, c.chunk)
				} else {
					expect(t, 0, "merge", "--yes", cow, "--into", origin)
				}
				want.want(t, origin, cow)
			}
		})
	}
}
