package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// TestKernelCheckOfALiveDevice checks a store again and again while the kernel
// writes to it: there are no errors, and it says that figures may move.
func TestKernelCheckOfALiveDevice(t *testing.T) {
	kernellab.Require(t)
	const chunks = 3000
	origin := kernellab.LoopOf(t, kernellab.Pattern(0, chunks, 0))
	cow := blankLoop(t, 8000)
	s := kernellab.NewSnapshot(t, origin, cow, "P", 1)
	done := make(chan error)
	go func() {
		var all []uint64
		for i := range uint64(chunks) {
			all = append(all, i*7%chunks)
		}
		_, err := kernellab.WritePattern(s.Origin.Path, 1, all, 1)
		done <- err
	}()
	checks := 0
	for running := true; running; checks++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		status, stdout, stderr := dmcow("check", "--origin", origin, cow)
		if status != 0 || stderr != "" || !strings.Contains(stdout, "figures may change") {
			t.Fatalf("exit status %d: %s%s", status, stdout, stderr)
		}
	}
	t.Logf("%d checks", checks)
}

// TestKernelLongLoadsSlower compares the time that the kernel takes to load a store of
// 2^20 exceptions with that of a check of it, for the record.
func TestKernelLongLoadsSlower(t *testing.T) {
	devicetest.Long(t)
	kernellab.Require(t)
	const exceptions = 1 << 20
	cow, origin := randomStore(t, exceptions), blankLoop(t, 8*exceptions)
	start := time.Now()
	s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
	kernel := time.Since(start)
	s.Down(t)
	start = time.Now()
	expect(t, 0, "check", "--origin", origin, "--quiet", cow)
	check := time.Since(start)
	t.Logf("2^20 exceptions in random order: the kernel loads them in %v, check takes %v, %.0f times less",
		kernel, check, kernel.Seconds()/check.Seconds())
}

// randomStore is a block device with a store of n exceptions, a power of two, in
// random order. It is sparse: the lab has little memory.
func randomStore(t *testing.T, n uint64) string {
	t.Helper()
	const chunk, slots = 8, 256
	areas := n/slots + 1
	path := kernellab.File(t, "cow", chunk*areas*(slots+1)+chunk)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(content []byte, at uint64) {
		if _, err := f.WriteAt(content, int64(at*chunk*512)); err != nil {
			t.Fatal(err)
		}
	}
	write(storespec.MustCompile(t, "device 8\nheader chunk=8"), 0)
	area := make([]byte, chunk*512)
	for k := range areas - 1 {
		for i := range uint64(slots) {
			number := k*slots + i
			x := format.Exception{Old: format.OldChunk(number * 0x9e3779b1 % n), New: format.NewChunk(2 + number + k)}
			x.Encode(area[i*16:])
		}
		write(area, 1+k*(slots+1))
	}
	return kernellab.Loop(t, path)
}

// TestKernelCheckOfABadDisk: what can be read is checked, and what cannot is said,
// with a status of its own.
func TestKernelCheckOfABadDisk(t *testing.T) {
	kernellab.Require(t)
	image := storespec.MustCompile(t, "device 8192\nheader chunk=8\nfill 600 0\nex 5 4 7")
	disk := kernellab.LoopOf(t, image)
	const bad = 515 * 8 // area 2
	cow := kernellab.Create(t, "bad", fmt.Sprintf("0 %d linear %s 0\n%d 8 error\n%d %d linear %s %d",
		bad, disk, bad, bad+8, 8192-bad-8, disk, bad+8), false)
	stdout, stderr := expect(t, 12, "check", cow.Path)
	for _, want := range []string{": damaged: 1 error; ", "duplicate-old-chunk", "not checked: the parts that cannot be read"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q: %s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "area 2 at chunk 515, byte 2109440: input/output error; 512 exceptions were read before it") {
		t.Errorf("standard error: %s", stderr)
	}
	stdout, _ = expect(t, 12, "check", "--output", "json", cow.Path)
	if !strings.Contains(stdout, `"area 2 at chunk 515, byte 2109440: input/output error; 512 exceptions were read before it"`) {
		t.Errorf("%s", stdout)
	}
}
