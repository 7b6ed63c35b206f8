// Package progress tells how far a piece of work has come: as a bar on a terminal, and as a line on a signal.
package progress

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"dmcow/internal/words"
)

// often is how often a bar is drawn.
const often = 100 * time.Millisecond

// Bar is a terminal that takes a bar.
type Bar interface {
	Status(text string) // replaces the last status; an empty one takes it away
	Width() int
}

// Teller is who is told.
type Teller struct {
	Bar         Bar           // nil for none
	Patience    time.Duration // how long work takes before its bar is drawn
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
	told  time.Time // when a line was written
	drawn time.Time // when the bar was drawn
}

// New begins to tell of work on something: what is counted, and how many of it there are at most.
func New(to Teller, about, unit string, total uint64) *Progress {
	return &Progress{to: to, about: about, unit: unit, total: total, start: time.Now(), told: time.Now()}
}

// NoBar has no bar be shown.
func (p *Progress) NoBar() { p.to.Bar = nil }

// Visit is called at each step of the work with how much is done; it ends what was interrupted.
func (p *Progress) Visit(done uint64) error {
	p.done = done
	select {
	case <-p.to.Context.Done():
		return p.to.Interrupted
	case <-p.to.Tick:
		p.to.Say(p.about, "%s", p.line())
	default:
		if p.to.Every > 0 && p.to.Bar == nil && time.Since(p.told) >= p.to.Every {
			p.told = time.Now()
			p.to.Say(p.about, "%s", p.line())
		}
	}
	if p.to.Bar != nil && time.Since(p.start) >= p.to.Patience && time.Since(p.drawn) >= often {
		p.drawn = time.Now()
		p.to.Bar.Status(p.bar(p.to.Bar.Width()))
	}
	return nil
}

// Ending says that an interruption was heard.
func (p *Progress) Ending() {
	p.to.Say(p.about, "finishing this batch; Ctrl-C again stops now (nothing is lost)")
}

// line says how far the work has come, and how fast since it began.
func (p *Progress) line() string {
	seconds := time.Since(p.start).Seconds()
	rate := float64(p.done) / max(seconds, 0.001)
	left := "?"
	if rate > 0 {
		left = fmt.Sprintf("%.0f s", float64(p.total-min(p.done, p.total))/rate)
	}
	if p.unit == "byte" {
		return fmt.Sprintf("%s of at most %s, %s/s, at most %s left", words.Size(p.done), words.Size(p.total), words.Size(uint64(rate)), left)
	}
	return fmt.Sprintf("%s %d of at most %d, %.0f %ss/s, at most %s left", p.unit, p.done, p.total, rate, p.unit, left)
}

// How wide the bar itself is, in columns.
const (
	widest    = 40
	narrowest = 10
)

// bar is the line on a terminal of so many columns, with a bar where there is room for one. The last column stays
// free: behind it the terminal would begin a line.
func (p *Progress) bar(columns int) string {
	head, tail := words.Printable(p.about)+": ", p.line()
	room := columns - 1 - words.Width(head+tail) - len("[] ")
	if room >= narrowest {
		room = min(room, widest)
		full := int(float64(room) * float64(min(p.done, p.total)) / float64(max(p.total, 1)))
		return head + "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "] " + tail
	}
	text := []rune(head + tail)
	return string(text[:min(len(text), columns-1)])
}

// End takes the bar off the screen, for good.
func (p *Progress) End() {
	if p.to.Bar != nil {
		p.to.Bar.Status("")
		p.to.Bar = nil
	}
}
