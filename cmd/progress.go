package cmd

import (
	"time"

	"dmcow/internal/progress"
	"dmcow/snapshot"
)

// watch is the progress of a stretch of work of the session's.
func (a *app) watch(device string, unit snapshot.Unit, most uint64) snapshot.Watcher {
	a.tell() // what was found out before it
	return a.newProgress(device, string(unit), most)
}

// barPatience is how long work takes before its progress is shown.
var barPatience = time.Second

func (a *app) newProgress(path, unit string, total uint64) *progress.Progress {
	to := progress.Teller{Patience: barPatience, Say: a.say, Every: a.often, Tick: a.tick, Context: a.ctx, Interrupted: snapshot.ErrInterrupted}
	if isTerminal(a.stderr.File()) && !isPlainTerminal() {
		to.Bar = a.stderr
	}
	return progress.New(to, path, unit, total)
}
