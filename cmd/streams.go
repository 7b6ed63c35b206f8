package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/term"

	"dmcow/internal/device"
	"dmcow/internal/stdio"
)

// outputError is an error of standard output, which is about no device.
type outputError struct{ error }

func (e *outputError) Error() string { return "standard output: " + e.error.Error() }
func (e *outputError) Unwrap() error { return e.error }

// errClosed says that the program was started without a standard output.
var errClosed = errors.New("is closed")

// outputStream is standard output. It keeps the first error, for those who print without asking.
type outputStream struct {
	io.Writer
	closed bool
	err    error
}

func newOutput(w io.Writer) *outputStream {
	f, ok := w.(*os.File)
	return &outputStream{Writer: w, closed: ok && stdio.Closed(f)}
}

// Write writes p. The error is an [*outputError].
func (o *outputStream) Write(p []byte) (n int, err error) {
	if o.closed {
		err = errClosed
	} else {
		n, err = o.Writer.Write(p)
	}
	if err == nil {
		return n, nil
	}
	e := &outputError{pathless(err)}
	if o.err == nil {
		o.err = e
	}
	return n, e
}

func (o *outputStream) file() *os.File { return fileOf(o.Writer) }

// errorStream is standard error: several goroutines write to it, and in the background it becomes
// something else.
type errorStream struct {
	mu sync.Mutex
	w  io.Writer
}

func newErrors(w io.Writer) *errorStream { return &errorStream{w: w} }

func (e *errorStream) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.w.Write(p)
}

// become has what is written from now on go elsewhere.
func (e *errorStream) become(w io.Writer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.w = w
}

func (e *errorStream) file() *os.File {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fileOf(e.w)
}

// fileOf is the file that a stream writes to, nil where it is none.
func fileOf(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}

// apartFromOutput refuses a standard output that is one of the devices that are read, or lies on it.
func (a *app) apartFromOutput(read ...*device.Device) error {
	f := a.stdout.file()
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil || isStream(info.Mode()) {
		return nil
	}
	d, err := device.OpenUnlocked(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil // what cannot be read is no device that is read
	}
	defer d.Close()
	for _, r := range read {
		if d.Overlaps(r) {
			return &failure{r.Path(), statusFailed, errors.New("is to be read, and standard output goes to it")}
		}
	}
	return nil
}

// isTerminal reports whether a file is a terminal; nil is none.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// plainTerminal reports whether the terminal knows no more than text.
func plainTerminal() bool { return os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" }

// colours reports whether standard output takes colours.
func (a *app) colours() bool {
	return isTerminal(a.stdout.file()) && !a.flags.NoColor && os.Getenv("NO_COLOR") == "" && !plainTerminal()
}

// fail tells of an error and adds its status. When the reader of standard output has gone away,
// there is nobody to tell, and what it was to read is not all there.
func (a *app) fail(err error) {
	if err == nil {
		return
	}
	var f *failure
	var u usageError
	switch {
	case errors.As(err, &f):
		a.status |= f.status
	case errors.As(err, &u):
		a.status |= statusWrongUse
	default:
		a.status |= statusFailed
	}
	if errors.As(err, new(*outputError)) {
		told := a.quiet || errors.Is(err, syscall.EPIPE)
		if a.quiet = true; told {
			return
		}
	}
	fmt.Fprintf(a.stderr, "dmcow: %v\n", err)
}
