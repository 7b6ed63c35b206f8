package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// TestMergeInterrupted ends a merge when it clears exceptions for the first time: by a
// kill, and by a signal that lets it end its batch. The same command goes on, and the
// result is the same.
func TestMergeInterrupted(t *testing.T) {
	for _, c := range []struct {
		exceptions int
		command    []string
	}{
		{60000, []string{"merge", "--memory", "1M"}}, // some batches
		{50000, []string{"merge", "--memory", "1M", "--undo", "undo"}},
		{300, []string{"merge-step", "--steps", "100000"}},
	} {
		exceptions, command := c.exceptions, c.command
		image := storespec.MustCompile(t, fmt.Sprintf("device 70000\nheader chunk=1\nfill %d\ndata 7", exceptions))
		for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
			t.Chdir(t.TempDir())
			for name, content := range map[string][]byte{"cow": image, "origin": make([]byte, 3*exceptions*512)} {
				devicetest.WriteFile(t, name, content)
			}
			args := append(command, "--yes", "cow", "--into", "origin")
			status, stderr := signalAtFirstWrite(t, s, "cow", args) // of asynchronous writes, as those to the origin are, nobody is told
			t.Logf("%v, %v: exit status %d", args, s, status)
			if s == syscall.SIGTERM && (status != 32 || !strings.Contains(stderr, "cow: interrupted: run the same command again to go on")) {
				t.Errorf("%v: exit status %d: %s", args, status, stderr)
			}
			expect(t, 0, args...)
			origin, err := os.ReadFile("origin")
			if err != nil {
				t.Fatal(err)
			}
			for i := range exceptions {
				if at := 3 * i * 512; origin[at+8] != 7 || origin[at+512] != 0 {
					t.Fatalf("%v, %v: chunk %d was not merged, or the one after it was", args, s, 3*i)
				}
			}
			if command[0] == "merge-step" || len(command) == 3 {
				continue
			}
			expect(t, 0, "merge", "--yes", "undo", "--into", "origin")
			if origin, err = os.ReadFile("origin"); err != nil || !bytes.Equal(origin, make([]byte, len(origin))) {
				t.Errorf("%v, %v: taken back, the origin is not what it was (%v)", args, s, err)
			}
		}
	}
}

// TestMergeHoles: zeros take no room in an image file where holes were asked for.
func TestMergeHoles(t *testing.T) {
	dir := t.TempDir()
	cow, origin := filepath.Join(dir, "cow"), filepath.Join(dir, "origin")
	full := bytes.Repeat([]byte("full"), 1<<18)
	for path, content := range map[string][]byte{
		cow:    storespec.MustCompile(t, "device 4096\nheader chunk=8\nfill 256 0\n"),
		origin: full,
	} {
		devicetest.WriteFile(t, path, content)
	}
	expect(t, 0, "merge", "--yes", "--sparse", "--verify", cow, "--into", origin)
	if now, err := os.ReadFile(origin); err != nil || !bytes.Equal(now, make([]byte, len(full))) {
		t.Error("the origin is not zero")
	}
	var st syscall.Stat_t
	if err := syscall.Stat(origin, &st); err != nil || st.Blocks > 8 {
		t.Errorf("it takes %d sectors on the disk (%v)", st.Blocks, err)
	}
}
