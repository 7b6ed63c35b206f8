package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

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
			f.floor, f.ratio, f.least, f.most, limit, mark(f.ratio > limit), f.peak)
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
// system that does nothing but hand on what it reads from the origin.
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
	f, err := b.warmed("mount", func() (sample, error) {
		return b.readMounted(dir, b.self, "passthrough", m.origin, "0", "", dir)
	}, func() (sample, error) {
		return b.readMounted(dir, b.dmcow, "mount", "-v", m.store, "--origin", m.origin, dir)
	})
	return f.viewed(err, "Read the same, mounted", "through a bare file system", mountLimit)
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
