package devicetest

import (
	"os"
	"testing"
)

// WriteFile makes a file of that content, which replaces what was there.
func WriteFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
