package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"dmcow/internal/early"
)

// app is one run of dmcow: where it writes, and what has become of it so far.
type app struct {
	ctx      context.Context  // done when the user wants it to end
	tick     <-chan os.Signal // asks for a line on the progress
	stdout   *outputStream
	stderr   *errorStream
	quiet    bool // an error of standard output was told
	flags    globals
	outcomes outcomes // of the command that runs
	status   status   // what the run exits with, so far
	alarm    *alarm   // what it exits with as a monitoring plugin
	foreign  string   // the host whose volume groups are written to, too
	sights   []seen   // what was seen of LVM
}

// globals are the flags of every command.
type globals struct {
	NoColor bool `help:"No colours. So does a NO_COLOR in the environment."`
	Verbose bool `short:"v" help:"Say more on standard error."`
	Yes     bool `help:"Answer yes to the question that a writing command asks. Taken and ignored by the others."`
}

// failure is an error that knows the device that it is about and the status
// that it ends the run with.
type failure struct {
	device string
	status status
	err    error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", printable(f.device), f.err) }
func (f *failure) Unwrap() error { return f.err }

// unreadable is the failure of a device that cannot be read.
func (a *app) unreadable(device string, err error) error {
	return &failure{device, a.outcomes.unreadable, err}
}

// errInterrupted ends what a signal interrupts.
var errInterrupted = errors.New("interrupted")

// ended makes a failure of an interruption, and passes other errors on.
func ended(device string, err error) error {
	if errors.Is(err, errInterrupted) {
		return &failure{device, statusInterrupted, err}
	}
	return err
}

// interruption is the error of a run that is to end.
func (a *app) interruption() error {
	if a.ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

// both tells the first of two errors where there are two, and is the other one.
func (a *app) both(first, second error) error {
	if second == nil {
		return first
	}
	a.fail(first)
	return second
}

// say writes a line about a device on standard error.
func (a *app) say(device, format string, args ...any) {
	fmt.Fprintf(a.stderr, "dmcow: %s: %s\n", printable(device), fmt.Sprintf(format, args...))
}

// verbose writes a line that only -v asks for.
func (a *app) verbose(device, format string, args ...any) {
	if a.flags.Verbose {
		a.say(device, format, args...)
	}
}

// signals makes the run end between two batches on the signals that ask for
// that, unless whoever started it has them ignored, and tell its progress on
// SIGUSR1. A second signal ends it at once.
//
// SIGPIPE is taken, and nothing done: a stream whose reader has gone away is an error of writing,
// which by itself would kill.
func (a *app) signals() (stop func()) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	var ends []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			ends = append(ends, s)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if len(ends) > 0 {
		ctx, cancel = signal.NotifyContext(ctx, ends...)
	}
	context.AfterFunc(ctx, cancel)
	a.ctx, a.tick = ctx, early.Signals
	return cancel
}
