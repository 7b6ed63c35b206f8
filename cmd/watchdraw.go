package cmd

import (
	"io"

	"dmcow/dump"
)

// draw writes the picture of the whole run.
func (w *watching) draw(to io.Writer) error {
	var all []dump.Course
	for _, x := range w.tracks.All {
		c := dump.Course{Name: x.Name}
		for _, p := range x.Course.Points {
			c.At, c.Percents = append(c.At, p.At), append(c.Percents, p.Percent)
		}
		all = append(all, c)
	}
	return dump.CourseSVG(to, all, w.began, w.now)
}
