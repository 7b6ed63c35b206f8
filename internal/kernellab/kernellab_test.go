package kernellab_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// loops makes an origin of 64 chunks of 8 sectors, filled with the pattern's
// version 0, and a blank COW device, both as loop devices.
func loops(t *testing.T, cowSectors uint64, options ...kernellab.LoopOption) (origin, cow string) {
	t.Helper()
	kernellab.Require(t)
	return kernellab.LoopOf(t, kernellab.Pattern(0, 64*8, 0), options...), kernellab.Loop(t, kernellab.File(t, "cow", cowSectors), options...)
}

func write(t *testing.T, path string, chunks []uint64, version uint64) (failed int) {
	t.Helper()
	failed, err := kernellab.WritePattern(path, 8, chunks, version)
	kernellab.Must(t, err)
	return failed
}

func TestKernelSnapshotKeepsWhatTheOriginHeld(t *testing.T) {
	origin, cow := loops(t, 800)
	before := kernellab.MustDigest(t, origin)
	s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
	if failed := write(t, s.Origin.Path, []uint64{5, 6, 40}, 1); failed != 0 {
		t.Fatalf("%d writes failed", failed)
	}
	if got := kernellab.MustDigest(t, s.View.Path); got != before {
		t.Error("the snapshot changed with its origin")
	}
	if got, want := s.View.Status(t), "40/800 16"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	if got := s.View.Table(t); !strings.HasPrefix(got, "0 512 snapshot ") || !strings.HasSuffix(got, " P 8") {
		t.Errorf("table %q", got)
	}
	s.Down(t)
	if got := kernellab.MustDigest(t, origin); got == before {
		t.Error("the origin did not change")
	}
	if _, last := kernellab.Merge(t, origin, cow, "P", 8, nil); last != "16/800 16" {
		t.Errorf("status after the merge %q", last)
	}
	if got := kernellab.MustDigest(t, origin); got != before {
		t.Error("the merge did not bring back what the origin held")
	}
}

func TestKernelRefusedStoreTellsWhatTheDriverLogged(t *testing.T) {
	origin, cow := loops(t, 800)
	kernellab.Must(t, os.WriteFile(cow, bytes.Repeat([]byte{0xff}, 4096), 0))
	_, err := kernellab.TrySnapshot(t, origin, cow, "P", 8)
	if err == nil || !strings.Contains(err.Error(), "Invalid or corrupt snapshot") {
		t.Errorf("got %v", err)
	}
}

func TestKernelOverflowFailsNoWriteToTheOrigin(t *testing.T) {
	origin, cow := loops(t, 10*8)
	s := kernellab.NewSnapshot(t, origin, cow, "P", 8)
	chunks := make([]uint64, 20)
	for i := range chunks {
		chunks[i] = uint64(i)
	}
	if failed := write(t, s.Origin.Path, chunks, 1); failed != 0 {
		t.Errorf("%d writes to the origin failed", failed)
	}
	if got := s.View.Status(t); got != "Invalid" {
		t.Errorf("status %q", got)
	}
	if _, err := kernellab.Digest(s.View.Path); err == nil {
		t.Error("a lost snapshot could be read")
	}
}

func TestKernelLoopBlockSizeReachesTheDriver(t *testing.T) {
	origin, cow := loops(t, 800, kernellab.BlockSize(4096))
	_, err := kernellab.TrySnapshot(t, origin, cow, "P", 4)
	if err == nil || kernellab.Linux(6, 1) && !strings.Contains(err.Error(), "EINVAL") { // 5.10 logs no error's name
		t.Errorf("chunks of half a logical block: got %v", err)
	}
	kernellab.NewSnapshot(t, origin, cow, "P", 8)
}

func TestPatternHoldsItsSectorAndVersion(t *testing.T) {
	b := kernellab.Pattern(258, 2, 7)
	if len(b) != 1024 {
		t.Fatalf("%d bytes", len(b))
	}
	want := []byte{3, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}
	if !bytes.Equal(b[512:], slices.Repeat(want, 32)) {
		t.Errorf("second sector % x", b[512:544])
	}
}
