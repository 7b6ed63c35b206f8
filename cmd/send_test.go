package cmd

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// sender is a snapshot whose delta takes a moment, with its origin, and the delta.
type sender struct{ cow, origin, delta string }

func newSender(t *testing.T) sender {
	dir := t.TempDir()
	s := sender{filepath.Join(dir, "cow"), filepath.Join(dir, "origin"), filepath.Join(dir, "delta")}
	devicetest.WriteFile(t, s.cow, storespec.MustCompile(t, "device 40000\nheader chunk=8\nfill 4500 0\ndata 9"))
	devicetest.WriteFile(t, s.origin, devicetest.Numbered(20<<20))
	expect(t, 0, "send", s.cow, "--origin", s.origin, s.delta)
	return s
}

// TestSendKilled: killed at any moment, send goes on, and ends with the same bytes.
func TestSendKilled(t *testing.T) {
	s := newSender(t)
	want := kernellab.MustRead(t, s.delta)
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"send", s.cow, "--origin", s.origin, out, "--continue"}
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 9))
	start := time.Now()
	run(t, time.Hour, args)
	took := time.Since(start)
	begun := 0
	for range 8 {
		os.Remove(out)
		for range 3 {
			run(t, time.Duration(rng.Float64()*float64(took)), args)
		}
		if part, err := os.Stat(out + ".part"); err == nil && part.Size() > 0 {
			begun++
		}
		expect(t, 0, args...)
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the delta is another one (%v)", err)
		}
		if _, err := os.Stat(out + ".part"); err == nil {
			t.Error("there still is a part")
		}
	}
	t.Logf("%d of 8 were killed when they had written, in %v", begun, took)
}

// run runs dmcow, and kills it after a while.
func run(t *testing.T, after time.Duration, args []string) {
	t.Helper()
	c := exec.Command("dmcow", args...)
	kernellab.Must(t, c.Start())
	defer time.AfterFunc(after, func() { _ = c.Process.Kill() }).Stop()
	_ = c.Wait()
}

// TestSendWithoutRoom: where the file system is full, that is said, and what was written can be gone on with.
func TestSendWithoutRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small file system takes root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("small", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no small file system: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	s := newSender(t)
	out := filepath.Join(dir, "out")
	_, stderr := expect(t, 8, "send", s.cow, "--origin", s.origin, out)
	if !strings.Contains(stderr, "no space left on device; "+out+".part has the beginning of it; the same command with --continue goes on") {
		t.Error(stderr)
	}
	if part := kernellab.MustRead(t, out+".part"); len(part) < 3<<20 {
		t.Errorf("it has %d bytes", len(part))
	}
	if err := syscall.Mount("small", dir, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "send", s.cow, "--origin", s.origin, out, "--continue")
	if !bytes.Equal(kernellab.MustRead(t, out), kernellab.MustRead(t, s.delta)) {
		t.Error("the delta is another one")
	}
}
