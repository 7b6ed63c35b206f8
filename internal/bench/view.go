package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dmcow/format"
)

// The limits of what shows a snapshot, times what it is compared with.
const (
	openLimit   = 6.0 // the floor
	exportLimit = 1.4 // cp --sparse=never of the origin
	syncedLimit = 1.1 // the same, and a sync
	mountLimit  = 1.2 // a bare file system through FUSE
)

// view prints how long it takes to open a snapshot, and to read one whose store has n chunks
// at random, a quarter of the origin.
func (b *bench) view(n uint64) error {
	if err := b.withStore(1<<22, "random", b.open); err != nil {
		return err
	}
	return b.withMergeable(mergeable{n, "quarter"}, func(m mergeFiles) error {
		if err := b.export(m); err != nil {
			return err
		}
		if err := b.delta(m); err != nil {
			return err
		}
		return b.mount(m)
	})
}

func (b *bench) open(s storeFile) error {
	origin := filepath.Join(b.dir, "origin")
	defer os.Remove(origin)
	if err := makeSparse(origin, format.Bytes(s.n)*geometry().ChunkBytes()); err != nil {
		return err
	}
	f, err := b.warmed("open", func() (sample, error) { return b.floor(s) }, func() (sample, error) {
		return b.run(b.dmcow, "mount", "--dry-run", s.path, "--origin", origin, b.dir)
	})
	return f.viewed(err, fmt.Sprintf("Open a snapshot of %v", s), "the floor", openLimit)
}

// viewed prints how something compares, if it could be measured.
func (f figures) viewed(err error, what, with string, limit float64) error {
	if err == nil {
		fmt.Printf("\n%s: %.0f ms; %s: %.0f ms; ratio %.2f (%.2f to %.2f), limit %.1f%s; %.1f MiB\n", what, f.elapsed, with,
			f.floor, f.ratio, f.least, f.most, limit, mark(f.ratio > limit && f.elapsed > f.bound), f.peak)
	}
	return err
}

// export prints how long an export to a file takes. What it is compared with does not wait
// for the disk, or does.
func (b *bench) export(m mergeFiles) error {
	var synced []pair
	f, err := b.warmed("export", func() (sample, error) {
		os.Remove(m.copy)
		defer os.Remove(m.copy)
		start := time.Now()
		s, err := b.run("cp", "--sparse=never", m.origin, m.copy)
		if err != nil {
			return s, err
		}
		err = into(m.copy, func(*os.File) error { return nil }) // what it has left to write
		synced = append(synced, pair{floor: sample{elapsed: time.Since(start)}})
		return s, err
	}, func() (sample, error) {
		s, err := b.run(b.dmcow, "export", m.store, "--origin", m.origin, m.copy)
		synced[len(synced)-1].command = s
		return s, err
	})
	if err == nil {
		_, err = b.child("merged", m.copy, m.n, m.order, "")
	}
	what := fmt.Sprintf("Export %d MiB, a quarter of it in the store", m.originSize()>>20)
	if err := f.viewed(err, what, "cp", exportLimit); err != nil {
		return err
	}
	return figuresOf(synced[1:]).viewed(nil, "The same", "cp and sync", syncedLimit)
}

// mount prints how long it takes to read the snapshot, mounted. It is compared with a file
// system that does nothing but hand on what it reads from the origin. What bounds it is one that
// gets the snapshot's pieces from where it knows that they are: it asks two files, many times.
func (b *bench) mount(m mergeFiles) error {
	if os.Geteuid() != 0 {
		fmt.Println("\nmount: not measured, that takes root")
		return nil
	}
	dir := filepath.Join(b.dir, "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	defer os.Remove(dir)
	pairs, err := compare(b.runs+1, func() (sample, error) {
		progress("mount")
		return b.readMounted(dir, b.self, "passthrough", m.origin, "0", "", dir)
	}, func() (sample, error) {
		return b.readMounted(dir, b.dmcow, "mount", "-v", m.store, "--origin", m.origin, dir)
	}, func() (sample, error) {
		return b.readMounted(dir, b.self, "gather", m.origin, strconv.FormatUint(m.n, 10), m.order, m.store+":"+dir)
	})
	if err != nil {
		return err
	}
	mounted := figuresOf(pairs[0][1:])
	mounted.bound = figuresOf(pairs[1][1:]).elapsed
	err = mounted.viewed(nil, "Read the same, mounted", "through a bare file system", mountLimit)
	fmt.Printf("What gets each piece from where it is, and does no more: %.0f ms\n", mounted.bound)
	return err
}

// readMounted starts a program that mounts, waits until it says so, and is how long it takes
// to read the file then; the memory is the program's.
func (b *bench) readMounted(dir, program string, args ...string) (s sample, err error) {
	c := exec.CommandContext(b.ctx, program, args...)
	said, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return s, err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "mounted on") {
	}
	s, err = b.run("dd", "bs=1M", "status=none", "if="+filepath.Join(dir, "snapshot"), "of=/dev/null")
	err = errors.Join(err, syscall.Unmount(dir, 0))
	for lines.Scan() {
	}
	if e := c.Wait(); err == nil {
		err = e
	}
	s.peak = int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return s, err
}
