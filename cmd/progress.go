package cmd

import (
	"fmt"
	"math"
	"time"

	"github.com/cheggaaa/pb/v3"

	"dmcow/internal/words"
	"dmcow/snapshot"
)

// patience is how long a command may take before its progress is shown.
const patience = time.Second

// progress tells how far a command has come: as a bar on a terminal, and as a line on SIGUSR1.
type progress struct {
	app   *app
	path  string
	unit  string // "area"
	total uint64 // units, at most
	done  uint64
	start time.Time
	every time.Duration   // how often a line is written without being asked for; 0 for never
	told  time.Time       // when one was
	bar   *pb.ProgressBar // nil if there is none to show
}

// watch is the progress of a stretch of work of the session's.
func (a *app) watch(device string, unit snapshot.Unit, most uint64) snapshot.Watcher {
	a.tell() // what was found out before it
	return a.newProgress(device, string(unit), most)
}

func (a *app) newProgress(path, unit string, total uint64) *progress {
	p := &progress{app: a, path: path, unit: unit, total: total, every: a.often, start: time.Now(), told: time.Now()}
	if isTerminal(a.stderr.File()) && !isPlainTerminal() {
		p.bar = pb.Full.New(int(min(total, math.MaxInt))).
			SetWriter(a.stderr).
			SetRefreshRate(100*time.Millisecond).
			Set("prefix", words.Printable(path)).
			Set(pb.Bytes, unit == "byte").
			Set(pb.Color, false).
			Set(pb.CleanOnFinish, true)
	}
	return p
}

// Visit is called at each step of the work with how much is done; it ends what was interrupted.
func (p *progress) Visit(done uint64) error {
	p.done = done
	select {
	case <-p.app.ctx.Done():
		return snapshot.ErrInterrupted
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

// Ending says that an interruption was heard.
func (p *progress) Ending() {
	p.app.say(p.path, "finishing this batch; Ctrl-C again stops now (nothing is lost)")
}

func (p *progress) line() {
	seconds := time.Since(p.start).Seconds()
	rate := float64(p.done) / max(seconds, 0.001)
	left := "?"
	if rate > 0 {
		left = fmt.Sprintf("%.0f s", float64(p.total-min(p.done, p.total))/rate)
	}
	if p.unit == "byte" {
		p.app.say(p.path, "%s of at most %s, %s/s, at most %s left", words.Size(p.done), words.Size(p.total), words.Size(uint64(rate)), left)
		return
	}
	p.app.say(p.path, "%s %d of at most %d, %.0f %ss/s, at most %s left", p.unit, p.done, p.total, rate, p.unit, left)
}

// End takes the bar off the screen, for good.
func (p *progress) End() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
