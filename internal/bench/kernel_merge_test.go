package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"dmcow/internal/kernellab"
	"dmcow/internal/memory"
)

// The devices inside.
const (
	labOrigin = "/dev/ubda"
	labStore  = "/dev/ubdb"
)

// BenchmarkKernelMerge lets the kernel and dmcow merge the same stores on the same
// devices, one after the other: image files of the machine outside, in its page
// cache, on which a flush of the device is an fsync. It is for umlexec, and make
// bench runs it.
//
// All times are those of whole jobs. The kernel's begins with the start of dmsetup,
// which has it load the list, and ends when the list is empty. It is left alone or
// watched: asked for its status all the while, which takes it much time where there is
// one processor. That of dmcow is its process, from start to end; beside it stands what the
// program takes to do nothing.
func BenchmarkKernelMerge(b *testing.B) {
	program := os.Getenv(labProgram)
	if program == "" {
		b.Skip("make bench runs it")
	}
	kernellab.Require(b)
	runs, err := strconv.Atoi(os.Getenv(labRuns))
	kernellab.Must(b, err)
	var all []labMerges
	for _, order := range orders {
		b.Run(order, func(b *testing.B) {
			m := mergeable{labChunks, order}
			r := labMerges{Order: order}
			for run := range runsOf(order, runs) {
				r.Watched = append(r.Watched, measureMerge(b, m, run == 0, func(b *testing.B) time.Duration {
					return kernelMerge(b, waitWatching)
				}))
				r.Alone = append(r.Alone, measureMerge(b, m, run == 0, func(b *testing.B) time.Duration {
					return kernelMerge(b, waitCleared)
				}))
				r.Dmcow = append(r.Dmcow, measureMerge(b, m, run == 0, func(b *testing.B) time.Duration {
					return dmcowMerge(b, program)
				}))
				r.Start = append(r.Start, timed(b, exec.Command(program, "--version")))
				r.Copy = append(r.Copy, timed(b, exec.Command("dd", "if="+labStore, "of="+labOrigin, "iflag=direct",
					"oflag=direct", "conv=notrunc,fsync", "bs=2M", fmt.Sprintf("count=%d", labChunks*uint64(geometry().ChunkBytes())>>21))))
			}
			all = append(all, r)
		})
	}
	figures, err := json.Marshal(all)
	kernellab.Must(b, err)
	kernellab.Must(b, os.WriteFile(filepath.Join(os.Getenv("DMCOW_LAB_OUT"), labFile), figures, 0o666))
}

// runsOf is how often to measure: in random order the kernel takes long.
func runsOf(order string, runs int) int {
	if order == "random" {
		return min(runs, 2)
	}
	return runs
}

// measureMerge has a store merged that has all its exceptions. At the first time it
// writes both devices before, and looks them over after.
func measureMerge(b *testing.B, m mergeable, first bool, merge func(*testing.B) time.Duration) time.Duration {
	b.Helper()
	if first {
		kernellab.Must(b, m.write(labStore, labOrigin))
	}
	kernellab.Must(b, m.restore(labStore))
	took := merge(b)
	if first {
		kernellab.Must(b, m.check(labOrigin))
	}
	return took
}

// tooLong is when a merge is given up.
const tooLong = 3 * time.Minute

// dmcowMerge merges with dmcow. One that does not end tells where it is.
func dmcowMerge(b *testing.B, program string) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), tooLong)
	defer cancel()
	c := exec.CommandContext(ctx, program, "merge", "--yes", labStore, "--into", labOrigin)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGQUIT) }
	return timed(b, c)
}

// timed runs a command, which must succeed.
func timed(b *testing.B, c *exec.Cmd) time.Duration {
	b.Helper()
	start := time.Now()
	said, err := c.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		b.Fatalf("%v: %v\n%s", c.Args, err, said)
	}
	return took
}

// kernelMerge merges with the kernel, and waits for it.
func kernelMerge(b *testing.B, wait func(*testing.B, time.Time)) time.Duration {
	b.Helper()
	sectors := kernellab.Size(b, labOrigin)
	start := time.Now()
	kernellab.Run(b, "dmsetup", "create", target, "--table",
		fmt.Sprintf("0 %d snapshot-merge %s %s P %d", sectors, labOrigin, labStore, chunkSectors))
	wait(b, start)
	took := time.Since(start)
	if !merged(b) {
		b.Fatal("the kernel's merge has not ended")
	}
	kernellab.Run(b, "dmsetup", "remove", target)
	return took
}

// target is the name of the device by which the kernel merges.
const target = "merging"

// merged reports whether the kernel's merge has come to an end.
func merged(b *testing.B) bool {
	b.Helper()
	var allocated, total, metadata uint64
	status := kernellab.Run(b, "dmsetup", "status", target)
	if _, err := fmt.Sscanf(status, "%d %d snapshot-merge %d/%d %d", new(int), new(int), &allocated, &total, &metadata); err != nil {
		b.Fatalf("the kernel's merge has the status %q", status)
	}
	return allocated == metadata
}

// waitWatching waits until the kernel says that it has merged all, and asks it all
// the while, or after a pause each time.
func waitWatching(b *testing.B, start time.Time) {
	b.Helper()
	pause, _ := time.ParseDuration(os.Getenv(labPause))
	for !merged(b) {
		if time.Since(start) > tooLong {
			b.Fatal("the kernel's merge does not end")
		}
		time.Sleep(pause)
	}
}

// waitCleared waits until the first exception, which goes last, is gone. It looks at
// the device itself, past the cache, and seldom.
func waitCleared(b *testing.B, start time.Time) {
	b.Helper()
	f, err := os.OpenFile(labStore, os.O_RDONLY|syscall.O_DIRECT, 0)
	kernellab.Must(b, err)
	defer f.Close()
	sector := memory.Aligned(kernellab.SectorSize)
	area := int64(geometry().Offset(geometry().AreaLocation(0)))
	for {
		if _, err := f.ReadAt(sector, area); err != nil {
			b.Fatal(err)
		}
		if string(sector[:16]) == string(make([]byte, 16)) {
			return
		}
		elapsed := time.Since(start)
		if elapsed > tooLong {
			b.Fatal("the kernel's merge does not end")
		}
		time.Sleep(min(max(elapsed/100, time.Millisecond), 50*time.Millisecond))
	}
}
