package cmd

import (
	"fmt"
	"math"
	"time"

	"github.com/cheggaaa/pb/v3"

	"dmcow/format"
)

// patience is how long a command may take before its progress is shown.
const patience = time.Second

// progress tells how far a command has come: as a bar on a terminal, and as a
// line on SIGUSR1.
type progress struct {
	app   *app
	path  string
	unit  string // "area"
	total uint64 // units, at most
	done  uint64
	start time.Time
	every time.Duration   // how often a line is written without being asked for; 0 for never
	told  time.Time       // when one was
	bar   *pb.ProgressBar // nil where there is none to show
}

// walking is the progress of a walk through a store's metadata. How long the
// list is shows only at its end, so that the time left is told for the longest
// that fits the device. Show says whether a bar would not disturb what the
// command writes.
func (a *app) walking(c *cow, show bool) *progress {
	var areas uint64 // on the device
	if g := c.id.Geometry; !g.IsZero() {
		areas = g.Areas(g.Chunks(c.size()))
	}
	return a.newProgress(c.path, "area", areas, show)
}

// newProgress starts the clock.
func (a *app) newProgress(path, unit string, total uint64, show bool) *progress {
	p := &progress{app: a, path: path, unit: unit, total: total, start: time.Now(), told: time.Now()}
	if show && isTerminal(a.stderr.file()) && !plainTerminal() {
		p.bar = pb.Full.New(int(min(total, math.MaxInt))).
			SetWriter(a.stderr).
			SetRefreshRate(100*time.Millisecond).
			Set("prefix", printable(path)).
			Set(pb.Bytes, unit == "byte").
			Set(pb.Color, false).
			Set(pb.CleanOnFinish, true)
	}
	return p
}

// area is called at each step of a walk.
func (p *progress) area(k format.AreaIndex) error { return p.visit(uint64(k)) }

// bytes is called at each step of a pass through an image.
func (p *progress) bytes(b format.Bytes) error { return p.visit(uint64(b)) }

// visit is called at each step of the work with how much is done; it ends what
// was interrupted.
func (p *progress) visit(done uint64) error {
	p.done = done
	select {
	case <-p.app.ctx.Done():
		return errInterrupted
	case <-p.app.tick:
		p.line()
	default:
		if p.every > 0 && p.bar == nil && time.Since(p.told) >= p.every {
			p.told = time.Now()
			p.line()
		}
	}
	if p.bar != nil && time.Since(p.start) > patience {
		p.bar.SetCurrent(int64(done)).Start() // which does nothing the second time
	}
	return nil
}

// between is visit for work that ends between batches alone: copied is to be told how
// much more is done, and pause, between two batches, whether to go on.
func (p *progress) between() (copied func(format.Bytes), pause func() error) {
	told := false
	copied = func(n format.Bytes) {
		if err := p.visit(p.done + uint64(n)); err != nil && !told {
			told = true
			p.end()
			p.app.say(p.path, "ending this batch first; nothing is lost by a second signal, which ends it at once")
		}
	}
	return copied, p.app.interruption
}

// line writes how far the work has come.
func (p *progress) line() {
	seconds := time.Since(p.start).Seconds()
	rate := float64(p.done) / max(seconds, 0.001)
	left := "?"
	if rate > 0 {
		left = fmt.Sprintf("%.0f s", float64(p.total-min(p.done, p.total))/rate)
	}
	p.app.say(p.path, "%s %d of at most %d, %.0f %ss/s, at most %s left", p.unit, p.done, p.total, rate, p.unit, left)
}

// end takes the bar off the screen, for good.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
