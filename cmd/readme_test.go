package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
)

// TestReadme holds the README to the code: every exit status, every command.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, leftover := range []string{"TODO", "BENCH_TABLE", "XXX"} {
		if strings.Contains(readme, leftover) {
			t.Errorf("README.md has a %s", leftover)
		}
	}
	for _, s := range statuses {
		if row := fmt.Sprintf("\n| %d | %s |\n", s.status, s.means); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks the row %q", row)
		}
	}
	for _, r := range check.Rules() {
		if row := fmt.Sprintf("\n| `%s` | %s | %s | %s |\n", r.Name, r.Severity, r.When, r.Kernel); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks the row %q", row)
		}
	}
	for _, c := range newParser(&cli{}, nil, io.Discard, io.Discard).Model.Children {
		if !strings.Contains(readme, "\n| `"+c.Name+" ") {
			t.Errorf("README.md lacks the command %s", c.Name)
		}
	}
}

// TestReadmeSession runs the command lines that the README shows, and compares
// what they print, as far as it is shown.
func TestReadmeSession(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.UTC
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	devicetest.WriteFile(t, dir+"/snap.cow", corpus.Load(t)["lvm-ext4"].COW(t))
	devicetest.WriteFile(t, dir+"/origin.img", corpus.Load(t)["lvm-ext4"].Origin(t))
	devicetest.WriteFile(t, dir+"/disk.img", devicetest.Unzip(t, "../testdata/lvm/linear.0.gz"))
	t.Chdir(dir)
	sessions := strings.Split(string(b), "\n    $ dmcow ")[1:]
	if len(sessions) < 2 {
		t.Errorf("%d command lines", len(sessions))
	}
	for _, session := range sessions {
		line, shown, _ := strings.Cut(session, "\n")
		var want strings.Builder
		for l := range strings.Lines(shown) {
			text, indented := strings.CutPrefix(l, "    ")
			if text == "...\n" || !indented && l != "\n" {
				break
			}
			want.WriteString(text)
		}
		got, _ := expect(t, 0, strings.Fields(line)...)
		if w := strings.TrimRight(want.String(), "\n"); !strings.HasPrefix(got, w) {
			t.Errorf("dmcow %s prints\n%.600s\nthe README has\n%s", line, got, w)
		}
	}
}
