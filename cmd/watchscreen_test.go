package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/internal/words"
)

// watchedOn is dmcow watch on a terminal.
type watchedOn struct {
	*testing.T
	keyboard, screen *os.File
	program          *exec.Cmd
	out              string // what was not looked at yet
}

func watchOn(t *testing.T, columns, rows int, args ...string) *watchedOn {
	t.Helper()
	w := &watchedOn{T: t}
	w.keyboard, w.screen = terminal(t)
	w.resize(columns, rows)
	w.program = exec.Command("dmcow", append([]string{"watch", "--interval", "1h"}, args...)...)
	w.program.Env = append(w.program.Environ(), "TERM=xterm", "LANG=C.UTF-8", "NO_COLOR=")
	w.program.Stdin, w.program.Stdout, w.program.Stderr = w.screen, w.screen, w.screen
	w.program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := w.program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.program.Process.Kill() })
	return w
}

func (w *watchedOn) resize(columns, rows int) {
	w.Helper()
	if err := unix.IoctlSetWinsize(int(w.keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)}); err != nil {
		w.Fatal(err)
	}
}

// frame is what is drawn next: all between two places where the cursor goes home.
func (w *watchedOn) frame() string {
	w.Helper()
	const home, end = "\x1b[H", "\x1b[J"
	p := make([]byte, 1<<16)
	for {
		if _, rest, ok := strings.Cut(w.out, home); ok {
			if frame, after, whole := strings.Cut(rest, end); whole {
				w.out = after
				return strings.NewReplacer("\x1b[K", "", "\r", "").Replace(frame)
			}
		}
		n, err := w.keyboard.Read(p)
		if err != nil {
			w.Fatalf("the terminal ends: %v; after %q", err, w.out)
		}
		w.out += string(p[:n])
	}
}

// rest is what is left when the program has ended, and its exit status.
func (w *watchedOn) rest() (string, int) {
	w.Helper()
	w.screen.Close()
	p := make([]byte, 1<<16)
	for {
		n, err := w.keyboard.Read(p)
		if w.out += string(p[:n]); err != nil {
			break
		}
	}
	_ = w.program.Wait() // the status says it
	return w.out, w.program.ProcessState.ExitCode()
}

// oneLine is a text as it was before it was wrapped.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// fits reports whether a frame is smaller than the terminal: what ends in the last column would lose its last
// character to the code that clears the rest of the line.
func fits(frame string, columns, rows int) bool {
	lines := strings.Split(frame, "\n")
	for _, line := range lines {
		if words.Width(line) >= columns {
			return false
		}
	}
	return len(lines) <= rows
}

// TestWatchScreen: at any size of a terminal what is drawn fits it, also when the size changes meanwhile; what is said
// is shown under the table, and is still there at the end. Ctrl-C ends it well, and the picture is written.
func TestWatchScreen(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for _, name := range []string{"one", "two", "three", "four", "a-store-with-a-name-that-is-longer-than-a-narrow-terminal"} {
		names = append(names, filepath.Join(dir, name))
		devicetest.WriteFile(t, names[len(names)-1], storespec.MustCompile(t, "device 16384\nheader chunk=8\nfill 20"))
	}
	names = append(names, filepath.Join(dir, "missing"))
	picture := filepath.Join(dir, "run.svg")
	w := watchOn(t, 200, 24, append([]string{"--svg", picture}, names...)...)
	for i, size := range [][2]int{{200, 24}, {80, 24}, {40, 8}, {120, 5}, {41, 3}, {60, 12}} {
		columns, rows := size[0], size[1]
		if i > 0 {
			w.resize(columns, rows) // which has it drawn anew
		}
		frame := w.frame()
		if !fits(frame, columns, rows) {
			t.Fatalf("more than %d columns or %d lines:\n%s", columns, rows, frame)
		}
		if rows >= 8 && (!strings.Contains(frame, "name ") || !strings.Contains(oneLine(frame), "no such file or directory")) {
			t.Errorf("%d columns, %d lines:\n%s", columns, rows, frame)
		}
	}
	if _, err := w.keyboard.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	out, status := w.rest()
	if want := int(statusFailed); status != want { // one could not be read
		t.Errorf("status %d, expected %d", status, want)
	}
	if _, last, _ := strings.Cut(out[strings.LastIndex(out, "\x1b[H"):], "\x1b[J"); !strings.Contains(oneLine(last), "missing: no such file or directory") {
		t.Errorf("what was said is drawn over: %q", last)
	}
	svg, err := os.ReadFile(picture)
	if err != nil || strings.Count(string(svg), "<polyline") != 5 || !strings.HasSuffix(string(svg), "</svg>\n") {
		t.Errorf("the picture has not five lines, %v:\n%s", err, svg)
	}
}

// TestWatchScreenUntil: what was waited for is said behind the table, not in it.
func TestWatchScreenUntil(t *testing.T) {
	cow := filepath.Join(t.TempDir(), "cow")
	devicetest.WriteFile(t, cow, storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 150"))
	w := watchOn(t, 80, 24, "--until", "50", cow)
	out, status := w.rest()
	if last := out[strings.LastIndex(out, "\x1b[J"):]; status != int(statusReached) || !strings.Contains(oneLine(last), "% full, 4") {
		t.Errorf("status %d, %q", status, last)
	}
}
