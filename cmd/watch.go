package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"dmcow/dump"
	"dmcow/internal/process"
	"dmcow/internal/units"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type watchCmd struct {
	Name      []path          `arg:"" optional:"" help:"VG/LV, device-mapper names, snapshots, COW devices or images of them, or patterns of these in quotes. Default: all snapshots in sight."`
	Interval  units.Duration  `default:"5s" placeholder:"TIME" help:"How often to look: 1s, 5s, 10m. Default: 5s."`
	Once      bool            `help:"Look once, and end."`
	Output    string          `short:"o" default:"human" enum:"human,csv,json" help:"Output format: human, csv (a row per snapshot and look) or json (a line each)."`
	Until     *units.Percent  `placeholder:"PCT" help:"End, with status 64, when one of them is this full, or lost."`
	UntilLeft *units.Duration `placeholder:"TIME" help:"End, with status 64, when one of them will be full within this time, or is lost."`
	SVG       path            `name:"svg" placeholder:"FILE" help:"At the end, write a picture (SVG) of how full they were all the time to FILE."`
	volumes   `embed:""`
}

// leastInterval is how often a look is worth what it costs.
const leastInterval = 100 * time.Millisecond

// Validate tells wrong use that single flags do not show.
func (c *watchCmd) Validate() error {
	switch {
	case time.Duration(c.Interval) < leastInterval:
		return fmt.Errorf("--interval is at least %v", leastInterval)
	case c.SVG == "-":
		return errors.New("--svg needs a file: standard output has something else")
	}
	return nil
}

// watching is one run of watch.
type watching struct {
	*watchCmd
	app     *app
	lookout *snapshot.Lookout
	tracks  snapshot.Tracks
	began   time.Time
	now     time.Duration // since then, on a clock that does not jump
	at      time.Time     // then, on the clock on the wall, which does
	told    string        // what could not be seen
	screen  *watchScreen  // a terminal that is drawn on; nil for other standard output
}

func (c *watchCmd) Run(a *app) error {
	picture := a.list(c.SVG, dump.CourseHead)
	if err := picture.Check(); err != nil {
		return err
	}
	o := a.options(c.volumes, "")
	o.Watch = nil // a look is short, and there is the next one
	w := &watching{watchCmd: c, app: a, lookout: &snapshot.Lookout{Options: o}, began: time.Now()}
	for _, n := range c.Name {
		w.lookout.Names = append(w.lookout.Names, string(n))
	}
	defer w.lookout.Close()
	w.tracks.Draws = c.SVG != ""
	if c.Output == "human" && !c.Once && isTerminal(a.stdout.File()) && !isPlainTerminal() {
		w.screen = newWatchScreen(a)
	}
	err := errors.Join(w.run(), w.leave())
	if c.SVG != "" && w.now > 0 {
		err = errors.Join(err, picture.Write(w.draw))
	}
	return err
}

// run looks until there is a reason to end.
func (w *watching) run() error {
	resized := make(chan os.Signal, 1)
	if w.screen != nil {
		defer process.Resizes(resized)()
	}
	if w.Output == "csv" {
		if err := dump.WatchedCSV(w.app.stdout, true, nil); err != nil {
			return err
		}
	}
	tick := time.NewTicker(time.Duration(w.Interval))
	defer tick.Stop()
	for {
		if err := w.look(); err != nil {
			return w.ending(err)
		}
		if ended, err := w.ended(); ended || err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case <-w.app.ctx.Done(): // which is how it is ended
				return nil
			case <-resized:
				if err := w.show(); err != nil {
					return err
				}
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// ending is nil for an interruption: nothing was left half done.
func (w *watching) ending(err error) error {
	if errors.Is(err, snapshot.ErrInterrupted) {
		return nil
	}
	return err
}

// look looks at all snapshots, and shows them.
func (w *watching) look() error {
	w.at = time.Now()
	now := max(w.at.Sub(w.began), 1)
	seen, err := w.lookout.Look(now)
	if err != nil {
		return err
	}
	first := w.now == 0
	w.now = now
	w.tracks.Add(now, seen)
	if text := fmt.Sprint(w.lookout.Unseen()); text != w.told {
		w.told = text
		for _, err := range w.lookout.Unseen() {
			w.trouble("watch", unable("watch", err), err)
		}
	}
	if first {
		w.tellFirst()
	}
	return w.show()
}

// trouble tells what could not be seen. It is a failure of a single look, and of what was named; else the watch goes on
// with what can be seen.
func (w *watching) trouble(name string, failure, err error) {
	if w.Once || len(w.Name) > 0 {
		w.app.fail(failure)
	} else {
		w.app.say(name, "%v", err)
	}
}

// tellFirst says of what nothing is seen.
func (w *watching) tellFirst() {
	for _, x := range w.tracks.All {
		if x.Err != nil {
			w.trouble(x.Name, x.Err, x.Err)
		}
	}
	if len(w.tracks.All) == 0 && w.screen == nil {
		w.app.say("watch", "no snapshot in sight")
	}
}

// ended reports whether nothing more is to be waited for, with the status that this has.
func (w *watching) ended() (bool, error) {
	for _, x := range w.tracks.All {
		p, known := x.Percent()
		f := x.Forecast()
		full := w.Until != nil && known && !x.Gone && !x.Merging && w.Until.Reached(p)
		soon := w.UntilLeft != nil && !x.Gone && !x.Merging && (x.Lost() || f.Ever && f.Left <= time.Duration(*w.UntilLeft))
		if full || soon {
			w.app.say(x.Name, "%s", reached(x))
			w.app.status |= statusReached
			return true, nil
		}
	}
	if w.Once {
		w.conclude()
		return true, nil
	}
	if len(w.Name) > 0 && !slices.ContainsFunc(w.tracks.All, func(x *snapshot.Tracked) bool { return !x.Gone && (x.Err == nil || x.Active) }) {
		if w.Until != nil || w.UntilLeft != nil {
			return true, unable("watch", errors.New("all are gone, and what --until waits for has not come"))
		}
		w.app.say("watch", "all are gone")
		return true, nil
	}
	return false, nil
}

// reached says what has come that was waited for.
func reached(x *snapshot.Tracked) string {
	if x.Lost() {
		return "lost: " + x.State
	}
	p, _ := x.Percent()
	text := fmt.Sprintf("%.2f%% full, %s left", p, words.Count(x.Usage.Free(), "chunk"))
	if f := x.Forecast(); f.Ever {
		text += ", full in " + words.Span(f.Left)
	}
	return text
}

// conclude is the status of a single look, as list has it.
func (w *watching) conclude() {
	for _, x := range w.tracks.All {
		switch {
		case x.Err != nil: // it was told
		case x.State == "damaged":
			w.app.status |= w.app.outcomes.damaged
		case x.Lost():
			w.app.status |= w.app.outcomes.invalid
		}
	}
}
