package cmd

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelPieces: a COW device that the kernel has put together of pieces is read by them
// as the kernel showed the snapshot, and is not while the kernel has it; what is written to them the kernel sees.
func TestKernelPieces(t *testing.T) {
	kernellab.Require(t)
	base, super, userdata := kernellab.File(t, "base", 2048), kernellab.File(t, "super", 2048), kernellab.File(t, "userdata", 4096)
	origin, first, second := kernellab.Loop(t, base), kernellab.Loop(t, super), kernellab.Loop(t, userdata)
	cow := kernellab.Create(t, "pieces", fmt.Sprintf("0 96 linear %s 512\n96 8 linear %s 8\n104 1000 linear %[2]s 1024", first, second), false)
	write := func(path string, version uint64, chunks ...uint64) {
		t.Helper()
		if _, err := kernellab.WritePattern(path, 8, chunks, version); err != nil {
			t.Fatal(err)
		}
	}
	write(origin, 1, span(0, 256)...)
	s := kernellab.NewSnapshot(t, origin, cow.Path, "P", 8)
	write(s.Origin.Path, 2, 0, 1, 7, 100, 255)
	write(s.View.Path, 3, 2, 100, 200)
	want := kernellab.MustDigest(t, s.View.Path)
	pieces := []string{"--piece", first + ":512s:96s", "--piece", second + ":8s:8s", "--piece", second + ":512k:1000s"}
	image := filepath.Join(t.TempDir(), "image")
	export := append([]string{"export", "--origin", origin, image}, pieces...)
	if _, stderr := expect(t, 8, export...); stderr == "" {
		t.Error("it is exported while the kernel has it")
	}
	if _, stderr := expect(t, 8, append([]string{"invalidate", "--yes"}, pieces...)...); !strings.Contains(stderr, "in use by") {
		t.Errorf("it is written to while the kernel has it: %s", stderr)
	}
	s.Down(t)
	cow.Remove(t)
	if _, stderr := expect(t, 0, export...); kernellab.MustDigest(t, image) != want {
		t.Error("is something else: ", stderr)
	}
	expect(t, 0, append([]string{"merge", "--yes", "--into", origin}, pieces...)...)
	if kernellab.MustDigest(t, origin) != want {
		t.Error("something else is merged")
	}
	cow = kernellab.Create(t, "pieces", fmt.Sprintf("0 96 linear %s 512\n96 8 linear %s 8\n104 1000 linear %[2]s 1024", first, second), false)
	s = kernellab.NewSnapshot(t, origin, cow.Path, "P", 8)
	if status := s.View.Status(t); kernellab.MustDigest(t, s.View.Path) != want {
		t.Errorf("the kernel shows something else, and says %s", status)
	}
	s.Down(t)
	cow.Remove(t)
}
