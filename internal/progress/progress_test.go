package progress

import (
	"strings"
	"testing"

	"dmcow/internal/words"
)

// screen keeps what stands on a terminal's last line.
type screen struct {
	columns int
	all     []string
}

func (s *screen) Status(text string) { s.all = append(s.all, text) }
func (s *screen) Width() int         { return s.columns }

// TestBar: a bar says what a line does, fits the terminal with a column to spare, and is gone at the end.
func TestBar(t *testing.T) {
	for _, columns := range []int{20, 60, 200} {
		s := &screen{columns: columns}
		p := New(Teller{Bar: s, Context: t.Context()}, "snap.cow", "byte", 1000)
		if err := p.Visit(500); err != nil {
			t.Fatal(err)
		}
		p.End()
		if len(s.all) != 2 || s.all[1] != "" {
			t.Fatalf("%q", s.all)
		}
		bar := s.all[0]
		if n := words.Width(bar); n >= columns || !strings.HasPrefix(bar, "snap.cow: ") {
			t.Errorf("%d columns: %q", columns, bar)
		}
		if columns == 200 && !strings.Contains(bar, "["+strings.Repeat("=", widest/2)+strings.Repeat(" ", widest/2)+"] 500 bytes of at most 1000 bytes, ") {
			t.Errorf("%q", bar)
		}
	}
}
