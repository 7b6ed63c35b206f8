// Package early does what has to be done as early on as a program can. It imports next to
// nothing, so that it is initialised before packages that take their time.
package early

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	_ "dmcow/internal/early/limit"
)

// Signals has the SIGUSR1 that has not been answered yet: it asks for a line on the progress, and by
// itself it would kill.
var Signals = func() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	return c
}()

// A fault that no code can mend, in whatever goroutine or for want of memory, ends the program with
// SIGABRT: the exit status 2, which the Go runtime has for it otherwise, means something
// else.
func init() { debug.SetTraceback("crash") }

// outputClosed is set by the entry, before the runtime begins.
var outputClosed bool

// OutputClosed reports whether standard output was closed when the program was started. The Go
// runtime opens /dev/null then, for reading and writing, so that no other file gets the stream's
// number: what is written goes nowhere, and nobody would know. Afterwards it cannot be told from a /dev/null
// that a program has given (Python's subprocess.DEVNULL is one for reading and writing, too), so a
// program without the entry takes the stream for one that was given.
func OutputClosed() bool { return outputClosed }
