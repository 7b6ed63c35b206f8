package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReadme holds the README to the code: every exit status, every command.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, s := range statuses {
		if row := fmt.Sprintf("\n| %d | %s |\n", s.status, s.means); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks the row %q", row)
		}
	}
	for _, c := range newParser(&cli{}, io.Discard, io.Discard).Model.Children {
		if !strings.Contains(readme, "\n| `"+c.Name+" ") {
			t.Errorf("README.md lacks the command %s", c.Name)
		}
	}
}
