package snapshot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
)

// TestUndoMadeMeanwhile: a file that was not there when a merge was looked at, and is
// when its undo log is to be made, is somebody else's.
func TestUndoMadeMeanwhile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "undo")
	devicetest.WriteFile(t, file, []byte("mine"))
	u := undoing{name: file, missing: true}
	if err := u.open(nil); err == nil || !strings.Contains(err.Error(), "another program has just made") {
		t.Errorf("%v", err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("%q, %v", content, err)
	}
}
