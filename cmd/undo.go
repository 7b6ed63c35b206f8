package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

// undoing is the undo log of a change: there is none where its name is empty.
type undoing struct {
	app      *app
	name     string
	changed  *device.Device   // what is going to be changed
	apart    []*device.Device // what else it must not be kept on
	geometry format.Geometry  // of a new one
	chunks   uint64           // how many it captures, at most
	kept     bool             // the change leaves the store that it merges as it is
	missing  bool             // there was no file for it

	undo *store.Undo // nil where there is none
	log  *target
	made bool // the log, by this run
	done bool // the change has been made
}

// refuse refuses a file or device in which no undo log of the change can be
// kept. It looks only; what is not there yet can be made.
func (u *undoing) refuse() error {
	if u.name == "" {
		return nil
	}
	if _, err := os.Stat(u.name); errors.Is(err, fs.ErrNotExist) {
		u.missing = true
		return undoFailure(u.name, device.Creatable(u.name))
	}
	c, err := u.app.openCOW(u.name, section{}, 0)
	if err != nil {
		return err
	}
	defer c.close()
	for _, d := range append([]*device.Device{u.changed}, u.apart...) {
		if c.device.Overlaps(d) {
			return undoFailure(u.name, fmt.Errorf("is kept on the same bytes as %s", printable(d.Path())))
		}
	}
	isUndo, err := store.IsUndo(c.device)
	switch {
	case err != nil:
		return undoFailure(u.name, err)
	case isUndo:
		return u.app.belongs(c, u.changed, true, "")
	}
	what, err := (&target{cow: c}).holds()
	if err == nil && what != "" {
		err = errors.New(what)
	}
	need := store.UndoSize(u.geometry, u.chunks)
	if c.device.IsBlock() && c.size() < need {
		return undoFailure(u.name, fmt.Errorf("too small for the undo log, which takes up to %d sectors: it has %d", need.Sectors(), c.size().Sectors()))
	}
	if err != nil {
		err = fmt.Errorf("refused: is no undo log, and not to be written over: %w", err)
	}
	return undoFailure(u.name, err)
}

// nameIt gives the log of a change of the device at path, which nobody has named, a name
// that begins with base: that of a new file, or of the log of an earlier change of the same
// device, which goes on.
func (u *undoing) nameIt(path, base string) error {
	const most = 1000
	for n := 0; ; n++ {
		u.name = base + ".undo"
		if n > 0 {
			u.name = fmt.Sprintf("%s.%d.undo", base, n)
		}
		err := u.refuse()
		if u.missing && err != nil || n == most {
			return &failure{u.name, statusFailed, fmt.Errorf("%w: expected --undo FILE, in a directory that can be written, or --no-undo", errors.Unwrap(err))}
		}
		if err == nil {
			if !u.missing {
				u.app.say(path, "goes on with %s, the undo log of an earlier change of it", printable(u.name))
			}
			return nil
		}
	}
}

// logName is the beginning of a log's name, in the current directory: the name of a file
// there, and of others all of the path, with dashes in place of slashes and dashes doubled,
// so that the logs of two paths never have the same one. Of a logical volume it is what
// device-mapper would name it. (Where that is the name of another's log, that one is not taken for
// its own, and it gets the next free name.)
func (c *cow) logName() string {
	path, flat := c.path, strings.NewReplacer("-", "--", "/", "-")
	if c.volume != nil {
		return flat.Replace(path)
	}
	whole, err := filepath.Abs(path)
	here, herr := os.Getwd()
	if err != nil || herr != nil || filepath.Dir(whole) == here {
		return filepath.Base(path)
	}
	return flat.Replace(strings.TrimPrefix(whole, "/"))
}

// undoFailure makes a failure of an error about an undo log, if it is one.
func undoFailure(name string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{name, statusFailed, err}
}

// open opens the undo log, or makes one. to is what is going to be changed.
func (u *undoing) open(to *device.Writable) error {
	if u.name == "" {
		return nil
	}
	d, created, err := device.CreateWritable(u.name)
	if err != nil {
		return undoFailure(u.name, err)
	}
	if u.missing && !created {
		d.Close()
		return undoFailure(u.name, errors.New("was not there before, and is now: somebody else has made it"))
	}
	if u.log, err = u.app.target(&cow{named: named{path: u.name}}, d, writing{}, 0); err != nil {
		return err
	}
	u.made = created
	isUndo, err := store.IsUndo(u.log.device)
	switch {
	case err != nil:
	case isUndo:
		u.undo, err = u.resume(d, to)
	default:
		u.undo, err = store.NewUndo(d, to, u.geometry, store.UndoOptions{Grow: growing(d), Kept: u.kept})
	}
	if errors.Is(err, errInterrupted) {
		return &failure{u.name, statusInterrupted, fmt.Errorf("%w: nothing was changed", err)}
	}
	return undoFailure(u.name, err)
}

// resume opens a log that is there.
func (u *undoing) resume(d, to *device.Writable) (*store.Undo, error) {
	p := u.app.walking(u.log.cow, true)
	defer p.end()
	return store.OpenUndo(d, to, store.UndoOptions{Grow: growing(d), Kept: u.kept, Visit: p.area})
}

// end notes in the log that it has all that there is to keep of a change, which ended with an error
// or without. The error is that, or a failure.
func (u *undoing) end(err error) error {
	if u.undo == nil {
		return err
	}
	u.done = err == nil
	return u.app.both(err, undoFailure(u.name, u.undo.Close()))
}

// isUnused reports whether a log was made for a change that then did not begin.
func (u *undoing) isUnused() bool { return u.made && !u.done && (u.undo == nil || u.undo.IsEmpty()) }

// belongs refuses a device that an undo log does not belong to, which a hint may be
// added to. With sample, it looks at some of the log.
func (a *app) belongs(log *cow, to *device.Device, sample bool, hint string) error {
	p := a.walking(log, true)
	defer p.end()
	err := store.Belongs(log.device, to, sample, p.area)
	var cut *store.CutOffUndoError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInterrupted):
		return &failure{log.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case errors.As(err, &cut):
		return &failure{log.path, a.outcomes.damaged, fmt.Errorf("refused: %w%s", err, hint)}
	case errors.As(err, new(*store.ForeignUndoError)):
		return &failure{to.Path(), statusFailed, fmt.Errorf("refused: %w%s", err, hint)}
	}
	return a.unreadable(log.path, err)
}

// close closes the log. One that is unused is removed.
func (u *undoing) close() {
	switch {
	case u.log == nil:
	case u.isUnused():
		if err := u.log.out.Abandon(); err != nil {
			u.app.say(u.name, "nothing was captured in it, and it cannot be removed: %v", err)
		}
	default:
		u.log.close()
	}
}

// growing makes an image file as large as it has to be; it is nil for a block device.
func growing(d *device.Writable) func(format.Bytes) error {
	if d.IsBlock() {
		return nil
	}
	return func(size format.Bytes) error { return d.Grow(max(int64(size), d.Size())) }
}

// undoGeometry is that of an undo log with chunks of so many sectors, as far as it may
// have them.
func undoGeometry(n format.Sectors) format.Geometry {
	g, err := format.NewGeometry(uint32(min(n, store.MaxUndoChunk)))
	if err != nil {
		panic(err) // both are powers of two
	}
	return g
}
