package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/runlog"
	"dmcow/internal/stdio"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

// app is one run of dmcow: where it writes, and what has become of it so far.
type app struct {
	ctx      context.Context  // done when the user wants it to end
	tick     <-chan os.Signal // asks for a line on the progress
	stdout   *stdio.Output
	stderr   *stdio.Errors
	quiet    bool // an error of standard output was told
	flags    globals
	outcomes outcomes    // of the command that runs
	status   status      // what the run exits with, so far
	alarm    *dump.Alarm // what it exits with as a monitoring plugin
	where    []string    // volumes of LVM are looked for
	pieces   []piece     // of the COW device, on the command line
	session  *snapshot.Session
	evidence dump.Run      // for the log
	log      *runlog.Log   // nil without --log
	named    []string      // devices and files, on the command line
	often    time.Duration // how often progress is told without being asked for; 0 for never
}

// globals are the flags of every command.
type globals struct {
	NoColor bool `help:"No colours (as with NO_COLOR in the environment)."`
	Verbose bool `short:"v" help:"Say more on standard error."`
	Log     path `placeholder:"FILE" help:"Append a JSON line to FILE, a run log for evidence: command line, time, host, each device's identity, digests, findings, exit status."`
	Yes     bool `help:"Answer yes to the question before writing. Commands that do not ask ignore it."`
}

// unable is the refusal of what cannot be done with a device.
func unable(device string, err error) error {
	return &snapshot.Refusal{Device: device, Code: snapshot.Unable, Err: err}
}

// begin begins a session.
func (a *app) begin(v volumes, host string) *snapshot.Session {
	a.session = snapshot.Open(a.options(v, host))
	return a.session
}

// options are a session's: volumes of LVM are looked for where the flags say.
func (a *app) options(v volumes, host string) snapshot.Options {
	for _, p := range v.PV {
		a.where = append(a.where, string(p))
	}
	where := a.where
	if usual := os.Getenv("DMCOW_PV"); len(where) == 0 && usual != "" {
		where = slices.DeleteFunc(filepath.SplitList(usual), func(p string) bool { return p == "" })
	}
	return snapshot.Options{
		Where: where, Pieces: pieces(a.pieces), Usual: len(a.where) == 0, Host: host, Patience: lockPatience, Watch: a.watch, Interrupted: a.interruption,
	}
}

// plan plans what a command is to write.
func plan[R, P any](a *app, w writing, r R, of func(*snapshot.Session, R) (P, error)) (p P, err error) {
	p, err = of(a.begin(w.volumes, w.ForeignHost), r)
	a.tell()
	return p, err
}

// told tells what has come of a command, or would: programs in JSON, and people in words on standard output,
// where there are any.
func (a *app) told(r result, record any, words string) error {
	if r.isJSON() {
		return dump.ResultJSON(a.stdout, record)
	}
	if words == "" {
		return nil
	}
	t := a.text()
	t.Line("%s", words)
	return t.Err()
}

// made says that a file was written, or a device, and how much it holds.
func (a *app) made(name, what string, size format.Bytes) {
	if size > 0 {
		what += ", " + words.Size(size)
	}
	a.say(name, "wrote %s", what)
}

// lockPatience is how long a lock of LVM's is waited for: most of its commands take less.
var lockPatience = 5 * time.Second

func (a *app) end() {
	if a.session != nil {
		a.tell()
		a.session.Close()
	}
}

// tell says what there is to know, and adds its status.
func (a *app) tell() {
	if a.session == nil {
		return
	}
	for _, n := range a.session.Notes() {
		a.status |= a.ended(n.Code)
		if n.Text != "" && (!n.Detail || a.flags.Verbose) {
			a.say(n.Device, "%s", n.Text)
			a.tellHints(a.hints(n.Device, n.Remedies)...)
		}
	}
}

func (a *app) interruption() error {
	if a.ctx.Err() != nil {
		return snapshot.ErrInterrupted
	}
	return nil
}

func (a *app) print(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// say writes a line about a device on standard error.
func (a *app) say(device, format string, args ...any) {
	a.tellLine(words.Printable(device) + ": " + fmt.Sprintf(format, args...))
}
