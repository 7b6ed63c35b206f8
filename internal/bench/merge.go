package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"dmcow/format"
)

// mergeLimits are the limits of a merge, times dd, by the store's order.
var mergeLimits = map[string]float64{"random": 2.5, "runs": 1.3, "sequential": 1.3}

// mergeMemory is how much a merge of n chunks may take, in MiB: what it takes for
// exceptions and data, what any command may, and two bits a chunk for the check
// before.
func mergeMemory(n uint64) float64 {
	const memory, more = 64, 32
	size := mergeable{n: n}.storeSize()
	return memory + more + float64(geometry().Chunks(size))*2/8/(1<<20)
}

// merge prints how long merges of n chunks into an image file take. The floor is to
// copy as much with dd, from a file to a file, and to sync it.
func (b *bench) merge(n uint64) error {
	if _, err := exec.LookPath("dd"); err != nil {
		return errors.New("merge: there is no dd to compare with")
	}
	fmt.Printf("\nMerge of %d MiB in chunks of 4 KiB, half of an image file: times dd conv=fsync of as much into a\n"+
		"file. Warm cache; all files are there before, with data and synced. (runs: %d)\n\n", n*uint64(geometry().ChunkBytes())>>20, b.runs)
	fmt.Printf("%-16s %9s %9s %7s %7s %7s %6s %6s %6s\n", "order", "dd ms", "ms", "ratio", "least", "most", "limit", "MiB", "limit")
	for _, order := range orders {
		if err := b.mergeOrder(mergeable{n, order}); err != nil {
			return err
		}
	}
	return nil
}

// mergeFiles are the files of a merge, and the one that dd writes.
type mergeFiles struct {
	mergeable
	store, origin, copy string
}

// mergeOrder prints the row of an order.
func (b *bench) mergeOrder(m mergeable) error {
	f := mergeFiles{m, filepath.Join(b.dir, "store"), filepath.Join(b.dir, "origin"), filepath.Join(b.dir, "copy")}
	for _, path := range []string{f.store, f.origin, f.copy} {
		defer os.Remove(path)
	}
	progress("merge, %s: writing a store of %d MiB and its origin", m.order, f.storeSize()>>20)
	if _, err := b.child("mergeable", f.store, m, f.origin); err != nil {
		return err
	}
	var pairs []pair
	for run := range b.runs + 1 {
		progress("merge, %s", m.order)
		p, err := b.mergePair(f)
		if err != nil {
			return err
		}
		if run > 0 { // else it warmed the cache
			pairs = append(pairs, p)
		} else if _, err := b.child("merged", f.origin, m); err != nil {
			return err
		}
	}
	mergeRow(m, pairs)
	return nil
}

// child starts this program for a store to merge.
func (b *bench) child(what, path string, m mergeable, more ...string) (sample, error) {
	return b.run(b.self, append([]string{what, path, strconv.FormatUint(m.n, 10), m.order}, more...)...)
}

// mergePair is a copy by dd and a merge after it, of a store that has all its
// exceptions.
func (b *bench) mergePair(f mergeFiles) (p pair, err error) {
	if p.floor, err = b.run("dd", "bs=1M", "conv=fsync,notrunc", "status=none", "if="+f.store, "of="+f.copy,
		fmt.Sprintf("count=%d", format.Bytes(f.n)*geometry().ChunkBytes()>>20)); err != nil {
		return p, err
	}
	if _, err = b.child("restore", f.store, f.mergeable); err != nil {
		return p, err
	}
	p.command, err = b.run(b.dmcow, "merge", "--yes", f.store, "--into", f.origin)
	return p, err
}

// mergeRow prints how merges of a store compare with dd.
func mergeRow(m mergeable, pairs []pair) {
	floor := median(each(pairs, func(p pair) time.Duration { return p.floor.elapsed }))
	elapsed := median(each(pairs, func(p pair) time.Duration { return p.command.elapsed }))
	peak := slices.Max(each(pairs, func(p pair) float64 { return float64(p.command.peak) / 1024 }))
	ratios := each(pairs, pair.ratio)
	limit, memory := mergeLimits[m.order], mergeMemory(m.n)
	over := median(ratios) > limit || peak > memory
	fmt.Printf("%-16s %9.1f %9.1f %7.2f %7.2f %7.2f %6.2f %6.1f %6.0f%s\n", m.order, milliseconds(floor), milliseconds(elapsed),
		median(ratios), slices.Min(ratios), slices.Max(ratios), limit, peak, memory, mark(over))
}
