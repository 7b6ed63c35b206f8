package cmd

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"dmcow/dump"
	"dmcow/internal/show"
	"dmcow/internal/stdio"
	"dmcow/internal/words"
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

func writeUncertain(l snapshot.ListFile, n *snapshot.Snapshot) error {
	return l.Write(func(w io.Writer) error { return dump.UncertainCSV(w, n.View.Uncertain()) })
}

// isTerminal reports whether a file is a terminal; nil is none.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// isPlainTerminal reports whether the terminal knows no more than text.
func isPlainTerminal() bool { return os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" }

// takesColours reports whether standard output takes colours.
func (a *app) takesColours() bool {
	return isTerminal(a.stdout.File()) && !a.flags.NoColor && os.Getenv("NO_COLOR") == "" && !isPlainTerminal()
}

// fail tells of an error and adds its status. When the reader of standard output has gone away,
// there is nobody to tell, and what it was to read is not all there.
func (a *app) fail(err error) {
	if err == nil {
		return
	}
	a.tell()
	text, hints := err.Error(), words.Hints(err)
	var r *snapshot.Refusal
	switch {
	case errors.As(err, &r):
		a.status |= a.ended(r.Code)
		refused, remedies := a.refusal(r)
		text, hints = refused, append(hints, remedies...)
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
	if len(hints) == 0 && errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		hints = []string{"run as root"}
	}
	a.tellLine(text)
	a.tellHints(hints...)
}

// errNoYes is wrong use: there is nobody to ask.
var errNoYes = usageError{words.Hinted("refusing to write without confirmation: standard input is not a terminal", "--yes, or --dry-run to preview")}

// checkAnswerable refuses, when all else is well and before anything is written, a command whose question nobody
// could answer.
func (a *app) checkAnswerable() error {
	if a.flags.Yes || isTerminal(os.Stdin) {
		return nil
	}
	return errNoYes
}

// ask asks the question, which is about path, unless --yes has answered it. The error is the refusal
// of an answer that is not yes, or of an interruption.
func (a *app) ask(path, question string, args ...any) error {
	a.tell()
	if err := a.checkAnswerable(); err != nil {
		return err
	}
	answer := "yes"
	if !a.flags.Yes {
		text := fmt.Sprintf("dmcow: %s: %s [y/N]", words.Printable(path), fmt.Sprintf(question, args...))
		fmt.Fprint(a.stderr, words.Wrap(text, a.stderr.Width(), "  ")+" ")
		answer = a.answer()
	}
	if a.ctx.Err() != nil {
		return &snapshot.Refusal{Device: path, Code: snapshot.Interrupted, Err: fmt.Errorf("%w: nothing was written", snapshot.ErrInterrupted)}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return unable(path, errors.New("not confirmed: nothing was written"))
}

// answer is the next line of standard input, or what there is before its end. It does not wait for
// one when the run is to end.
func (a *app) answer() string {
	line := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of input is a no
		line <- answer
	}()
	select {
	case answer := <-line:
		return answer
	case <-a.ctx.Done():
		fmt.Fprintln(a.stderr)
		return ""
	}
}

// text is text for people on standard output.
func (a *app) text() *show.Text { return show.On(a.stdout, a.takesColours()) }

// words are where words go: to standard error, where standard output has an object.
func (a *app) words(r result) *show.Text {
	if r.isJSON() {
		return show.On(a.stderr, false)
	}
	return a.text()
}

// mapColumns is how wide a map is: as the terminal, as COLUMNS says, or as most terminals are.
func (a *app) mapColumns() int {
	if f := a.stdout.File(); f != nil {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// hasBlocks reports whether the terminal shows more than ASCII.
func hasBlocks() bool {
	locale := strings.ToLower(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}

// over says what is written over, to begin a question with; it is empty for nothing.
func over(loss string) string {
	if loss == "" {
		return ""
	}
	return loss + ": "
}
