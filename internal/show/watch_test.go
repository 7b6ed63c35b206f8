package show

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// usage is how a store of 4 KiB chunks is used that holds so many exceptions, in so many chunks.
func usage(t *testing.T, exceptions, chunks uint64) look.Usage {
	t.Helper()
	g, err := format.NewGeometry(8)
	if err != nil {
		t.Fatal(err)
	}
	metadata := 2 + exceptions/256
	u, ok := look.StatusUsage(g, format.Sectors(8*(exceptions+metadata)), format.Sectors(8*chunks), format.Sectors(8*metadata))
	if !ok {
		t.Fatal("no store has these figures")
	}
	return u
}

// filling has snapshots of all kinds that were looked at for 20 minutes.
func filling(t *testing.T) snapshot.Tracks {
	t.Helper()
	var tracks snapshot.Tracks
	const looks = 20 * 12
	for i := range uint64(looks + 1) {
		seen := func(name string, exceptions, chunks uint64) snapshot.Seen {
			return snapshot.Seen{Name: name, Active: true, State: "valid", Known: true, Usage: usage(t, exceptions, chunks)}
		}
		all := []snapshot.Seen{
			seen("vg0/soon", 100+20*i, 100_000), seen("vg0/today", 5*i, 60_000), seen("vg0/a-name-that-is-longer-than-most-are", 2*i, 1<<30),
			seen("vg0/still", 5, 1000), seen("vg0/ninety-six", 960, 1007), seen("vg0/merging", 30_000-100*i, 100_000), seen("vg0/stuck", 500, 1000),
			{Name: "vg0/lost", Active: true, State: "invalid"}, {Name: "image.cow", State: "unreadable", Err: fmt.Errorf("no such file")},
			{Name: "vg0/merge-failed", Active: true, Merging: true, State: "merge failed"},
		}
		all[5].Merging, all[6].Merging = true, true
		if i < looks {
			all = append(all, seen("vg0/removed", 7, 100))
		}
		tracks.Add(time.Hour+time.Duration(i)*5*time.Second, all)
	}
	return tracks
}

// TestWatchShows: what each kind of snapshot is shown as, the most urgent one first.
func TestWatchShows(t *testing.T) {
	tracks := filling(t)
	text, err := Screen{Width: 200, Colours: true, Blocks: true}.Watch(tracks.All)
	if err != nil {
		t.Fatal(err)
	}
	const red, yellow, rest = "\x1b[31m", "\x1b[33m", `.*\x1b\[0m`
	want := []string{
		`name +state +full +chunks left +1 min +15 min +time left +last hour`,
		red + `vg0/lost +invalid +100\.00% +- +- +- +lost +-` + rest,
		yellow + `image\.cow +unreadable +- +- +- +- +- +-` + rest,
		yellow + `vg0/soon +valid +4\.\d\d% +94709 +4\.0 chunks/s, 16 KiB/s +4\.0 chunks/s, 16 KiB/s +6 h 34 min +█+` + rest,
		yellow + `vg0/today +valid .* 16 h 16 min +█+` + rest,
		`vg0/a-name-that-is-longer-than-most-are +valid .* 84 years +█+`,
		red + `vg0/ninety-six +valid +9\d\.\d\d% +42 +0 +0 +does not fill` + rest,
		`vg0/still +valid .* does not fill *`,
		`vg0/merging +merging +6\.\d\d% +6000 to merge +20\.0 chunks/s.* 5 min 0 s \(80% merged\) .*`,
		`vg0/stuck +merging .* 500 to merge .* stands still *`,
		`vg0/merge-failed +merge failed .*`,
		`vg0/removed +gone +- +- +- +- +- +-`,
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		if i >= len(want) || !regexp.MustCompile("^"+strings.ReplaceAll(strings.ReplaceAll(want[i], red, `\x1b\[31m`), yellow, `\x1b\[33m`)+"$").MatchString(strings.TrimRight(line, " ")) {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, expected %d:\n%s", len(lines), len(want), text)
	}
}

// TestWatchFits: no line is longer than the terminal is wide, none is below its last one, and what counts is shown.
func TestWatchFits(t *testing.T) {
	tracks := filling(t)
	for width := 40; width <= 200; width++ {
		for _, height := range []int{0, 1, 2, 3, 7, 12, 13, 50} {
			text, err := Screen{Width: width, Height: height, Colours: true, Blocks: true}.Watch(tracks.All)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if head := strings.Fields(lines[0]); !strings.HasPrefix(lines[0], "name ") || len(head) < 4 || !strings.Contains(lines[0], " full ") || !strings.Contains(lines[0], "time left") {
				t.Errorf("%d columns: %q", width, lines[0])
			}
			for _, line := range lines {
				if n := words.Width(line); n > width {
					t.Errorf("%d of %d columns: %q", n, width, line)
				}
			}
			shown := len(lines) - 1
			if height > 0 && len(lines) > height {
				t.Errorf("%d lines of %d", len(lines), height)
			}
			if 2 < height && height < len(tracks.All)+1 {
				shown--
				if want := fmt.Sprintf("and %d more", len(tracks.All)-shown); lines[len(lines)-1] != want {
					t.Errorf("%d lines: %q, expected %q", height, lines[len(lines)-1], want)
				}
			} else if (height == 0 || height > 2) && shown != len(tracks.All) {
				t.Errorf("%d of %d are shown in %d lines", shown, len(tracks.All), height)
			}
		}
	}
}
