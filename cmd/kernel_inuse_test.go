package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
)

// TestKernelReadersSeeWho: an image file behind a loop device that a snapshot is active on, and an origin
// that is mounted to be written, by whatever name, are not read as if nobody wrote them.
func TestKernelReadersSeeWho(t *testing.T) {
	kernellab.Require(t)
	u := loaded(t, corpus.Load(t)["lvm-ext4"])
	originFile, cowFile := u.files(t)
	origin, cow := kernellab.Loop(t, originFile), kernellab.Loop(t, cowFile)
	up := kernellab.NewSnapshot(t, origin, cow, "P", u.chunk)
	out := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{
		{"export", cowFile, "--origin", originFile, out},
		{"export", cow, "--origin", origin, out},
		{"mount", "--dry-run", cowFile, "--origin", originFile, t.TempDir()},
		{"diff", "--content", cowFile, "--origin", originFile},
		{"merge", "--yes", cowFile, "--into", originFile},
		{"repair", "--yes", cowFile},
		{"create", "--yes", out, "--origin", originFile, "--from", originFile},
	} {
		if _, stderr := expect(t, 8, args...); !strings.Contains(stderr, "in use by") {
			t.Errorf("%q: %s", args, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q: a file is left", args)
		}
	}
	for _, args := range [][]string{{"check", cowFile}, {"usage", cowFile}} {
		if stdout, _ := expect(t, 0, args...); !strings.Contains(stdout, "figures may move") {
			t.Errorf("%q: %s", args, stdout)
		}
	}
	up.Down(t)
	expect(t, 8, "export", cowFile, "--origin", originFile, out) // the loop devices can be written
	expect(t, 0, "export", cow, "--origin", origin, out)

	// A file system that is mounted to be written, and one that is not.
	dir := t.TempDir()
	for flags, want := range map[uintptr]int{0: 8, syscall.MS_RDONLY: 0} {
		if err := syscall.Mount(origin, dir, "ext4", flags, ""); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(out)
		_, stderr := expect(t, want, "export", cow, "--origin", origin, out)
		if want != 0 && !strings.Contains(stderr, dir) {
			t.Errorf("mounted on %s: %s", dir, stderr)
		}
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
	}
}
