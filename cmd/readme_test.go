package cmd

import (
	"fmt"
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
	for name := range exits {
		if !strings.Contains(readme, "\n| `"+name+" ") {
			t.Errorf("README.md lacks the command %s", name)
		}
	}
}
