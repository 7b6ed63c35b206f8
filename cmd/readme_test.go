package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReadme holds the README to the code: every exit status, every command; and to what a person reads at night.
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
	if n := strings.Count(readme, "\n"); n > 180 {
		t.Errorf("README.md has %d lines: what is more goes to the manual (manual/*.txt)", n)
	}
	for _, s := range statuses {
		if row := fmt.Sprintf("\n| %d | %s |\n", s.status, s.means); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks the row %q", row)
		}
	}
	for _, c := range newParser(&cli{}, nil, io.Discard, io.Discard).Model.Children {
		if c.Name != "help" && !strings.Contains(readme, "\n| `"+c.Name+" ") {
			t.Errorf("README.md lacks the command %s", c.Name)
		}
	}
}
