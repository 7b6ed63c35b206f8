package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"dmcow/internal/cache"
	"dmcow/internal/kernellab"
)

// TestKernelCache: a volume is read as the kernel shows it, when its cache was shut down with blocks that
// the origin lacks, with either version of the metadata; a copy of one that is active is refused.
func TestKernelCache(t *testing.T) {
	for _, version := range []string{"1", "2 metadata2"} {
		t.Run(version, func(t *testing.T) { cacheOfKernel(t, version) })
	}
}

func cacheOfKernel(t *testing.T, version string) {
	kernellab.Require(t)
	const sectors, blocks, inCache, odd = 64, 900, 700, 24
	origin := kernellab.LoopOf(t, kernellab.Pattern(0, blocks*sectors+odd, 1))
	metadata := kernellab.Loop(t, kernellab.File(t, "metadata", 8192))
	data := kernellab.Loop(t, kernellab.File(t, "data", inCache*sectors))
	table := fmt.Sprintf("0 %d cache %s %s %s %d %s writeback smq 0", blocks*sectors+odd, metadata, data, origin, sectors, version)
	d := kernellab.Create(t, "cached", table, false)
	// Else the kernel writes back what is dirty as soon as nothing is asked of the device for a second.
	d.Message(t, "migration_threshold 0")
	// What is written a block at a time goes to the cache at once, if it goes there.
	var some []uint64
	for i := range uint64(600) {
		some = append(some, i*7%blocks)
	}
	write := func(chunk, version uint64, chunks ...uint64) {
		t.Helper()
		if failed, err := kernellab.WritePattern(d.Path, chunk, chunks, version); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
	}
	for round := uint64(2); dirtyIn(t, d) < 520; round++ { // more than a block of an array has
		if round == 40 {
			t.Fatal("the kernel takes no more into its cache: ", d.Status(t))
		}
		write(sectors, round, some...)
	}
	write(8, 99, 3, 60, 61, blocks*sectors/8+2)
	want := kernellab.MustRead(t, d.Path)

	open := func() (*cache.Cache, error) {
		b := kernellab.MustRead(t, metadata)
		return cache.Open(bytes.NewReader(b), int64(len(b)))
	}
	if _, err := open(); !errors.Is(err, cache.ErrUnclean) {
		t.Errorf("while it is active: %v", err)
	}
	d.Remove(t)
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	onOrigin := kernellab.MustRead(t, origin)
	if bytes.Equal(onOrigin, want) || c.Dirty() == 0 {
		t.Fatalf("%d blocks are dirty, and the origin alone is right: %t", c.Dirty(), bytes.Equal(onOrigin, want))
	}
	got := make([]byte, len(want))
	if _, err := c.Volume(bytes.NewReader(onOrigin), bytes.NewReader(kernellab.MustRead(t, data))).ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("it is not what the kernel shows, with %d dirty blocks, %v", c.Dirty(), err)
	}
}

// dirtyIn is how many blocks the kernel calls dirty.
func dirtyIn(t *testing.T, d *kernellab.Device) int {
	t.Helper()
	words := strings.Fields(d.Status(t))
	if len(words) < 11 {
		t.Fatal(words)
	}
	n, err := strconv.Atoi(words[10])
	kernellab.Must(t, err)
	return n
}
