// Package usr1 catches SIGUSR1, which asks for a line on the progress, from as
// early on as a program can: by itself it would kill. The package imports next
// to nothing, so that it is initialised before those that take their time.
package usr1

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals has the signal that has not been answered yet.
var Signals = func() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	return c
}()
