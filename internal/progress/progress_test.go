package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestBarOverwritesItself: what a bar writes stands on one line, and is gone from that at the end, also where the
// terminal is behind another writer.
func TestBarOverwritesItself(t *testing.T) {
	var screen bytes.Buffer
	p := New(Teller{Bar: struct{ *bytes.Buffer }{&screen}, Context: t.Context()}, "snap.cow", "byte", 1000)
	p.start = time.Now().Add(-2 * patience)
	if err := p.Visit(500); err != nil {
		t.Fatal(err)
	}
	p.End()
	lines := strings.Split(screen.String(), "\r")
	if len(lines) < 3 || lines[0] != "" || lines[len(lines)-1] != "" || strings.Contains(screen.String(), "\n") || strings.TrimSpace(lines[len(lines)-2]) != "" {
		t.Errorf("%q", screen.String())
	}
}
