package cmd

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/internal/words"
)

// TestProgressBar: on a terminal the bar is one line, which the next text replaces, and nothing of it stays.
func TestProgressBar(t *testing.T) {
	for _, columns := range []int{60, 80, 120} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			dir := t.TempDir()
			devicetest.WriteFile(t, filepath.Join(dir, "snap.cow"), storespec.MustCompile(t, "device 65536\nheader chunk=8\nfill 4000"))
			devicetest.WriteFile(t, filepath.Join(dir, "origin"), make([]byte, 64<<20))
			out := runOnTerminal(t, "dmcow-impatient", dir, columns, []string{"TERM=xterm", "COLUMNS="}, "merge", "snap.cow", "--into", "origin", "--yes")
			if !regexp.MustCompile(`origin: (\[[= ]+\] )?[\d.]+ \wi?B[^\n\r]* of at most [^\n]*\r\x1b\[K`).MatchString(out) {
				t.Errorf("no bar of the merge:\n%q", out)
			}
			for line := range strings.Lines(out) {
				steps := strings.Split(strings.TrimSuffix(line, "\n"), "\r\x1b[K")
				for _, bar := range steps[:len(steps)-1] {
					if n := words.Width(bar); n >= columns {
						t.Errorf("%d of %d columns: %q", n, columns, bar)
					}
				}
				if strings.Contains(steps[len(steps)-1], "of at most") {
					t.Errorf("a bar stays: %q", line)
				}
			}
		})
	}
}
