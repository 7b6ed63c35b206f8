package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmcow/dump"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// dmcow runs a command line in this process: starting a program is slow in
// the lab.
func dmcow(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = Main(args, &out, &err)
	return status, out.String(), err.String()
}

// expect runs a command line that must end with this status, and returns what
// it wrote.
func expect(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	status, stdout, stderr := dmcow(args...)
	if status != want {
		t.Errorf("%q: exit status %d, expected %d; standard error: %s", args, status, want, stderr)
	}
	return stdout, stderr
}

// usageOf is what dmcow says of a store that it finds sound.
func usageOf(t *testing.T, args ...string) dump.Usage {
	t.Helper()
	return decodeUsage(t, 0, args...)
}

func decodeUsage(t *testing.T, status int, args ...string) (u dump.Usage) {
	t.Helper()
	stdout, _ := expect(t, status, append([]string{"usage", "--output", "json"}, args...)...)
	var all []dump.Usage
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) != 1 || all[0].Status == nil {
		t.Fatalf("%q: %v in %s", args, err, stdout)
	}
	return all[0]
}

// blankLoop is a loop device of zeros.
func blankLoop(t *testing.T, sectors uint64, options ...kernellab.LoopOption) string {
	t.Helper()
	return kernellab.Loop(t, kernellab.File(t, "blank", sectors), options...)
}

// overwrite writes to these chunks of a device, and the kernel must take it.
func overwrite(t *testing.T, path string, chunk uint64, chunks []uint64) {
	t.Helper()
	if failed, err := kernellab.WritePattern(path, chunk, chunks, 1); failed > 0 || err != nil {
		t.Fatalf("%s: %d writes failed, %v", path, failed, err)
	}
}

// span is the numbers from first up to but without end.
func span(first, end uint64) []uint64 {
	var s []uint64
	for n := first; n < end; n++ {
		s = append(s, n)
	}
	return s
}

// TestKernelStatusOfEachStore compares with the kernel as it has the store
// loaded, which is not the kernel that made the copy.
func TestKernelStatusOfEachStore(t *testing.T) {
	kernellab.Require(t)
	stores := corpus.Load(t)
	var sectors uint64
	for _, s := range stores {
		sectors = max(sectors, s.OriginSectors)
	}
	origin := blankLoop(t, sectors) // its content takes no part in this
	for name, s := range stores {
		t.Run(name, func(t *testing.T) {
			cow := kernellab.LoopOf(t, s.COW(t))
			table := fmt.Sprintf("0 %d snapshot %s %s %s %d", s.OriginSectors, origin, cow, s.Type, s.ChunkSectors)
			view := kernellab.Create(t, "snap", table, false)
			want, status := view.Status(t), 0
			if want == "Invalid" {
				status = 2
			}
			if got := decodeUsage(t, status, cow); *got.Status != want {
				t.Errorf("status %q, the kernel says %q", *got.Status, want)
			}
		})
	}
}

// TestKernelStatusOfALiveStore compares after each of several writes, on a COW
// device as LVM makes them, one of device-mapper's.
func TestKernelStatusOfALiveStore(t *testing.T) {
	kernellab.Require(t)
	const chunk, size = 1, 200
	disk := blankLoop(t, size+64)
	cow := kernellab.Create(t, "vg-snap-cow", fmt.Sprintf("0 %d linear %s 64", size, disk), false)
	s := kernellab.NewSnapshot(t, blankLoop(t, 300), cow.Path, "P", chunk)
	next := uint64(0)
	for i, n := range []uint64{0, 1, 30, 1, 1, 31, 1, 80} {
		target := s.Origin
		if i%2 == 0 {
			target = s.View
		}
		overwrite(t, target.Path, chunk, span(next, next+n))
		next += n
		u := usageOf(t, cow.Path)
		if want := s.View.Status(t); *u.Status != want || *u.Exceptions != next {
			t.Errorf("after %d chunks: status %q and %d exceptions, the kernel says %q", next, *u.Status, *u.Exceptions, want)
		}
	}
}

func TestKernelMakesOfABlankDeviceWhatUsageSays(t *testing.T) {
	kernellab.Require(t)
	origin := blankLoop(t, 1024)
	for _, c := range []struct {
		flags   []string
		table   uint64 // chunk size, 0 for the kernel's default
		sectors uint64
		block   int
	}{
		{nil, 0, 1003, 512},
		{nil, 0, 1024, 4096},
		{[]string{"--chunk-size", "4K"}, 8, 1003, 512},
		{[]string{"--chunk-size", "1s"}, 1, 2, 512},
		{[]string{"--chunk-size", "64KiB"}, 128, 1024, 4096},
	} {
		cow := blankLoop(t, c.sectors, kernellab.BlockSize(c.block))
		before := usageOf(t, append(c.flags, cow)...)
		table := fmt.Sprintf("0 1024 snapshot %s %s P %d", origin, cow, c.table)
		view := kernellab.Create(t, "snap", table, false)
		if want := view.Status(t); *before.Status != want || before.State != "uninitialized" {
			t.Errorf("%v: %s, status %q, the kernel says %q", c, before.State, *before.Status, want)
		}
		after := usageOf(t, cow)
		if before.State = after.State; !slices.Equal(figures(before), figures(after)) {
			t.Errorf("%v: figures before loading %v, and after it %v", c, figures(before), figures(after))
		}
		view.Remove(t)
	}
}

// figures is all that usage says of a store with a usage.
func figures(u dump.Usage) []string {
	return strings.Fields(fmt.Sprint(*u.ChunkSectors, *u.TotalSectors, *u.AllocatedSectors, *u.MetadataSectors, *u.Percent,
		*u.Exceptions, *u.Areas, *u.NextFreeChunk, *u.FreeChunks, *u.LeakedChunks, *u.MinimumSectors, *u.Status, u.State))
}

func TestKernelMisdirectedDevices(t *testing.T) {
	kernellab.Require(t)
	const chunk, sectors = 8, 64 * 8
	origin, cow := blankLoop(t, sectors), blankLoop(t, 800)
	s := kernellab.NewSnapshot(t, origin, cow, "P", chunk)
	overwrite(t, s.Origin.Path, chunk, span(3, 9))
	linear := kernellab.Create(t, "linear", "0 800 linear "+cow+" 0", true)
	for _, command := range []string{"dump", "usage"} {
		refused(t, command, s.View.Path, "shows the snapshot; its COW device is "+cow+"\n")
		refused(t, command, s.Origin.Path, "is an origin, not a COW device")
		direct, _ := expect(t, 0, command, cow)
		through, _ := expect(t, 0, command, linear.Path)
		if !strings.Contains(through, linear.Path) || columns(through, linear.Path) != columns(direct, cow) {
			t.Errorf("%s: of the store %q, through a linear device %q", command, direct, through)
		}
	}
	s.Down(t)
	// The COW device is a device-mapper device now, and is named as one.
	named := kernellab.Create(t, "named", "0 800 linear "+cow+" 0", false)
	merge := kernellab.Create(t, "merging", fmt.Sprintf("0 %d snapshot-merge %s %s P %d", sectors, origin, named.Path, chunk), false)
	refused(t, "dump", merge.Path, "the COW device of that snapshot is "+named.Path+"\n")
}

func refused(t *testing.T, command, path, why string) {
	t.Helper()
	stdout, stderr := expect(t, 8, command, path)
	if stdout != "" || !strings.Contains(stderr, why) || !strings.Contains(stderr, path) {
		t.Errorf("%s %s: wrote %q, and %q, expected %q in it", command, path, stdout, stderr, why)
	}
}

// columns is a text without the device's name, the padding that depends on it,
// and who holds it.
func columns(text, path string) string {
	before, after, _ := strings.Cut(text, "in use by")
	_, after, _ = strings.Cut(after, "\n")
	return strings.Join(strings.Fields(strings.ReplaceAll(before+after, path, "")), " ")
}

// TestKernelReadingAStoreInUse reads while the kernel adds exceptions. Behind
// the list the device holds what was there before.
func TestKernelReadingAStoreInUse(t *testing.T) {
	kernellab.Require(t)
	const chunk, chunks = 1, 1500
	stale := bytes.Repeat([]byte{0xa5}, (chunks*2)*kernellab.SectorSize)
	cow := kernellab.LoopOf(t, append(make([]byte, kernellab.SectorSize), stale...))
	s := kernellab.NewSnapshot(t, blankLoop(t, chunks), cow, "P", chunk)
	done := make(chan error)
	go func() {
		_, err := kernellab.WritePattern(s.Origin.Path, chunk, span(0, chunks), 1)
		done <- err
	}()
	halfway, last := 0, uint64(0)
	for writing := true; writing; {
		select {
		case err := <-done:
			writing = false
			if err != nil {
				t.Fatal(err)
			}
		default:
		}
		rows, stderr := expect(t, 0, "dump", "--output", "csv", cow)
		n := uint64(strings.Count(rows, "\n")) - 1
		if n < last || stderr != "" {
			t.Fatalf("%d exceptions, there were %d before; %s", n, last, stderr)
		}
		if last = n; 0 < n && n < chunks {
			halfway++
		}
	}
	if last != chunks || halfway == 0 {
		t.Errorf("%d reads while the kernel wrote; the last showed %d exceptions, expected %d", halfway, last, chunks)
	}
}
