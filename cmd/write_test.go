package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// terminal is a new terminal: what is typed on keyboard, a program reads from
// screen.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

// TestQuestion: on a terminal, only a yes has anything written.
func TestQuestion(t *testing.T) {
	for answer, want := range map[string]int{
		"y\n": 0, "yes\n": 0, "Y\n": 0, " YES \n": 0,
		"n\n": 8, "\n": 8, "yess\n": 8, "no\n": 8, "\x04": 8, // the last is the end of input
	} {
		for _, args := range [][]string{
			{"initialize", "--force"},
			{"invalidate"},
			{"merge", "--into", "base"},
			{"merge-step", "--into", "base"},
			{"create", "--force", "--origin", "base", "--from", "base"},
		} {
			dir := t.TempDir()
			image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 3")
			for _, name := range []string{"cow", "base"} {
				content := image
				if name == "base" {
					content = make([]byte, len(image))
				}
				devicetest.WriteFile(t, filepath.Join(dir, name), content)
			}
			keyboard, screen := terminal(t)
			if _, err := io.WriteString(keyboard, answer); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			c := exec.Command("dmcow", append(args, "cow")...)
			c.Dir, c.Stdin, c.Stderr = dir, screen, &stderr
			_ = c.Run()
			if got := c.ProcessState.ExitCode(); got != want {
				t.Errorf("%v, answer %q: exit status %d, want %d: %s", args, answer, got, want, &stderr)
			}
			if !strings.Contains(stderr.String(), "[y/N]") {
				t.Errorf("%v: standard error: %s", args, &stderr)
			}
			now, err := os.ReadFile(filepath.Join(dir, "cow"))
			if err != nil || bytes.Equal(now, image) != (want != 0) {
				t.Errorf("%v, answer %q: changed %v, %v", args, answer, !bytes.Equal(now, image), err)
			}
		}
	}
}

// TestCreateCutOff ends create as soon as it has written something, by a kill and
// by a signal: there is no store then, or the whole one, and the same command
// makes it.
func TestCreateCutOff(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20
	base, image := filepath.Join(dir, "base"), filepath.Join(dir, "image")
	devicetest.WriteFile(t, base, make([]byte, size))
	devicetest.WriteFile(t, image, bytes.Repeat([]byte("dmcow"), size/5+1)[:size])
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cow := filepath.Join(dir, s.String())
		devicetest.WriteFile(t, cow, nil)
		args := []string{"create", "--yes", cow, "--origin", base, "--from", image}
		status, stderr := signalAtFirstWrite(t, s, cow, args)
		state := usageState(t, cow)
		t.Logf("%v: exit status %d, state %s", s, status, state)
		interrupted := status == 32 && strings.Contains(stderr, "interrupted: no store was written; run the same command again")
		switch {
		case state == "valid" && (status == 0 || s == syscall.SIGKILL): // it was faster
			args = append(args, "--force")
		case state != "uninitialized" || s == syscall.SIGTERM && !interrupted:
			t.Errorf("%v: exit status %d, state %s: %s", s, status, state, stderr)
		}
		if status, _, stderr := dmcow(args...); status != 0 || usageState(t, cow) != "valid" {
			t.Errorf("%v, and again: exit status %d, state %s: %s", s, status, usageState(t, cow), stderr)
		}
	}
}

// usageState is the state of a store, as programs are told it.
func usageState(t *testing.T, cow string) string {
	t.Helper()
	status, stdout, stderr := dmcow("usage", "--output", "json", cow)
	_, after, found := strings.Cut(stdout, `"state": "`)
	if !found {
		t.Fatalf("exit status %d: %s%s", status, stdout, stderr)
	}
	state, _, _ := strings.Cut(after, `"`)
	return state
}

// signalAtFirstWrite runs a command line and sends it a signal when it has written
// to a file.
func signalAtFirstWrite(t *testing.T, s os.Signal, path string, args []string) (status int, stderr string) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	c := exec.Command("dmcow", args...)
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Read(fd, make([]byte, 4096)); err != nil {
		t.Error(err)
	}
	_ = c.Process.Signal(s)
	_ = c.Wait()
	return c.ProcessState.ExitCode(), said.String()
}

// TestInterruptedQuestion: a signal at the question ends the run, and nothing is
// written, whatever is typed then.
func TestInterruptedQuestion(t *testing.T) {
	for _, args := range [][]string{
		{"initialize", "--force"},
		{"invalidate"},
		{"repair", "--warnings"},
		{"merge", "--into", "base"},
		{"merge-step", "--into", "base", "--undo", "undo"},
		{"create", "--force", "--origin", "base", "--from", "base"},
	} {
		dir := t.TempDir()
		image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 3\nraw 20 12")
		for name, content := range map[string][]byte{"cow": image, "base": make([]byte, len(image))} {
			devicetest.WriteFile(t, filepath.Join(dir, name), content)
		}
		keyboard, screen := terminal(t)
		c := exec.Command("dmcow", append(args, "cow")...)
		c.Dir, c.Stdin = dir, screen
		l := listen(t, c)
		l.until(t, "?")
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		said := l.rest(t)
		_, _ = io.WriteString(keyboard, "y\n")
		if got := c.ProcessState.ExitCode(); got != 32 || !strings.Contains(said, "interrupted: nothing was written") {
			t.Errorf("%v: exit status %d: %s", args, got, said)
		}
		if now, err := os.ReadFile(filepath.Join(dir, "cow")); err != nil || !bytes.Equal(now, image) {
			t.Errorf("%v: changed, %v", args, err)
		}
	}
}

// TestCreateNewFileAsksNothing: where there is nothing yet, nothing can be lost.
func TestCreateNewFileAsksNothing(t *testing.T) {
	dir := t.TempDir()
	devicetest.WriteFile(t, filepath.Join(dir, "base"), make([]byte, 1<<20))
	_, screen := terminal(t)
	c := exec.Command("dmcow", "create", "cow", "--origin", "base", "--from", "base")
	c.Dir, c.Stdin = dir, screen
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "[y/N]") {
		t.Errorf("%v: %s", err, out)
	}
}
