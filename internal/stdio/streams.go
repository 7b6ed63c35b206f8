// Package stdio has standard output and standard error, and does not lose an error of either.
package stdio

import (
	"errors"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"dmcow/internal/words"
)

// OutputError is an error of standard output, which is about no device.
type OutputError struct{ Err error }

// Error is the error with what it is about.
func (e *OutputError) Error() string { return "standard output: " + e.Err.Error() }
func (e *OutputError) Unwrap() error { return e.Err }

// errClosed says that the program was started without a standard output.
var errClosed = errors.New("is closed")

// Output is standard output. It keeps the first error, for those who print without asking.
type Output struct {
	io.Writer
	closed bool
	err    error
}

// Err is the first error of a write, an [*OutputError], nil where there was none.
func (o *Output) Err() error { return o.err }

// NewOutput is standard output. Closed says that the program was started without one.
func NewOutput(w io.Writer, closed bool) *Output { return &Output{Writer: w, closed: closed} }

// Write writes p. The error is an [*OutputError].
func (o *Output) Write(p []byte) (n int, err error) {
	if o.closed {
		err = errClosed
	} else {
		n, err = o.Writer.Write(p)
	}
	if err == nil {
		return n, nil
	}
	e := &OutputError{words.Pathless(err)}
	if o.err == nil {
		o.err = e
	}
	return n, e
}

// File is the file behind it, nil if there is none, or it is closed.
func (o *Output) File() *os.File {
	if o.closed {
		return nil
	}
	return fileOf(o.Writer)
}

// Width is how many columns text for people may have on standard output; 0 where it is no terminal.
func (o *Output) Width() int { return width(o.File()) }

// Errors is standard error: several goroutines write to it, and in the background it becomes
// something else.
type Errors struct {
	mu     sync.Mutex
	w      io.Writer
	status bool // a status stands on the last line
}

// NewErrors is standard error.
func NewErrors(w io.Writer) *Errors { return &Errors{w: w} }

// Write writes p, in the place of a status.
func (e *Errors) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.erase()
	return e.w.Write(p)
}

// Status shows a text on the last line of the terminal, until the next text replaces it; an empty one takes it away.
func (e *Errors) Status(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.erase()
	if text != "" {
		e.status = true
		_, _ = io.WriteString(e.w, text)
	}
}

// erase takes the status away.
func (e *Errors) erase() {
	if e.status {
		e.status = false
		_, _ = io.WriteString(e.w, "\r\x1b[K")
	}
}

// Become has what is written from now on go elsewhere.
func (e *Errors) Become(w io.Writer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.w = w
}

// File is the file behind it, nil if there is none.
func (e *Errors) File() *os.File {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fileOf(e.w)
}

// Width is how many columns text for people may have on standard error; 0 where it is no terminal.
func (e *Errors) Width() int { return width(e.File()) }

// usual is how wide a terminal is that does not say.
const usual = 80

// width is how many columns text on a terminal may have: as COLUMNS says, or the terminal itself; 0 for other files.
func width(f *os.File) int {
	if f == nil {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	columns, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || columns <= 0 {
		columns = int(size.Col)
	}
	if columns == 0 {
		columns = usual
	}
	return words.Columns(columns)
}

func fileOf(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}
