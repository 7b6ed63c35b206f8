package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// TestKernelLoadsWhatInitializeWrote: an empty snapshot, whatever the device held
// behind its first 4 KiB, which goes on from there.
func TestKernelLoadsWhatInitializeWrote(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		block int
		flag  string
		chunk uint64 // sectors
	}{
		{512, "", 32},
		{512, "--chunk-size=512", 1},
		{512, "--chunk-size=4K", 8},
		{512, "--chunk-size=512K", 1024},
		{4096, "", 32},
		{4096, "--chunk-size=4K", 8},
	} {
		t.Run(fmt.Sprint(c.block, c.flag), func(t *testing.T) {
			const sectors = 8192
			block := kernellab.BlockSize(c.block)
			stale := append(make([]byte, 4096), bytes.Repeat([]byte{0xa5}, (sectors-8)*512)...)
			cow, origin := kernellab.LoopOf(t, stale, block), kernellab.LoopOf(t, kernellab.Pattern(0, sectors, 0), block)
			args := []string{"initialize", "--yes", "--force", cow}
			if c.flag != "" {
				args = append(args, c.flag)
			}
			expect(t, 0, args...)
			s := kernellab.NewSnapshot(t, origin, cow, "P", 16) // not the store's chunk size
			if got, want := s.View.Status(t), fmt.Sprintf("%d/%d %[1]d", 2*c.chunk, sectors); got != want {
				t.Errorf("status %q, want %q", got, want)
			}
			before := kernellab.MustDigest(t, s.View.Path)
			overwrite(t, s.Origin.Path, c.chunk, span(0, 5))
			if got := kernellab.MustDigest(t, s.View.Path); got != before || got == kernellab.MustDigest(t, s.Origin.Path) {
				t.Error("the snapshot does not keep what the origin held")
			}
		})
	}
}

// TestKernelInvalidate: of every store that the kernel made, and that it serves,
// it says Invalid.
func TestKernelInvalidate(t *testing.T) {
	kernellab.Require(t)
	origin := blankLoop(t, 8192)
	n := 0
	for name, s := range corpus.Load(t) {
		if s.Status == "Invalid" {
			continue
		}
		n++
		cow := kernellab.LoopOf(t, s.COW(t))
		expect(t, 0, "invalidate", "--yes", cow)
		view := kernellab.Create(t, "snap", fmt.Sprintf("0 %d snapshot %s %s P 8", min(s.OriginSectors, 8192), origin, cow), false)
		if got := view.Status(t); got != "Invalid" {
			t.Errorf("%s: status %q", name, got)
		}
		view.Remove(t)
	}
	if n == 0 {
		t.Error("no store")
	}
}

// differing makes two images of so many sectors, which differ in a number of
// places: single bytes, runs over several chunks, the first byte and the last.
func differing(rng *rand.Rand, sectors, places int) (base, image []byte) {
	base = kernellab.Pattern(0, uint64(sectors), 0)
	image = bytes.Clone(base)
	for range places {
		at := rng.IntN(len(image))
		n := 1
		if rng.IntN(3) == 0 {
			n = rng.IntN(100 << 10)
		}
		for i := at; i < min(at+n, len(image)); i++ {
			image[i] ^= byte(1 + rng.IntN(255))
		}
	}
	image[0] ^= 1
	image[len(image)-1] ^= 1
	return base, image
}

// TestKernelReadsWhatCreateWrote: the kernel's snapshot of BASE with the store
// reads as IMAGE, and the kernel merges it to become IMAGE, also where the last
// chunk is a short one.
func TestKernelReadsWhatCreateWrote(t *testing.T) {
	kernellab.Require(t)
	for i, c := range []struct {
		chunk   string
		sectors int
		places  int
		device  uint64 // sectors of a block device as COW; an image file where it is 0
	}{
		{"512", 4000, 200, 0},
		{"512", 4000, 200, 8000},
		{"4K", 8192 + 5, 100, 0},
		{"4K", 8192, 100, 16384},
		{"16K", 8192 + 31, 20, 0},
		{"2M", 3*4096 + 1, 2, 0},
	} {
		t.Run(fmt.Sprint(c.chunk, " of ", c.sectors), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			base, image := differing(rng, c.sectors, c.places)
			dir := t.TempDir()
			from, cow := filepath.Join(dir, "image"), filepath.Join(dir, "cow")
			devicetest.WriteFile(t, from, image)
			origin := kernellab.LoopOf(t, base)
			if c.device > 0 {
				cow = blankLoop(t, c.device)
			}
			expect(t, 0, "create", "--yes", "--chunk-size", c.chunk, cow, "--origin", origin, "--from", from)
			if c.device == 0 {
				cow = kernellab.Loop(t, cow)
			}
			want := kernellab.MustDigest(t, from)
			s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
			if got := kernellab.MustDigest(t, s.View.Path); got != want {
				t.Error("the kernel's snapshot reads as something else")
			}
			s.Down(t)
			kernellab.Merge(t, origin, cow, "P", 8, nil)
			if got := kernellab.MustDigest(t, origin); got != want {
				t.Error("the kernel has merged it to something else")
			}
		})
	}
}

// TestKernelDeviceInUse: a device that the kernel holds is left alone, and the
// holder is named; so is a snapshot's view and an origin's target, which are not
// its store.
func TestKernelDeviceInUse(t *testing.T) {
	kernellab.Require(t)
	origin, cow, base := blankLoop(t, 800), blankLoop(t, 800), blankLoop(t, 800)
	s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
	before := kernellab.MustDigest(t, cow)
	for path, want := range map[string]string{
		cow:           "dmcow: " + cow + ": in use by " + s.View.Name + " (dm-",
		s.View.Path:   "shows the snapshot; its COW device is " + cow,
		s.Origin.Path: "is an origin, not a COW device",
	} {
		for _, command := range [][]string{
			{"initialize", "--yes", "--force"}, {"invalidate", "--yes"},
			{"create", "--yes", "--force", "--origin", base, "--from", base},
		} {
			if _, stderr := expect(t, 8, append(command, path)...); !strings.Contains(stderr, want) {
				t.Errorf("%q of %s: %s", command, path, stderr)
			}
		}
	}
	if got := kernellab.MustDigest(t, cow); got != before {
		t.Error("the store was written to")
	}
}

// TestKernelCreateOfLargeBlocks: an origin with blocks of 4096 bytes takes no
// smaller chunks, and what was made before that showed is gone.
func TestKernelCreateOfLargeBlocks(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(1, 9))
	base, image := differing(rng, 8192, 20)
	dir := t.TempDir()
	from, raw, cow := filepath.Join(dir, "image"), filepath.Join(dir, "base"), filepath.Join(dir, "cow")
	for path, content := range map[string][]byte{from: image, raw: base} {
		devicetest.WriteFile(t, path, content)
	}
	origin := kernellab.Loop(t, raw, kernellab.BlockSize(4096))
	_, stderr := expect(t, 16, "create", "--yes", "--chunk-size", "1s", cow, "--origin", origin, "--from", from)
	if !strings.Contains(stderr, "Chunk size is not a multiple of device blocksize (4096 bytes)") {
		t.Errorf("%s", stderr)
	}
	if _, err := os.Stat(cow); err == nil {
		t.Error("a file is left behind")
	}
	expect(t, 0, "create", "--yes", cow, "--origin", origin, "--from", from)
	s := kernellab.NewSnapshot(t, origin, kernellab.Loop(t, cow, kernellab.BlockSize(4096)), "P", 8)
	if got, want := kernellab.MustDigest(t, s.View.Path), kernellab.MustDigest(t, from); got != want {
		t.Error("the kernel's snapshot reads as something else")
	}
	s.Down(t)

	// On a COW device with such blocks, a section begins with one of them.
	large := kernellab.Loop(t, kernellab.File(t, "large", 8192), kernellab.BlockSize(4096))
	for _, args := range [][]string{{"initialize", "--yes"}, {"initialize", "--dry-run"}, {"invalidate", "--yes"}} {
		_, stderr := expect(t, 16, append(args, "--offset", "512", large)...)
		if !strings.Contains(stderr, "offset 512 is not a multiple of the logical block (4096 bytes)") {
			t.Errorf("%v: %s", args, stderr)
		}
	}
}

// TestKernelCreateOverItsOwnBase: a COW device that lies on what is read, or under
// it, is refused.
func TestKernelCreateOverItsOwnBase(t *testing.T) {
	kernellab.Require(t)
	base := kernellab.File(t, "base", 8192)
	image := kernellab.File(t, "image", 8192)
	loop := kernellab.Loop(t, base)
	refuse := func(cow, base string) {
		t.Helper()
		_, stderr := expect(t, 8, "create", "--yes", "--force", "--live", cow, "--origin", base, "--from", image)
		if !strings.Contains(stderr, "which the command reads") {
			t.Errorf("%s over %s: %s", cow, base, stderr)
		}
	}
	refuse(loop, base)
	linear := kernellab.Create(t, "over", "0 8192 linear "+loop+" 0", false)
	refuse(linear.Path, loop)
	refuse(linear.Path, base)
}
