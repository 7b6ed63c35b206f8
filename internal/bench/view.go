package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dmcow/format"
)

// The limits of what shows a snapshot, times what it is compared with.
const (
	openLimit   = 12.0 // the floor
	exportLimit = 2.0  // cp --sparse=never of the origin
	mountLimit  = 2.0  // a bare file system through FUSE
)

// view prints how long it takes to open a snapshot, and to read one whose store has n chunks
// at random, a quarter of the origin.
func (b *bench) view(n uint64) error {
	if err := b.open(); err != nil {
		return err
	}
	m := mergeable{n, "quarter"}
	f := mergeFiles{m, filepath.Join(b.dir, "store"), filepath.Join(b.dir, "origin"), filepath.Join(b.dir, "copy")}
	for _, path := range []string{f.store, f.origin, f.copy} {
		defer os.Remove(path)
	}
	progress("view: writing a store of %d MiB and its origin", m.storeSize()>>20)
	if _, err := b.child("mergeable", f.store, m, f.origin); err != nil {
		return err
	}
	if err := b.export(f); err != nil {
		return err
	}
	return b.mount(f)
}

// open prints how long it takes to open a snapshot of 2^22 exceptions.
func (b *bench) open() error {
	const n = 1 << 22
	return b.withStore(n, "random", func(s storeFile) error {
		origin := filepath.Join(b.dir, "origin")
		defer os.Remove(origin)
		if err := errors.Join(os.WriteFile(origin, nil, 0o666), os.Truncate(origin, int64(n*geometry().ChunkBytes()))); err != nil {
			return err
		}
		var pairs []pair
		for range b.runs {
			floor, err := b.floor(s)
			if err != nil {
				return err
			}
			x, err := b.run(b.dmcow, "mount", "--dry-run", s.path, "--origin", origin, b.dir)
			if err != nil {
				return err
			}
			pairs = append(pairs, pair{floor, x})
		}
		viewRow(fmt.Sprintf("Open a snapshot of %v", s), "the floor", openLimit, pairs)
		return nil
	})
}

// viewRow prints how something compares.
func viewRow(what, with string, limit float64, pairs []pair) {
	ratios := each(pairs, pair.ratio)
	fmt.Printf("\n%s: %.0f ms; %s: %.0f ms; ratio %.2f (%.2f to %.2f), limit %.1f%s; %.1f MiB\n", what,
		milliseconds(median(each(pairs, func(p pair) time.Duration { return p.command.elapsed }))), with,
		milliseconds(median(each(pairs, func(p pair) time.Duration { return p.floor.elapsed }))),
		median(ratios), slices.Min(ratios), slices.Max(ratios), limit, mark(median(ratios) > limit),
		slices.Max(each(pairs, func(p pair) float64 { return float64(p.command.peak) / 1024 })))
}

// export prints how long an export to a file takes. What it is compared with does not wait
// for the disk.
func (b *bench) export(f mergeFiles) error {
	var pairs []pair
	for n := range b.runs + 1 {
		progress("export")
		os.Remove(f.copy)
		floor, err := b.run("cp", "--sparse=never", f.origin, f.copy)
		if err != nil {
			return err
		}
		if err := into(f.copy, func(*os.File) error { return nil }); err != nil { // what it has left to write
			return err
		}
		os.Remove(f.copy)
		x, err := b.run(b.dmcow, "export", f.store, "--origin", f.origin, f.copy)
		if err != nil {
			return err
		}
		if n > 0 { // else it warmed the cache
			pairs = append(pairs, pair{floor, x})
		} else if _, err := b.child("merged", f.copy, f.mergeable); err != nil {
			return err
		}
	}
	viewRow(fmt.Sprintf("Export %d MiB, a quarter of it in the store", f.originSize()>>20), "cp", exportLimit, pairs)
	return nil
}

// mount prints how long it takes to read the snapshot, mounted. It is compared with a file
// system that does nothing but hand on what it reads from the origin.
func (b *bench) mount(f mergeFiles) error {
	if os.Geteuid() != 0 {
		fmt.Println("\nmount: not measured, that takes root")
		return nil
	}
	n := strconv.FormatUint(f.n, 10)
	dir := filepath.Join(b.dir, "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	defer os.Remove(dir)
	var pairs []pair
	for run := range b.runs + 1 {
		progress("mount")
		floor, err := b.readMounted(dir, b.self, "passthrough", f.origin, n, dir)
		if err != nil {
			return err
		}
		x, err := b.readMounted(dir, b.dmcow, "mount", "-v", f.store, "--origin", f.origin, dir)
		if err != nil {
			return err
		}
		if run > 0 {
			pairs = append(pairs, pair{floor, x})
		}
	}
	viewRow("Read the same, mounted", "through a bare file system", mountLimit, pairs)
	return nil
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

// passThrough mounts a directory with one file, which has what another file has.
func passThrough(path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	never := time.Duration(1<<63 - 1)
	server, err := fs.Mount(dir, &bareDir{file: &bareFile{file: f, size: format.Bytes(info.Size())}}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true}, EntryTimeout: &never, AttrTimeout: &never,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "mounted on", dir)
	server.Wait()
	return nil
}

type bareDir struct {
	fs.Inode
	file *bareFile
}

func (d *bareDir) OnAdd(ctx context.Context) {
	d.AddChild("snapshot", d.NewPersistentInode(ctx, d.file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

type bareFile struct {
	fs.Inode
	file *os.File
	size format.Bytes
}

func (f *bareFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o444, uint64(f.size)
	return fs.OK
}

func (f *bareFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (f *bareFile) Read(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.file.ReadAt(p, offset)
	if n == 0 && err != nil {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(p[:n]), fs.OK
}
