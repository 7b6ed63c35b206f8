package kernellab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/device/devicetest"

	"golang.org/x/sys/unix"
)

// A LoopOption changes how Loop attaches a file.
type LoopOption func(*unix.LoopConfig)

// BlockSize sets a loop device's logical block size, in bytes: 512 (as without
// this option) to 4096.
func BlockSize(bytes int) LoopOption {
	return func(c *unix.LoopConfig) { c.Size = uint32(bytes) }
}

// Part has a loop device show so many sectors of the file, from one of them on.
func Part(start, sectors uint64) LoopOption {
	return func(c *unix.LoopConfig) {
		c.Info.Offset, c.Info.Sizelimit = start*SectorSize, sectors*SectorSize
	}
}

// ReadOnly makes a loop device read-only.
func ReadOnly() LoopOption {
	return func(c *unix.LoopConfig) { c.Info.Flags |= unix.LO_FLAGS_READ_ONLY }
}

// Partitions has the kernel show the partitions of a loop device.
func Partitions() LoopOption {
	return func(c *unix.LoopConfig) { c.Info.Flags |= unix.LO_FLAGS_PARTSCAN }
}

// Loop attaches the file at path to a free loop device, until the test ends or
// Detach, and returns the device's path.
func Loop(t testing.TB, path string, options ...LoopOption) string {
	t.Helper()
	dev, err := attach(path, options)
	Must(t, err)
	t.Cleanup(func() { _ = detach(dev) })
	return dev
}

// Detach takes the file from the loop device dev before the test ends.
func Detach(t testing.TB, dev string) {
	t.Helper()
	Must(t, detach(dev))
}

// Refit has the loop device dev be as large as its file has become.
func Refit(t testing.TB, dev string) {
	t.Helper()
	Must(t, onLoop(dev, os.O_RDONLY, func(fd int) error { return unix.IoctlSetInt(fd, unix.LOOP_SET_CAPACITY, 0) }))
}

func attach(path string, options []LoopOption) (dev string, err error) {
	var config unix.LoopConfig
	for _, o := range options {
		o(&config)
	}
	copy(config.Info.File_name[:], path)
	mode := os.O_RDWR
	if config.Info.Flags&unix.LO_FLAGS_READ_ONLY != 0 {
		mode = os.O_RDONLY
	}
	file, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	config.Fd = uint32(file.Fd())
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	for {
		free, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		dev = fmt.Sprint("/dev/loop", free)
		err = onLoop(dev, mode, func(fd int) error { return unix.IoctlLoopConfigure(fd, &config) })
		if !errors.Is(err, unix.EBUSY) { // somebody else was faster
			return dev, err
		}
	}
}

func detach(dev string) error {
	return onLoop(dev, os.O_RDONLY, func(fd int) error { return unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0) })
}

func onLoop(dev string, mode int, call func(fd int) error) error {
	f, err := os.OpenFile(dev, mode, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := call(int(f.Fd())); err != nil {
		return fmt.Errorf("%s: %w", dev, err)
	}
	return nil
}

// File makes a sparse file of that many sectors in the test's directory, and
// returns its path.
func File(t testing.TB, name string, sectors uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	Must(t, os.WriteFile(path, nil, 0o666))
	Must(t, os.Truncate(path, int64(sectors)*SectorSize))
	return path
}

// LoopOf makes a block device with a copy of the content.
func LoopOf(t testing.TB, content []byte, options ...LoopOption) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	devicetest.WriteFile(t, path, content)
	return Loop(t, path, options...)
}
