package process

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Signals is done on the signals that ask a process to end, unless whoever started it has them ignored. A
// second signal ends it at once.
//
// SIGPIPE is taken, and nothing done: a stream whose reader has gone away is an error of writing,
// which by itself would kill.
func Signals() (ctx context.Context, stop func()) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ends := slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, signal.Ignored)
	ctx, cancel := context.WithCancel(context.Background())
	if len(ends) > 0 {
		ctx, cancel = signal.NotifyContext(ctx, ends...)
	}
	context.AfterFunc(ctx, cancel)
	return ctx, cancel
}

// Resizes has a channel be told when the terminal gets another size, until stop is called.
func Resizes(c chan<- os.Signal) (stop func()) {
	signal.Notify(c, syscall.SIGWINCH)
	return func() { signal.Stop(c) }
}
