package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"

	"dmcow/dump"
	"dmcow/internal/stdio"
	"dmcow/snapshot"
)

// stream is standard output, for what is written to it.
func (a *app) stream() *snapshot.Stream {
	return &snapshot.Stream{Writer: a.stdout, File: a.stdout.File()}
}

// list is a file for a list, and first the line that it begins with.
func (a *app) list(name path, first string) snapshot.ListFile {
	return snapshot.ListFile{Name: string(name), Head: first + "\n", Stdout: a.stdout, Outputs: []*os.File{a.stdout.File(), a.stderr.File()}}
}

// uncertainList is the list of the stretches of a snapshot that are not certain, which stands beside the
// other files that a command reads and writes.
func (a *app) uncertainList(v viewing, others ...path) (snapshot.ListFile, error) {
	l := a.list(v.Uncertain, dump.UncertainHead)
	names := []string{string(v.COW), string(v.Origin)}
	for _, o := range others {
		names = append(names, string(o))
	}
	return l, l.Check(names...)
}

// writeUncertain writes that list.
func writeUncertain(l snapshot.ListFile, n *snapshot.Snapshot) error {
	return l.Write(func(w io.Writer) error { return dump.UncertainCSV(w, n.View.Uncertain()) })
}

// isTerminal reports whether a file is a terminal; nil is none.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// plainTerminal reports whether the terminal knows no more than text.
func plainTerminal() bool { return os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" }

// colours reports whether standard output takes colours.
func (a *app) colours() bool {
	return isTerminal(a.stdout.File()) && !a.flags.NoColor && os.Getenv("NO_COLOR") == "" && !plainTerminal()
}

// fail tells of an error and adds its status. When the reader of standard output has gone away,
// there is nobody to tell, and what it was to read is not all there.
func (a *app) fail(err error) {
	if err == nil {
		return
	}
	a.tell()
	text := err.Error()
	var r *snapshot.Refusal
	switch {
	case errors.As(err, &r):
		a.status |= a.ended(r.Code)
		text = a.refusal(r)
	case errors.As(err, new(usageError)):
		a.status |= statusWrongUse
	default:
		a.status |= statusFailed
	}
	if errors.As(err, new(*stdio.OutputError)) {
		told := a.quiet || errors.Is(err, syscall.EPIPE)
		if a.quiet = true; told {
			return
		}
	}
	fmt.Fprintf(a.stderr, "dmcow: %s\n", text)
}
