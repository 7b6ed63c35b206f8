package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// A dump that nobody reads waits with a full pipe: a signal finds it at work.
type waiting struct {
	*exec.Cmd
	out    io.ReadCloser
	first  []byte
	stderr bytes.Buffer
}

// startDump starts one; the shell words come before it on the command line.
func startDump(t *testing.T, shell string) *waiting {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cow")
	image := storespec.MustCompile(t, "device 70000\nheader chunk=1\nfill 60000")
	devicetest.WriteFile(t, path, image)
	w := &waiting{Cmd: exec.Command("sh", "-c", shell+"exec dmcow dump --output json \"$0\"", path), first: make([]byte, 1)}
	w.Stderr = &w.stderr
	var err error
	if w.out, err = w.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	// With its first byte, the dump is past setting up its signals.
	limit(t, w.out)
	if _, err := io.ReadFull(w.out, w.first); err != nil {
		t.Fatalf("%v: it said %s", err, &w.stderr)
	}
	return w
}

// settles waits until the process has taken the signals that it got: it can do nothing but wait for a
// reader then, or has ended.
func (w *waiting) settles(t *testing.T) {
	t.Helper()
	for asleep, end := 0, time.Now().Add(patience); asleep < 3; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("it does not come to rest; it said %s", &w.stderr)
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", w.Process.Pid))
		if len(tasks) == 0 {
			t.Skip("there is no /proc to tell what a process does")
		}
		asleep++
		for _, task := range tasks {
			if status, err := os.ReadFile(task); err == nil && !settled.Match(status) {
				asleep = 0
			}
		}
	}
}

// settled matches the status of a thread that has no signal pending, and sleeps or has ended.
var settled = regexp.MustCompile(`(?s)State:\s+[SZX].*SigPnd:\s+0+\nShdPnd:\s+0+\n`)

// end reads the rest and returns all of the output and the exit status.
func (w *waiting) end(t *testing.T) ([]byte, int) {
	t.Helper()
	limit(t, w.out)
	rest, err := io.ReadAll(w.out)
	if err != nil {
		t.Fatalf("%v: it said %s", err, &w.stderr)
	}
	_ = w.Wait() // the status tells
	return append(w.first, rest...), w.ProcessState.ExitCode()
}

// TestProgressOnSignal: SIGUSR1 asks for a line and never kills.
func TestProgressOnSignal(t *testing.T) {
	w := startDump(t, "")
	if err := w.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	out, code := w.end(t)
	if code != 0 || !json.Valid(out) {
		t.Errorf("exit status %d, valid JSON %v", code, json.Valid(out))
	}
	if line := w.stderr.String(); !strings.Contains(line, ": area ") || !strings.Contains(line, "areas/s") {
		t.Errorf("standard error: %q", line)
	}
}

// TestInterrupted: a signal ends a dump between two batches, with output that
// is whole and says that it is not all.
func TestInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			t.Logf("%v is ignored, as nohup has it", s)
			continue
		}
		w := startDump(t, "")
		if err := w.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		w.settles(t)
		out, code := w.end(t)
		var dump struct{ Error string }
		if err := json.Unmarshal(out, &dump); err != nil || dump.Error != "interrupted" || code != int(statusInterrupted) {
			t.Errorf("%v: exit status %d, error %q (%v)", s, code, dump.Error, err)
		}
		if !strings.HasSuffix(w.stderr.String(), ": interrupted\n") {
			t.Errorf("%v: standard error: %q", s, w.stderr.String())
		}
	}
}

// TestIgnoredSignals: nohup, and shells that start a command in the background,
// have signals ignored, and they stay so.
func TestIgnoredSignals(t *testing.T) {
	w := startDump(t, "trap '' HUP INT; ")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := w.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := w.end(t); code != 0 || !json.Valid(out) {
		t.Errorf("exit status %d: %s", code, &w.stderr)
	}
}

// TestInterruptedPipe: a pipe that nobody opens to read is waited for no longer than until a
// signal.
func TestInterruptedPipe(t *testing.T) {
	t.Chdir(t.TempDir())
	image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40")
	if err := errors.Join(os.WriteFile("cow", image, 0o600), os.WriteFile("origin", make([]byte, 1<<20), 0o600), syscall.Mkfifo("pipe", 0o600)); err != nil {
		t.Fatal(err)
	}
	l := listen(t, exec.Command("dmcow", "export", "-v", "cow", "--origin", "origin", "pipe"))
	l.upTo(t, '\n') // with its first words, it is past setting up its signals
	if err := l.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := l.rest(t)
	if got := l.ProcessState.ExitCode(); got != int(statusInterrupted) {
		t.Errorf("exit status %d: %s", got, said)
	}
}
