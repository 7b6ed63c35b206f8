package dump

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestCourseSVG: the picture is XML, with a line and a name for each snapshot that was seen to be full in any way.
func TestCourseSVG(t *testing.T) {
	all := []Course{
		{Name: "vg0/<a & b>", At: []time.Duration{0, time.Hour}, Percents: []float64{0, 50}},
		{Name: "vg0/once", At: []time.Duration{time.Minute}, Percents: []float64{120}},
		{Name: "never read"},
		{Name: "/a/path/that/is/so/long/that/there/is/no/room/for/it", At: []time.Duration{0}, Percents: []float64{1}},
	}
	var b strings.Builder
	from := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	if err := CourseSVG(&b, all, from, 48*time.Hour); err != nil {
		t.Fatal(err)
	}
	text := CourseHead + "\n" + b.String()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
	}
	for part, want := range map[string]int{
		"<polyline": 3, "vg0/&lt;a &amp; b&gt;": 2, `points="60.0,540.0 73.3,300.0 "`: 1, `points="60.2,60.0 60.2,60.0 "`: 1,
		"never read": 0, ">…": 1, ">11-28 03:00<": 1, ">11-30 03:00<": 1, ">100%<": 1, "from 2026-11-28 03:00:00 to 2026-11-30 03:00:00 UTC": 2,
	} {
		if got := strings.Count(text, part); got != want {
			t.Errorf("%d times %q, expected %d:\n%s", got, part, want, text)
		}
	}
}
