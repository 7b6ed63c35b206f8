package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

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
	base, image, cow := filepath.Join(b.dir, "base"), filepath.Join(b.dir, "image"), filepath.Join(b.dir, "cow")
	for _, path := range []string{base, image, cow} {
		defer os.Remove(path)
	}
	progress("create: writing two images of %d MiB", size>>20)
	if _, err := b.child("images", base, uint64(size), "", image); err != nil {
		return err
	}
	f, err := b.warmed("create", func() (all sample, err error) {
		defer os.Remove(cow)
		for _, args := range [][]string{
			{"if=" + base, "of=/dev/null"},
			{"if=" + image, "of=/dev/null"},
			{"if=" + image, "of=" + cow, "conv=fsync", fmt.Sprintf("count=%d", size/10>>20)},
		} {
			s, err := b.run("dd", append(args, "bs=1M", "status=none")...)
			if err != nil {
				return all, err
			}
			all.elapsed += s.elapsed
		}
		return all, nil
	}, func() (sample, error) {
		defer os.Remove(cow)
		return b.run(b.dmcow, "create", "--yes", "--chunk-size", "4K", cow, "--origin", base, "--from", image)
	})
	if err != nil {
		return err
	}
	fmt.Printf("\nCreate: two images of %d MiB, one 4 KiB chunk in ten differs: %.0f ms; to read both once, and\n"+
		"dd conv=fsync of what differs: %.0f ms; ratio %.2f (%.2f to %.2f), limit %.1f%s; %.1f MiB, limit %.0f%s\n",
		size>>20, f.elapsed, f.floor, f.ratio, f.least, f.most,
		createLimit, mark(f.ratio > createLimit), f.peak, createMemory, mark(f.peak > createMemory))
	return nil
}

// writeImage writes an image of size bytes. The changed one differs from the other in a byte of one chunk in ten.
func writeImage(path string, size uint64, changed bool) error {
	rng := rand.New(rand.NewPCG(3, 5))
	return writeChunks(path, size/uint64(geometry().ChunkBytes()), func(buf []byte, chunk uint64) {
		content(buf, chunk, false)
		if at, differs := rng.IntN(len(buf)), rng.IntN(10) == 0; differs && changed {
			buf[at]++
		}
	})
}
