package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// app is one run of dmcow: where it writes, and what has become of it so far.
type app struct {
	ctx     context.Context  // done when the user wants it to end
	tick    <-chan os.Signal // asks for a line on the progress
	stdout  io.Writer
	stderr  io.Writer
	flags   globals
	command string
	status  status
}

// globals are the flags of every command.
type globals struct {
	NoColor bool `help:"No colours. So does a NO_COLOR in the environment."`
	Verbose bool `short:"v" help:"Say more on standard error."`
	Yes     bool `help:"Answer yes to the question that a writing command asks. Taken and ignored by the others."`
}

// errInterrupted ends what a signal interrupts.
var errInterrupted = errors.New("interrupted")

// signals makes the run end between two batches on the signals that ask for
// that, and tell its progress on SIGUSR1. A second signal ends it at once.
func (a *app) signals() (stop func()) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, cancel)
	tick := make(chan os.Signal, 1)
	signal.Notify(tick, syscall.SIGUSR1)
	a.ctx, a.tick = ctx, tick
	return func() {
		cancel()
		signal.Stop(tick)
	}
}

// exit adds a status to those that the run ends with.
func (a *app) exit(s status) { a.status |= s }

// found adds the status that the command has for a content.
func (a *app) found(c content) { a.exit(exits[a.command][c]) }

// say writes a line about a device on standard error.
func (a *app) say(device, format string, args ...any) {
	fmt.Fprintf(a.stderr, "dmcow: %s: %s\n", device, fmt.Sprintf(format, args...))
}

// verbose writes a line that only -v asks for.
func (a *app) verbose(device, format string, args ...any) {
	if a.flags.Verbose {
		a.say(device, format, args...)
	}
}

// broken tells whether a write failed since its reader has gone away: then
// there is nobody to tell.
func broken(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) }

// written judges the error of a write to standard output.
func (a *app) written(err error) {
	if err == nil || broken(err) {
		return
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // standard output has a name that nobody knows
	}
	a.say("standard output", "%v", err)
	a.exit(statusFailed)
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours tells whether standard output takes colours.
func (a *app) colours() bool {
	return isTerminal(a.stdout) && !a.flags.NoColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
