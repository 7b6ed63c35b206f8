package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"dmcow/format"
)

type programs struct {
	self  string // this one, for the floor
	dmcow string
	empty string // does nothing: what it takes to start a Go program
}

func build(ctx context.Context, dir string) (p programs, err error) {
	if p.self, err = os.Executable(); err != nil {
		return p, err
	}
	source := filepath.Join(dir, "empty.go")
	p.dmcow, p.empty = filepath.Join(dir, "dmcow"), filepath.Join(dir, "empty")
	return p, errors.Join(
		os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o666),
		goBuild(ctx, p.dmcow, "dmcow"),
		goBuild(ctx, p.empty, source))
}

// goBuild builds a program as `make build` does.
func goBuild(ctx context.Context, output, source string) error {
	return goTool(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", output, source)
}

func goTool(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(said))
	}
	return nil
}

func checkRoom(dir string, n uint64) error {
	size, metadata := extent(n)
	path := filepath.Join(dir, "sparse")
	defer os.Remove(path)
	if err := makeSparse(path, size); err != nil {
		return err
	}
	var file syscall.Stat_t
	if err := syscall.Stat(path, &file); err != nil {
		return err
	}
	if format.Sectors(file.Blocks).Bytes() > size/2 {
		return fmt.Errorf("the file system of %s does not keep files sparse", dir)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return err
	}
	// As much again leaves room for the programs and for what it takes the
	// file system to find its way in a sparse file.
	if free := format.Bytes(fs.Bavail * uint64(fs.Bsize)); free < 2*metadata {
		return fmt.Errorf("%s has room for %d bytes, %d are needed", dir, free, 2*metadata)
	}
	return nil
}

func makeSparse(path string, size format.Bytes) error {
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	if err := os.Truncate(path, int64(size)); err != nil {
		return fmt.Errorf("a sparse file of %d bytes: %w", size, err)
	}
	return nil
}
