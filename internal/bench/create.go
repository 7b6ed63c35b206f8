package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"dmcow/format"
)

// The limits of create.
const (
	createLimit  = 1.5  // times its floor
	createMemory = 64.0 // MiB, for any size
)

// create prints how long it takes to make a store of two images, of which one
// chunk in ten differs. The floor is to read both once, and to write with dd
// what differs and sync it.
func (b *bench) create(size format.Bytes) error {
	i := images{filepath.Join(b.dir, "base"), filepath.Join(b.dir, "image"), size}
	defer os.Remove(i.base)
	defer os.Remove(i.image)
	progress("create: writing two images of %d MiB", size>>20)
	if _, err := b.run(b.self, "images", i.base, strconv.FormatUint(uint64(size), 10), i.image); err != nil {
		return err
	}
	var ratios, peaks []float64
	var floors, elapsed []time.Duration
	for n := range b.runs + 1 {
		progress("create")
		floor, err := b.createFloor(i)
		if err != nil {
			return err
		}
		cow := filepath.Join(b.dir, "cow")
		s, err := b.run(b.dmcow, "create", "--yes", "--chunk-size", "4K", cow, "--origin", i.base, "--from", i.image)
		os.Remove(cow)
		if err != nil {
			return err
		}
		if n == 0 {
			continue // it warmed the cache
		}
		floors, elapsed = append(floors, floor), append(elapsed, s.elapsed)
		ratios = append(ratios, float64(s.elapsed)/float64(floor))
		peaks = append(peaks, float64(s.peak)/1024)
	}
	ratio, peak := median(ratios), slices.Max(peaks)
	fmt.Printf("\nCreate: two images of %d MiB, one 4 KiB chunk in ten differs: %.0f ms; to read both once, and\n"+
		"dd conv=fsync of what differs: %.0f ms; ratio %.2f (%.2f to %.2f), limit %.1f%s; %.1f MiB, limit %.0f%s\n",
		size>>20, milliseconds(median(elapsed)), milliseconds(median(floors)), ratio, slices.Min(ratios), slices.Max(ratios),
		createLimit, mark(ratio > createLimit), peak, createMemory, mark(peak > createMemory))
	return nil
}

// images are two images of one size, in bytes.
type images struct {
	base, image string
	size        format.Bytes
}

// createFloor is how long it takes to read both images, and to write as much as
// differs.
func (b *bench) createFloor(i images) (time.Duration, error) {
	if _, err := exec.LookPath("dd"); err != nil {
		return 0, errors.New("create: there is no dd to compare with")
	}
	read, err := b.run(b.self, "read", i.base, "0", i.image)
	if err != nil {
		return 0, err
	}
	out := filepath.Join(b.dir, "written")
	defer os.Remove(out)
	write, err := b.run("dd", "bs=1M", "conv=fsync", "status=none", "if="+i.image, "of="+out,
		fmt.Sprintf("count=%d", i.size/10>>20))
	return read.elapsed + write.elapsed, err
}

// readAll reads files once, in pieces of 1 MiB.
func readAll(paths ...string) error {
	buf := make([]byte, 1<<20)
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		for err == nil {
			_, err = f.Read(buf)
		}
		f.Close()
	}
	return nil
}

// writeImages writes two images that differ in one byte of one chunk in ten.
func writeImages(base, image string, size uint64) error {
	var out [2]*os.File
	var w [2]*bufio.Writer
	for i, path := range []string{base, image} {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		out[i], w[i] = f, bufio.NewWriterSize(f, 1<<20)
	}
	rng := rand.New(rand.NewPCG(3, 5))
	chunk := make([]byte, geometry().ChunkBytes())
	for range size / uint64(len(chunk)) {
		for i := range chunk {
			chunk[i] += byte(i) | 1
		}
		chunk[rng.IntN(len(chunk))]++
		if _, err := w[0].Write(chunk); err != nil {
			return err
		}
		if rng.IntN(10) == 0 {
			chunk[rng.IntN(len(chunk))]++
		}
		if _, err := w[1].Write(chunk); err != nil {
			return err
		}
	}
	for i := range out {
		if err := errors.Join(w[i].Flush(), out[i].Sync()); err != nil {
			return err
		}
	}
	return nil
}
