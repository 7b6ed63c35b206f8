package cmd

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
)

// TestNextIsTaken: of every damaged store, the command that check names next is one that can be typed as it
// stands, and that does not refuse the store for what check has just told.
func TestNextIsTaken(t *testing.T) {
	commands := 0
	for _, c := range damaged.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			devicetest.WriteFile(t, filepath.Join(dir, "cow"), c.Image)
			told, _ := outcome(t, "check", "--origin-size", "256s", "cow")
			_, next, found := strings.Cut(told, "\nnext: ")
			line, is := strings.CutPrefix(strings.TrimSpace(next), "dmcow ")
			if !found || !is {
				if c.Result == "damaged" && !found {
					t.Errorf("nothing is next:\n%s", told)
				}
				return
			}
			commands++
			args := strings.Fields(line)
			if args[0] != "check" {
				args = append(args, "--dry-run")
			}
			out, status := outcome(t, args...)
			if status&int(statusWrongUse|statusFailed) != 0 || strings.Contains(out, ": refused: ") || placeholder.MatchString(line) {
				t.Errorf("dmcow %s exits with %d:\n%s\n%s", line, status, out, told)
			}
		})
	}
	if commands < 30 {
		t.Errorf("%d commands", commands)
	}
}

// placeholder is what stands for a value that is not known.
var placeholder = regexp.MustCompile(`[A-Z]{3}|[|<>]`)

// outcome is what a command line prints on both streams, and its exit status.
func outcome(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	var b strings.Builder
	status = Main(args, &b, &b)
	return b.String(), status
}
