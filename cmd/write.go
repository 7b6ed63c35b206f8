package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"dmcow/internal/device"
	"dmcow/store"
)

// writing is the flags of every command that writes.
type writing struct {
	section `embed:""`
	DryRun  bool `help:"Print what would be done, and write nothing."`
}

// errNoYes is wrong use: there is nobody to ask.
var errNoYes = usageError{errors.New("standard input is no terminal, to be asked there before anything is written: expected --yes (or --dry-run)")}

// permission makes sure, before anything is read, that the question of a
// writing command can be answered.
func (a *app) permission(w writing) error {
	if w.DryRun || a.flags.Yes || isTerminal(os.Stdin) {
		return nil
	}
	return errNoYes
}

// ask asks the question, which is about path, unless --yes has answered it. The
// error is the failure of an answer that is not yes.
func (a *app) ask(path, question string, args ...any) error {
	if a.flags.Yes {
		return nil
	}
	fmt.Fprintf(a.stderr, "dmcow: %s: %s [y/N] ", printable(path), fmt.Sprintf(question, args...))
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of input is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{path, statusFailed, errors.New("not confirmed: nothing was written")}
}

// target is a COW device that is to be written. In a dry run it is open for
// reading only.
type target struct {
	*cow
	out      *device.Writable // nil in a dry run
	growable bool             // an image file that may become as large as it has to
	made     bool             // an image file that this run made
}

// openTarget opens a COW device for writing, as openCOW does for reading.
func (a *app) openTarget(path string, w writing, chunk chunkSize) (*target, error) {
	if w.DryRun {
		c, err := a.openCOW(path, w.section, chunk)
		return &target{cow: c}, err
	}
	d, err := device.OpenWritable(path)
	if err != nil {
		return nil, &failure{path, statusFailed, err}
	}
	return a.target(path, d, w, chunk)
}

// target identifies a COW device that was opened for writing. It closes it
// where that cannot be done.
func (a *app) target(path string, d *device.Writable, w writing, chunk chunkSize) (*target, error) {
	c := &cow{path: path, device: &d.Device}
	err := a.identify(c, w.section, chunk)
	if err == nil && w.given() {
		d, err = d.Section(int64(w.Offset), c.device.Size())
	}
	if err != nil {
		c.close()
		return nil, err
	}
	a.verbose(path, "%d bytes, logical blocks of %d bytes, open for exclusive use", d.Size(), d.LogicalBlockSize())
	return &target{cow: c, out: d}, nil
}

// refuse is the failure of a command that is to write a new store over what the
// target holds, nil where that is nothing, or where force is given. What is too
// small is refused in any case.
func (a *app) refuse(t *target, force bool) error {
	if err := store.Fits(t.device, t.fresh); err != nil && !t.growable {
		return &failure{t.path, a.outcomes.damaged, err}
	}
	if force {
		return nil
	}
	what, err := t.worth()
	switch {
	case err != nil:
		return a.unreadable(t.path, err)
	case what != "":
		return &failure{t.path, a.outcomes.foreign, fmt.Errorf("refused: %s; --force writes over it", what)}
	}
	return nil
}

// worth says what a target holds that may be of worth; it is empty where there
// is nothing. The error is one of reading.
func (t *target) worth() (string, error) {
	blank := t.size() == 0
	switch id := t.id; id.State {
	case store.Valid, store.Invalid:
		return fmt.Sprintf("it holds a COW store, %s", id.State), nil
	case store.Uninitialized:
		blank = !id.Leftover
	case store.Damaged:
		if id.Header.Magic != 0 {
			return "it holds a damaged COW store: " + id.Fault, nil
		}
		blank = blank || id.Blank // and too small, which growing mends
	}
	signature, err := t.device.Signature()
	switch {
	case err != nil:
		return "", err
	case signature != "":
		return "it has the signature of " + signature, nil
	case t.id.Leftover:
		return "it is not blank behind the first 4096 bytes: a new LVM snapshot over old blocks, or a store whose header was wiped", nil
	case !blank:
		return "it is not blank", nil
	}
	return "", nil
}

// done makes a failure of the error with which writing ended, if it is one.
func (a *app) done(path string, err error) error {
	var s *store.StateError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInterrupted):
		return ended(path, err)
	case errors.As(err, &s):
		return &failure{path, a.outcomes.of(s.State), err}
	}
	return &failure{path, statusFailed, err}
}
