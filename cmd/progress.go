package cmd

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"dmcow/format"
)

// patience is how long a command may take before its progress is shown.
const patience = time.Second

// progress tells how far a walk through a store's metadata has come: as a bar
// on a terminal, and as a line on SIGUSR1. How long the list is shows only at
// its end, so that the time left is told for the longest that fits the device.
type progress struct {
	app   *app
	cow   *cow
	areas uint64 // on the device
	area  format.AreaIndex
	start time.Time
	bar   *progressbar.ProgressBar // nil where there is none to show
}

// newProgress starts the clock. Show says whether a bar would not disturb what
// the command writes.
func (a *app) newProgress(c *cow, show bool) *progress {
	p := &progress{app: a, cow: c, start: time.Now()}
	if g := c.id.Geometry; !g.IsZero() {
		p.areas = g.Areas(g.Chunks(c.size()))
	}
	if show && isTerminal(a.stderr) && !plainTerminal() {
		p.bar = progressbar.NewOptions64(int64(p.areas),
			progressbar.OptionSetWriter(a.stderr),
			progressbar.OptionSetDescription(printable(c.path)),
			progressbar.OptionSetItsString("areas"),
			progressbar.OptionShowIts(),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
		p.bar.StartWithoutRender()
	}
	return p
}

// visit is called at each step of the walk; it ends a walk that was
// interrupted.
func (p *progress) visit(area format.AreaIndex) error {
	p.area = area
	select {
	case <-p.app.ctx.Done():
		return errInterrupted
	case <-p.app.tick:
		p.line()
	default:
	}
	if p.bar != nil && time.Since(p.start) > patience {
		_ = p.bar.Set64(int64(area)) // a bar that cannot be drawn is no reason to stop
	}
	return nil
}

// line writes how far the walk has come.
func (p *progress) line() {
	seconds := time.Since(p.start).Seconds()
	rate := float64(p.area) / max(seconds, 0.001)
	left := "?"
	if rate > 0 {
		left = fmt.Sprintf("%.0f s", float64(p.areas-uint64(p.area))/rate)
	}
	p.app.say(p.cow.path, "area %d of at most %d, %.0f areas/s, at most %s left", p.area, p.areas, rate, left)
}

// end takes the bar off the screen.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
