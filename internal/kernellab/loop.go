package kernellab

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// A LoopOption changes how Loop attaches a file.
type LoopOption func() []string

// BlockSize sets a loop device's logical block size, in bytes: 512 (as without
// this option) to 4096.
func BlockSize(bytes int) LoopOption {
	return func() []string { return []string{"--sector-size", strconv.Itoa(bytes)} }
}

// ReadOnly makes a loop device read-only.
func ReadOnly() LoopOption {
	return func() []string { return []string{"--read-only"} }
}

// Loop attaches the file at path to a free loop device, until the test ends or
// Detach, and returns the device's path.
func Loop(t testing.TB, path string, options ...LoopOption) string {
	t.Helper()
	args := []string{"--find", "--show"}
	for _, o := range options {
		args = append(args, o()...)
	}
	dev := Run(t, "losetup", append(args, path)...)
	t.Cleanup(func() { _, _ = run("losetup", "--detach", dev) })
	return dev
}

// Detach takes the file from the loop device dev before the test ends.
func Detach(t testing.TB, dev string) {
	t.Helper()
	Run(t, "losetup", "--detach", dev)
}

// File makes a sparse file of that many sectors in the test's directory, and
// returns its path.
func File(t testing.TB, name string, sectors uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(sectors) * SectorSize); err != nil {
		t.Fatal(err)
	}
	return path
}
