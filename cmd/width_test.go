package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/internal/words"
)

// onTerminal is what a command line prints on a terminal of so many columns.
func onTerminal(t *testing.T, dir string, columns int, env []string, args ...string) string {
	t.Helper()
	return runOnTerminal(t, "dmcow", dir, columns, env, args...)
}

func runOnTerminal(t *testing.T, program, dir string, columns int, env []string, args ...string) string {
	t.Helper()
	keyboard, screen := terminal(t)
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, args...)
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, screen, screen, screen
	c.Env = append(c.Environ(), env...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	screen.Close() // so that what is read ends with the program
	var out bytes.Buffer
	io.Copy(&out, keyboard) // which a terminal ends with an error
	_ = c.Wait()            // the exit status says what was found
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// TestWidths: on a terminal no line is longer than it is wide, unless a single word is, and no word is broken: what is
// printed has the words that it has in a pipe.
func TestWidths(t *testing.T) {
	dir := t.TempDir()
	long := "a-store-with-a-long-name.cow"
	for name, spec := range map[string]string{
		"sound": "device 16384\nheader chunk=8\nfill 20", long: "device 200\nheader chunk=1 valid=7\nfill 40\nex 5 4 9\nex 7 99 5000",
		"lost": "device 200\nheader chunk=1 valid=0\nfill 4", "wiped": "device 200\nheader chunk=1 magic=0 valid=0 version=0\nfill 40",
	} {
		devicetest.WriteFile(t, filepath.Join(dir, name), storespec.MustCompile(t, spec))
	}
	devicetest.WriteFile(t, filepath.Join(dir, "origin"), make([]byte, 1<<20))
	devicetest.WriteFile(t, filepath.Join(dir, "disk.img"), devicetest.Unzip(t, "../testdata/lvm/linear.0.gz"))
	for _, args := range [][]string{
		{"--help"}, {"merge", "--help"}, {"check", "--list-rules"},
		{"check", "--origin", "origin", long}, {"check", "wiped"}, {"check", "lost"}, {"dump", "wiped"},
		{"usage", "--origin", "origin", "sound"}, {"usage", "sound", "lost", long}, {"list", "--pv", "disk.img"},
		{"repair", "--dry-run", long}, {"revalidate", "--dry-run", "lost"}, {"merge", "--into", "origin", long}, {"merge", "--into", "origin", "lost", "--yes"},
		{"diff", "--origin", "origin", "sound"}, {"merge-step", "--dry-run", "--steps", "9", "--into", "origin", "sound"}, {"dump", "--nothing", "sound"},
	} {
		piped := exec.Command("dmcow", args...)
		piped.Dir = dir
		whole, _ := piped.CombinedOutput() // the exit status says what was found
		for _, columns := range []int{60, 80, 120} {
			t.Run(fmt.Sprintf("%d/%s", columns, strings.Join(args, " ")), func(t *testing.T) {
				for _, term := range []string{"TERM=xterm", "TERM=dumb"} {
					out := onTerminal(t, dir, columns, []string{term, "COLUMNS="}, args...)
					checkWidth(t, out, columns)
					if args[0] != "usage" && args[0] != "list" { // a table becomes a sheet
						checkWords(t, out, string(whole))
					}
					if coloured := strings.Contains(out, "\x1b["); coloured && term == "TERM=dumb" {
						t.Errorf("coloured on a dumb terminal:\n%s", out)
					}
				}
			})
		}
	}
}

func checkWidth(t *testing.T, out string, columns int) {
	t.Helper()
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if n := words.Width(line); n > columns && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%d columns of %d: %s", n, columns, line)
		}
	}
}

func checkWords(t *testing.T, out, whole string) {
	t.Helper()
	seen := map[string]bool{}
	for _, word := range strings.Fields(whole) {
		seen[word] = true
	}
	for _, word := range strings.Fields(plainText(out)) {
		if !seen[word] && word != `\` {
			t.Errorf("%q is no word of what goes into a pipe:\n%s", word, out)
			return
		}
	}
}

// plainText is text without colours.
func plainText(text string) string {
	plain, rest, more := strings.Cut(text, "\x1b[")
	for more {
		_, rest, _ = strings.Cut(rest, "m")
		var part string
		part, rest, more = strings.Cut(rest, "\x1b[")
		plain += part
	}
	return plain
}

// TestColumnsCount: COLUMNS says how wide a terminal is, and nothing of a pipe.
func TestColumnsCount(t *testing.T) {
	dir := t.TempDir()
	devicetest.WriteFile(t, filepath.Join(dir, "wiped"), storespec.MustCompile(t, "device 200\nheader chunk=1 magic=0 valid=0 version=0\nfill 40"))
	out := onTerminal(t, dir, 200, []string{"COLUMNS=70", "TERM=dumb"}, "check", "wiped")
	checkWidth(t, out, 70)
	piped := exec.Command("dmcow", "check", "wiped")
	piped.Dir, piped.Env = dir, append(piped.Environ(), "COLUMNS=70")
	whole, _ := piped.Output()
	if strings.Count(string(whole), "\n") >= strings.Count(out, "\n") {
		t.Errorf("wrapped into a pipe:\n%s", whole)
	}
}
