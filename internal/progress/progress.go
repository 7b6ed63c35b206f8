// Package progress tells how far a piece of work has come: as a bar on a terminal, and as a line on a signal.
package progress

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/cheggaaa/pb/v3"

	"dmcow/internal/words"
)

// patience is how long work may take before its progress is shown.
const patience = time.Second

// Teller is who is told.
type Teller struct {
	Bar         io.Writer // a terminal that takes a bar; nil for none
	Say         words.Say
	Every       time.Duration    // how often a line is written without being asked for; 0 for never
	Tick        <-chan os.Signal // asks for a line
	Context     context.Context  // done when the work is to end
	Interrupted error            // with which it ends then
}

// Progress is how far a piece of work has come.
type Progress struct {
	to    Teller
	about string
	unit  string // "area"
	total uint64 // units, at most
	done  uint64
	start time.Time
	told  time.Time       // when a line was written
	bar   *pb.ProgressBar // nil if there is none to show
}

// New begins to tell of work on something: what is counted, and how many of it there are at most.
func New(to Teller, about, unit string, total uint64) *Progress {
	p := &Progress{to: to, about: about, unit: unit, total: total, start: time.Now(), told: time.Now()}
	if to.Bar != nil {
		p.bar = pb.Full.New(int(min(total, math.MaxInt))).
			SetWriter(to.Bar).
			SetRefreshRate(100*time.Millisecond).
			Set("prefix", words.Printable(about)).
			Set(pb.Bytes, unit == "byte").
			Set(pb.Color, false).
			Set(pb.CleanOnFinish, true)
	}
	return p
}

// NoBar has no bar be shown.
func (p *Progress) NoBar() { p.bar = nil }

// Visit is called at each step of the work with how much is done; it ends what was interrupted.
func (p *Progress) Visit(done uint64) error {
	p.done = done
	select {
	case <-p.to.Context.Done():
		return p.to.Interrupted
	case <-p.to.Tick:
		p.line()
	default:
		if p.to.Every > 0 && p.bar == nil && time.Since(p.told) >= p.to.Every {
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
func (p *Progress) Ending() {
	p.to.Say(p.about, "finishing this batch; Ctrl-C again stops now (nothing is lost)")
}

func (p *Progress) line() {
	seconds := time.Since(p.start).Seconds()
	rate := float64(p.done) / max(seconds, 0.001)
	left := "?"
	if rate > 0 {
		left = fmt.Sprintf("%.0f s", float64(p.total-min(p.done, p.total))/rate)
	}
	if p.unit == "byte" {
		p.to.Say(p.about, "%s of at most %s, %s/s, at most %s left", words.Size(p.done), words.Size(p.total), words.Size(uint64(rate)), left)
		return
	}
	p.to.Say(p.about, "%s %d of at most %d, %.0f %ss/s, at most %s left", p.unit, p.done, p.total, rate, p.unit, left)
}

// End takes the bar off the screen, for good.
func (p *Progress) End() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
