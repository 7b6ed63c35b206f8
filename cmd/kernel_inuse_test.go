package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/memory"
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
		{"repair", "--yes", "--copy-to", out, cowFile},
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
		if stdout, _ := expect(t, 0, args...); !strings.Contains(stdout, "figures may change") {
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

// TestKernelMountSeesWho: who comes to have an origin that is mounted ends what is read and written, and
// the mount says so at its end, also where it ends at once.
func TestKernelMountSeesWho(t *testing.T) {
	kernellab.Require(t)
	requireFUSE(t)
	for name, flags := range map[string][]string{"to be read": nil, "to be written": {"--writable"}} {
		t.Run(name, func(t *testing.T) {
			u := loaded(t, corpus.Load(t)["lvm-ext4"])
			origin, cow := u.files(t)
			m := mountSnapshot(t, append(flags, cow, "--origin", origin)...)
			kernellab.Loop(t, origin)
			m.until(t, "reads and writes fail from now on")
			f, err := os.OpenFile(m.file, os.O_RDWR|syscall.O_DIRECT, 0)
			if len(flags) == 0 {
				f, err = os.OpenFile(m.file, os.O_RDONLY|syscall.O_DIRECT, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := memory.Aligned(4096)
			if _, err := f.ReadAt(b, 0); !errors.Is(err, syscall.EIO) {
				t.Errorf("it is read: %v", err)
			}
			if len(flags) > 0 {
				if _, err := f.WriteAt(b, 4096); !errors.Is(err, syscall.EIO) {
					t.Errorf("it is written: %v", err)
				}
			}
			f.Close()
			m.takeAway()
			if _ = m.Wait(); m.ProcessState.ExitCode() != 8 {
				t.Errorf("it ends with %v", m.ProcessState)
			}
		})
	}
	t.Run("at the end", func(t *testing.T) {
		u := loaded(t, corpus.Load(t)["lvm-ext4"])
		origin, cow := u.files(t)
		m := mountSnapshot(t, cow, "--origin", origin)
		kernellab.Loop(t, origin)
		m.takeAway()
		if _ = m.Wait(); m.ProcessState.ExitCode() != 8 {
			t.Errorf("it ends with %v", m.ProcessState)
		}
	})
}
