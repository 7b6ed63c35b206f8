package main

import (
	"fmt"
	"os"
	"path/filepath"

	"dmcow/format"
)

// mergeLimits are the limits of a merge, times dd, by the store's order.
var mergeLimits = map[string]float64{"random": 2.5, "runs": 1.3, "sequential": 1.3}

// mergeMemory is a limit in MiB: for exceptions and data, for what any command may take, and for two
// bits a chunk, which the check before takes.
func mergeMemory(n uint64) float64 {
	const memory, more = 64, 32
	size := mergeable{n: n}.storeSize()
	return memory + more + float64(geometry().Chunks(size))*2/8/(1<<20)
}

// merge prints how long merges of n chunks into an image file take. The floor is to
// copy as much with dd, from a file to a file, and to sync it.
func (b *bench) merge(n uint64) error {
	fmt.Printf("\nMerge of %d MiB in chunks of 4 KiB, half of an image file: times dd conv=fsync of as much into a\n"+
		"file. Warm cache; all files are there before, with data and synced. (runs: %d) Beside it, what fio\n"+
		"takes to write the same pieces, in order and from memory, direct and 32 deep, and to sync: a merge\n"+
		"that takes no longer is bound by the disk.\n\n", n*uint64(geometry().ChunkBytes())>>20, b.runs)
	fmt.Printf("%-16s %9s %9s %7s %7s %7s %6s %9s %6s %6s\n", "order", "dd ms", "ms", "ratio", "least", "most", "limit", "fio ms", "MiB", "limit")
	for _, order := range orders {
		if err := b.withMergeable(mergeable{n, order}, b.mergeRow); err != nil {
			return err
		}
	}
	return nil
}

// mergeFiles are a store with its data, its origin, and a file for a copy of as much.
type mergeFiles struct {
	mergeable
	store, origin, copy string
}

// withMergeable calls use with the files of a store, which it makes and removes, but for the copy.
func (b *bench) withMergeable(m mergeable, use func(mergeFiles) error) error {
	f := mergeFiles{m, filepath.Join(b.dir, "store"), filepath.Join(b.dir, "origin"), filepath.Join(b.dir, "copy")}
	for _, path := range []string{f.store, f.origin, f.copy} {
		defer os.Remove(path)
	}
	progress("%s: writing a store of %d MiB and its origin", m.order, m.storeSize()>>20)
	if _, err := b.child("mergeable", f.store, m.n, m.order, f.origin); err != nil {
		return err
	}
	return use(f)
}

// mergeRow measures the merge of a store, which has all its exceptions each time, and prints the row.
func (b *bench) mergeRow(m mergeFiles) error {
	f, err := b.warmed("merge, "+m.order, func() (sample, error) {
		return b.run("dd", "bs=1M", "conv=fsync,notrunc", "status=none", "if="+m.store, "of="+m.copy,
			fmt.Sprintf("count=%d", format.Bytes(m.n)*geometry().ChunkBytes()>>20))
	}, func() (sample, error) {
		if s, err := b.child("restore", m.store, m.n, m.order, ""); err != nil {
			return s, err
		}
		return b.run(b.dmcow, "merge", "--yes", m.store, "--into", m.origin)
	})
	if err == nil {
		_, err = b.child("merged", m.origin, m.n, m.order, "")
	}
	if err != nil {
		return err
	}
	disk, err := b.fio(m)
	if err != nil {
		return err
	}
	limit, memory := mergeLimits[m.order], mergeMemory(m.n)
	fmt.Printf("%-16s %9.1f %9.1f %7.2f %7.2f %7.2f %6.2f %9.1f %6.1f %6.0f%s\n", m.order, f.floor, f.elapsed,
		f.ratio, f.least, f.most, limit, disk, f.peak, memory, mark(f.ratio > limit && f.elapsed > disk || f.peak > memory))
	return nil
}
