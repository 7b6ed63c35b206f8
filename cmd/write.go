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
	section    `embed:""`
	writingLVM `embed:""`
	DryRun     bool `help:"Print what would be done, and write nothing."`
}

// writingLVM is the flags of what writes to a volume group of LVM.
type writingLVM struct {
	ForeignHost string `placeholder:"NAME" help:"Write also to a volume group that belongs to the host with this system ID."`
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
// error is the failure of an answer that is not yes, or of an interruption.
func (a *app) ask(path, question string, args ...any) error {
	answer := "yes"
	if !a.flags.Yes {
		fmt.Fprintf(a.stderr, "dmcow: %s: %s [y/N] ", printable(path), fmt.Sprintf(question, args...))
		answer = a.answer()
	}
	if a.ctx.Err() != nil {
		return &failure{path, statusInterrupted, fmt.Errorf("%w: nothing was written", errInterrupted)}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{path, statusFailed, errors.New("not confirmed: nothing was written")}
}

// answer is the next line of standard input, or what there is before its end. It
// does not wait for one when the run is to end.
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

// target is a COW device that is to be written. In a dry run it is open for
// reading only.
type target struct {
	*cow
	out      *device.Writable // nil in a dry run
	whole    *device.Writable // what out is a section of, or out itself
	growable bool             // an image file that may become as large as it has to
	made     bool             // an image file that this run made
	stream   bool             // standard output: out is nil
	worth    string           // what it holds that may be of worth, set by refuse; empty for nothing
}

// openTarget opens a COW device for writing, as openCOW does for reading.
func (a *app) openTarget(path string, w writing, chunk chunkSize) (*target, error) {
	n, err := a.named(path, w.volumes, !w.DryRun)
	if err != nil {
		return nil, err
	}
	return a.openNamedTarget(n, w, chunk)
}

// openNamedTarget is openTarget of a name that is known.
func (a *app) openNamedTarget(n named, w writing, chunk chunkSize) (*target, error) {
	if err := a.asCOW(n, w.section); err != nil {
		return nil, err
	}
	if w.DryRun {
		return a.openToForetell(n, w, chunk)
	}
	d, err := n.openToWrite()
	if err != nil {
		return nil, err
	}
	return a.target(&cow{named: n}, d, w, chunk)
}

// openToForetell opens a COW device for a dry run: for reading, if it could be written.
func (a *app) openToForetell(n named, w writing, chunk chunkSize) (*target, error) {
	if n.volume != nil {
		if err := n.volume.RefuseWriting(); err != nil {
			return nil, &failure{n.path, statusFailed, err}
		}
	}
	c, err := a.openNamed(n, w.section, chunk)
	if err != nil {
		return nil, err
	}
	if err := c.device.WholeBlocks(); err != nil {
		c.close()
		return nil, &failure{n.path, statusWrongUse, err}
	}
	return &target{cow: c}, nil
}

// target identifies a COW device that was opened for writing. It closes it
// where that cannot be done.
func (a *app) target(c *cow, d *device.Writable, w writing, chunk chunkSize) (*target, error) {
	path, whole := c.path, d
	c.device = &d.Device
	err := a.identify(c, w.section, chunk)
	if err == nil && w.given() {
		if d, err = d.Section(int64(w.Offset), c.device.Size()); err != nil {
			err = &failure{path, statusWrongUse, err}
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	a.verbose(path, "%d bytes, logical blocks of %d bytes, open for exclusive use", d.Size(), d.LogicalBlockSize())
	return &target{cow: c, out: d, whole: whole}, nil
}

// refuse refuses a command that is to write a new store over what the
// target holds, nil where that is nothing, or where force is given. What is too
// small is refused in any case.
func (a *app) refuse(t *target, force bool) error {
	if err := store.Fits(t.device, t.fresh); err != nil && !t.growable {
		return &failure{t.path, a.outcomes.damaged, err}
	}
	return a.refuseWorth(t, force)
}

// refuseWorth refuses a command that is to write over something of worth that
// the target holds, nil where there is nothing, or where force is given.
func (a *app) refuseWorth(t *target, force bool) error {
	var err error
	switch t.worth, err = t.holds(); {
	case err != nil && !force:
		return a.unreadable(t.path, err)
	case err != nil:
		t.worth = "it cannot be read whole"
	case t.worth != "" && !force:
		return &failure{t.path, a.outcomes.foreign, fmt.Errorf("refused: %s; --force writes over it", t.worth)}
	}
	return nil
}

// holds says what a target holds that may be of worth; it is empty where there
// is nothing. The error is one of reading.
func (t *target) holds() (string, error) {
	blank := t.id.Blank // which may be too small: growing mends that
	switch id := t.id; {
	case id.Unfinished:
		return "", nil // whatever the data that were written before look like
	case id.State == store.Valid, id.State == store.Invalid:
		return fmt.Sprintf("it holds a COW store, %s", id.State), nil
	case id.State == store.Uninitialized:
		blank = !id.Leftover
	case id.State == store.Damaged && id.Header.Magic != 0:
		return "it holds a damaged COW store: " + id.Fault, nil
	}
	if t.container != "" {
		return "it " + t.container, nil
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
	case errors.As(err, &s):
		return &failure{path, a.outcomes.of(s.State), err}
	}
	return &failure{path, statusFailed, err}
}
