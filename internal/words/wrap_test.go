package words

import (
	"strings"
	"testing"
)

const sample = "the merge would remove or replace its partition-table: is it the origin, or the disk that holds the origin?\n" +
	"  kernel: takes it for a new device and writes an empty store over it: all is lost\nshort\n\n  ends"

// TestWrap: no line is too long, no word is broken, and none is lost.
func TestWrap(t *testing.T) {
	for _, columns := range []int{20, 60, 80, 120, 200} {
		text := Wrap(sample, columns, "    ")
		for line := range strings.Lines(text) {
			if n := Width(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%d columns: a line of %d: %q", columns, n, line)
			}
		}
		if strings.Join(strings.Fields(text), " ") != strings.Join(strings.Fields(sample), " ") {
			t.Errorf("%d columns: other words:\n%s", columns, text)
		}
	}
	if Wrap(sample, 0, "  ") != sample {
		t.Error("a pipe has other lines")
	}
}

// TestWrapShape: what goes on is indented, colours count for nothing, and a word that is too long stays whole.
func TestWrapShape(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"  one two three four", "  one two\n    three\n    four"},
		{"\x1b[31mone\x1b[0m two three", "\x1b[31mone\x1b[0m two\n  three"},
		{"a /dev/mapper/vg-snap-cow b", "a\n  /dev/mapper/vg-snap-cow\n  b"},
		{"größe größe g", "größe\n  größe g"},
		{"one two th\n", "one two th\n"},
	} {
		if got := Wrap(c.text, 10, "  "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestCommand: a command line over several lines is the same to a shell.
func TestCommand(t *testing.T) {
	const line = "dmcow repair --header 8s --valid 0 vg0/snap --pv /dev/disk/by-id/one --pv /dev/disk/by-id/two"
	got := Command(line, 60)
	for l := range strings.Lines(got) {
		if n := Width(strings.TrimSuffix(l, "\n")); n > 60 {
			t.Errorf("a line of %d: %q", n, l)
		}
	}
	if !strings.Contains(got, "\n") || strings.Join(strings.Fields(strings.ReplaceAll(got, "\\\n", "")), " ") != line {
		t.Errorf("%q", got)
	}
	if Command(line, 0) != line || Command(line, 200) != line {
		t.Error("a line that fits was broken")
	}
}

// TestColumns: text is as wide as the terminal, within reason.
func TestColumns(t *testing.T) {
	for terminal, want := range map[int]int{0: 0, -1: 0, 20: 60, 60: 60, 100: 100, 400: 200} {
		if got := Columns(terminal); got != want {
			t.Errorf("%d: %d, want %d", terminal, got, want)
		}
	}
}
