package show

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fatih/color"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/store/look"
)

// screen is a terminal of 20 columns, which fails when so many texts were written.
type screen struct {
	shown strings.Builder
	fails int
}

func (s *screen) Width() int { return 20 }

var errGone = errors.New("gone")

func (s *screen) Write(p []byte) (int, error) {
	if s.fails--; s.fails == 0 {
		return 0, errGone
	}
	return s.shown.Write(p)
}

// TestText: lines are wrapped to the writer's width, and to none where it knows none; a command line can be copied.
func TestText(t *testing.T) {
	var wide strings.Builder
	var narrow screen
	for _, text := range []*Text{On(&wide, false), On(&narrow, false)} {
		text.Line("%s: a line of %d words", "cow", 6)
		text.command("dmcow check --all cow")
		if text.Lines() != 2 || text.Err() != nil {
			t.Errorf("%d lines, %v", text.Lines(), text.Err())
		}
	}
	if want := "cow: a line of 6 words\ndmcow check --all cow\n"; wide.String() != want {
		t.Errorf("%q, want %q", wide.String(), want)
	}
	if want := "cow: a line of 6\n  words\ndmcow check --all \\\n    cow\n"; narrow.shown.String() != want {
		t.Errorf("%q, want %q", narrow.shown.String(), want)
	}
}

// TestTextFails: after an error nothing is written, and the first one is told.
func TestTextFails(t *testing.T) {
	s := &screen{fails: 2}
	text := On(s, false)
	text.Line("one")
	text.Line("two")
	text.sheet([][2]string{{"three", "3"}})
	text.write("four", errors.New("another"))
	if s.shown.String() != "one\n" || !errors.Is(text.Err(), errGone) {
		t.Errorf("%q, %v", s.shown.String(), text.Err())
	}
}

// TestBar: a bar shows how full a store is, and its colour when that is too much.
func TestBar(t *testing.T) {
	g, err := format.NewGeometry(8)
	if err != nil {
		t.Fatal(err)
	}
	for next, want := range map[format.NewChunk]struct {
		text   string
		colour color.Attribute
	}{
		2:   {"[..........]   0.00%", color.FgGreen},
		3:   {"[#.........]   3.00%", color.FgGreen},
		69:  {"[######....]  69.00%", color.FgGreen},
		70:  {"[#######...]  70.00%", color.FgYellow},
		90:  {"[#########.]  90.00%", color.FgRed},
		100: {"[##########] 100.00%", color.FgRed},
	} {
		s := look.Survey{Identity: look.Identity{State: look.Valid}, Usage: look.Usage{Geometry: g, Size: 100 * g.ChunkBytes(), End: format.End{NextFree: next}}}
		if got := On(nil, false).bar(s, 10, inTable); got != want.text {
			t.Errorf("%q, want %q", got, want.text)
		}
		cells := strings.TrimRight(want.text[1:11], ".")
		got := On(nil, true).bar(s, 10, inTable)
		if painted := On(nil, true).paint(want.colour, cells); !strings.HasPrefix(got, "["+painted) || words.Width(got) != len(want.text) {
			t.Errorf("%q, want %q with %q painted", got, want.text, painted)
		}
	}
	if a, b := On(nil, true).paint(color.FgRed, "x"), On(nil, true).paint(color.FgGreen, "x"); a == b || a == "x" {
		t.Errorf("colours: %q, %q", a, b)
	}
}

// TestPace: work that took less than a second has no rate.
func TestPace(t *testing.T) {
	for took, want := range map[time.Duration]string{2 * time.Second: "in 2.0 s (1 MiB/s)", 900 * time.Millisecond: "in 0.9 s", 0: "in 0.0 s"} {
		if got := speed(2<<20, took); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
