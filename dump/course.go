package dump

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"

	"dmcow/internal/words"
)

// Course is how full a snapshot was over time.
type Course struct {
	Name     string
	At       []time.Duration // since the picture begins
	Percents []float64
}

// CourseHead is the first line of the picture that CourseSVG writes.
const CourseHead = `<svg xmlns="http://www.w3.org/2000/svg" class="dmcow-watch" viewBox="0 0 960 600" font-family="sans-serif" font-size="12">`

// The picture's plane, in its own units.
const (
	courseLeft, courseTop  = 60, 60
	courseWide, courseHigh = 640, 480
	courseNames            = courseLeft + courseWide + 20
	courseMostNames        = 26
	courseMostName         = 32 // characters
)

var courseColours = []string{"#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"}

// CourseSVG writes what comes behind CourseHead: a picture of how full snapshots were, a line each, from a moment on
// for as long as they were watched.
func CourseSVG(w io.Writer, all []Course, from time.Time, lasted time.Duration) error {
	var b strings.Builder
	title := fmt.Sprintf("How full snapshots are, from %s to %s", from.Format("2006-01-02 15:04:05"), from.Add(lasted).Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"960\" height=\"600\" fill=\"#fff\"/>\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="%d" y="30" font-size="16">%s</text>`+"\n", courseLeft, html.EscapeString(title))
	for p := 0; p <= 100; p += 20 {
		y := courseY(float64(p))
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d%%</text>`+"\n", courseLeft, y, courseLeft+courseWide, y, courseLeft-8, y+4, p)
	}
	lasted = max(lasted, time.Second)
	all = slices.DeleteFunc(slices.Clone(all), func(c Course) bool { return len(c.At) == 0 })
	clock := "15:04:05"
	if lasted >= 24*time.Hour {
		clock = "01-02 15:04"
	}
	for i := range 6 {
		at := lasted * time.Duration(i) / 5
		x := courseX(at, lasted)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, courseTop, x, courseTop+courseHigh, x, courseTop+courseHigh+20, from.Add(at).Format(clock))
	}
	for i, c := range all {
		c.draw(&b, i, lasted)
	}
	if more := len(all) - courseMostNames; more > 0 {
		fmt.Fprintf(&b, `<text x="%d" y="%d">and %d more</text>`+"\n", courseNames, courseTop+18*courseMostNames+4, more)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func courseX(at, lasted time.Duration) float64 {
	return courseLeft + courseWide*min(1, at.Seconds()/lasted.Seconds())
}

func courseY(percent float64) float64 {
	return courseTop + courseHigh*(1-min(max(percent, 0), 100)/100)
}

// draw draws the line of a snapshot, and its name while there is room.
func (c Course) draw(b *strings.Builder, i int, lasted time.Duration) {
	colour := courseColours[i%len(courseColours)]
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" stroke-linecap="round" points="`, colour)
	if len(c.At) == 1 { // a line from there to there is a dot
		c.At, c.Percents = []time.Duration{c.At[0], c.At[0]}, []float64{c.Percents[0], c.Percents[0]}
	}
	for n, at := range c.At {
		fmt.Fprintf(b, "%.1f,%.1f ", courseX(at, lasted), courseY(c.Percents[n]))
	}
	fmt.Fprintf(b, `"><title>%s</title></polyline>`+"\n", html.EscapeString(c.Name))
	if i < courseMostNames {
		y := courseTop + 18*i
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="12" height="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", courseNames, y, colour, courseNames+18, y+6, html.EscapeString(words.Tail(c.Name, courseMostName, "…")))
	}
}
