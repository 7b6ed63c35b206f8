package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"dmcow/internal/words"
	"dmcow/snapshot"
)

// errNoYes is wrong use: there is nobody to ask.
var errNoYes = usageError{errors.New("standard input is no terminal, to be asked there before anything is written: expected --yes (or --dry-run)")}

// permission makes sure, before anything is read, that the question of a writing command can be
// answered.
func (a *app) permission(dryRun bool) error {
	if dryRun || a.flags.Yes || isTerminal(os.Stdin) {
		return nil
	}
	return errNoYes
}

// ask asks the question, which is about path, unless --yes has answered it. The error is the refusal
// of an answer that is not yes, or of an interruption.
func (a *app) ask(path, question string, args ...any) error {
	a.tell()
	answer := "yes"
	if !a.flags.Yes {
		fmt.Fprintf(a.stderr, "dmcow: %s: %s [y/N] ", words.Printable(path), fmt.Sprintf(question, args...))
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

// over says what is written over, to begin a question with; it is empty for nothing.
func over(loss string) string {
	if loss == "" {
		return ""
	}
	return loss + ": "
}
