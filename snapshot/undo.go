package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/store/undo"
)

// undoing is the undo log of a change: there is none where its name is empty.
type undoing struct {
	session  *Session
	name     string
	changed  *device.Device   // what is going to be changed
	apart    []*device.Device // what else it must not be kept on
	geometry format.Geometry  // of a new one
	chunks   uint64           // how many it captures, at most
	kept     bool             // the change leaves the store that it merges as it is
	missing  bool             // there was no file for it

	undo *undo.Log // nil if there is none
	log  *Target
	made bool // the log, by this session
	done bool // the change has been made
}

// check refuses a file or device in which no undo log of the change can be kept. It looks only;
// what is not there yet can be made.
func (u *undoing) check() error {
	if u.name == "" {
		return nil
	}
	if _, err := os.Stat(u.name); errors.Is(err, fs.ErrNotExist) {
		u.missing = true
		return failed(u.name, Unable, device.CheckCreatable(u.name))
	}
	c, err := u.session.look(Name{Text: u.name}, Request{}) // a path, whatever it looks like
	if err != nil {
		return err
	}
	defer c.Close()
	for _, d := range append([]*device.Device{u.changed}, u.apart...) {
		if c.Device.Overlaps(d) {
			return refusef(u.name, Unable, "overlaps %s", words.Printable(d.Path()))
		}
	}
	isUndo, err := undo.IsLog(c.Device)
	switch {
	case err != nil:
		return failed(u.name, Unable, err)
	case isUndo:
		return u.session.checkBelongs(c, u.changed, true)
	}
	what, err := (&Target{COW: c}).holds()
	if err == nil && what != "" {
		err = errors.New(what)
	}
	if c.Device.IsBlock() { // an image file grows
		if err := u.checkRoom(c.Size()); err != nil {
			return err
		}
	}
	if err != nil {
		err = fmt.Errorf("refused: not an undo log, and dmcow does not write over it: %w", err)
	}
	return failed(u.name, Unable, err)
}

// checkRoom refuses a device that may be too small for the log.
func (u *undoing) checkRoom(size format.Bytes) error {
	need := undo.Size(u.geometry, u.chunks)
	if size >= need {
		return nil
	}
	return refusef(u.name, Unable, "too small for the undo log: it needs up to %d sectors, the device has %d", need.Sectors(), size.Sectors())
}

// nameIt gives the log of a change of a device, which nobody has named, a name that begins with
// base: of a new file, or of the log of an earlier change of the same device, which goes on.
func (u *undoing) nameIt(of *COW) error {
	const most = 1000
	base := of.logName()
	for n := 0; ; n++ {
		u.name = base + ".undo"
		if n > 0 {
			u.name = fmt.Sprintf("%s.%d.undo", base, n)
		}
		err := u.check()
		if u.missing && err != nil || n == most {
			return refuse(u.name, Unable, errors.Unwrap(err), NoUndo)
		}
		if err == nil {
			if !u.missing {
				u.session.note(of.Text, Fine, "continues the undo log %s of an earlier change", words.Printable(u.name))
			}
			return nil
		}
	}
}

// undoIn is the name of an undo log for a change of a device, which was given the name of the log, or of a directory
// for it.
func (n Name) undoIn(name string) string {
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		return name
	}
	return filepath.Join(name, n.logName()+".undo")
}

// logName is the beginning of a log's name, in the current directory: the name of a file there, and of others
// all of the path, with dashes in place of slashes and dashes doubled, so that the logs of two paths never have
// the same one. Of a logical volume it is what device-mapper would name it. (Where that is the name of
// another's log, that one is not taken for its own, and it gets the next free name.)
func (n Name) logName() string {
	flat := strings.NewReplacer("-", "--", "/", "-")
	if n.Volume != nil {
		return flat.Replace(n.Text)
	}
	whole, err := filepath.Abs(n.Text)
	here, herr := os.Getwd()
	if err != nil || herr != nil || filepath.Dir(whole) == here {
		return filepath.Base(n.Text)
	}
	return flat.Replace(strings.TrimPrefix(whole, "/"))
}

// open opens the undo log, or makes one. to is what is going to be changed.
func (u *undoing) open(to *device.Writable) error {
	if u.name == "" {
		return nil
	}
	d, created, err := device.CreateWritable(u.name)
	if err != nil {
		return failed(u.name, Unable, err)
	}
	if u.missing && !created {
		d.Close()
		return refusef(u.name, Unable, "another program has just made this file")
	}
	if u.log, err = u.session.targetOn(&COW{Name: Name{Text: u.name}}, d, 0); err != nil {
		return err
	}
	u.made = created
	isUndo, err := undo.IsLog(u.log.COW.Device)
	switch {
	case err != nil:
	case isUndo:
		u.undo, err = u.resume(d, to)
	default:
		u.undo, err = undo.New(d, to, u.geometry, undo.Options{Grow: growing(d), Kept: u.kept})
	}
	return failed(u.name, Unable, err, "nothing was changed")
}

func (u *undoing) resume(d, to *device.Writable) (*undo.Log, error) {
	w := u.session.walking(u.log.COW)
	defer w.End()
	return undo.Open(d, to, undo.Options{Grow: growing(d), Kept: u.kept, Visit: w.area})
}

// explain says which stretches of what is changed the log explains, by what an earlier run has left in it.
func (u *undoing) explain(all []undo.Stretch) ([]bool, error) {
	none := make([]bool, len(all))
	if u.name == "" || u.missing && u.log == nil {
		return none, nil
	}
	c := (*COW)(nil)
	if u.log != nil {
		c = u.log.COW
	} else {
		var err error
		if c, err = u.session.look(Name{Text: u.name}, Request{}); err != nil {
			return nil, err
		}
		defer c.Close()
	}
	explained, err := undo.Explain(c.Device, all)
	if errors.Is(err, undo.ErrNoLog) {
		return none, nil
	}
	return explained, err
}

// end notes in the log that it has all that there is to keep of a change, which ended with an error
// or without. The error is that, or a refusal.
func (u *undoing) end(err error) error {
	if u.undo == nil {
		return err
	}
	u.done = err == nil
	closed := failed(u.name, Unable, u.undo.Close())
	if err == nil {
		return closed
	}
	if closed != nil {
		u.session.note(u.name, Unable, "%v", errors.Unwrap(closed))
	}
	return err
}

// isUnused reports whether a log was made for a change that then did not begin.
func (u *undoing) isUnused() bool { return u.made && !u.done && (u.undo == nil || u.undo.IsEmpty()) }

// close closes the log. One that is unused is removed.
func (u *undoing) close() {
	switch {
	case u.log == nil:
	case u.isUnused():
		if err := u.log.out.Abandon(); err != nil {
			u.session.note(u.name, Fine, "it is empty and cannot be removed: %v", err)
		}
	default:
		u.log.Close()
	}
}

// checkBelongs refuses a device that an undo log does not belong to. With sample, it looks at some of the log.
func (s *Session) checkBelongs(log *COW, to *device.Device, sample bool, remedies ...Deed) error {
	w := s.walking(log)
	defer w.End()
	err := undo.CheckBelongs(log.Device, to, sample, w.area)
	switch {
	case errors.As(err, new(*undo.CutOffError)):
		return refuse(log.Text, Damaged, fmt.Errorf("refused: %w", err), remedies...)
	case errors.As(err, new(*undo.ForeignError)):
		return refuse(to.Path(), Unable, fmt.Errorf("refused: %w", err), remedies...)
	}
	return failed(log.Text, Unreadable, err, nothingWritten)
}

// growing makes an image file as large as it has to be; it is nil for a block device.
func growing(d *device.Writable) func(format.Bytes) error {
	if d.IsBlock() {
		return nil
	}
	return func(size format.Bytes) error { return d.Grow(max(int64(size), d.Size())) }
}

// undoGeometry is the geometry of an undo log with chunks of so many sectors, as far as it may have them.
func undoGeometry(n format.Sectors) format.Geometry {
	g, err := format.NewGeometry(uint32(min(n, undo.MaxChunk)))
	if err != nil {
		panic(err) // both are powers of two
	}
	return g
}
