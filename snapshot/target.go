package snapshot

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/signature"
	"dmcow/store"
	"dmcow/store/look"
)

// Target is a COW device that is to be written. In a dry run it is open for reading only.
type Target struct {
	COW      *COW
	out      *device.Writable // nil in a dry run
	whole    *device.Writable // what out is a part of, or out itself
	growable bool             // an image file that may become as large as it has to
	made     bool             // an image file that this session made
	stream   bool             // there is none: what is made goes to a stream
	worth    string           // what it holds that may be of worth, found by checkWorth; empty for nothing
}

// target opens a COW device to be written. In a dry run it is opened for reading, if it could be written.
func (s *Session) target(n Name, r Request, dryRun bool) (*Target, error) {
	if err := checkCOWName(n, r.Part); err != nil {
		return nil, err
	}
	if dryRun {
		return s.targetToForetell(n, r)
	}
	d, err := n.openToWrite()
	if err != nil {
		return nil, err
	}
	return s.targetOn(&COW{Name: n, Part: r.Part}, d, r.ChunkSectors)
}

func (s *Session) targetToForetell(n Name, r Request) (*Target, error) {
	if n.Volume != nil {
		if err := n.Volume.RefuseWriting(); err != nil {
			return nil, refuse(n.Text, Unable, err)
		}
	}
	c, err := s.look(n, r)
	if err != nil {
		return nil, err
	}
	if err := c.Device.WholeBlocks(); err != nil {
		c.Close()
		return nil, refuse(n.Text, WrongUse, err)
	}
	return &Target{COW: c}, nil
}

// targetOn identifies a COW device that was opened for writing. It closes it where that cannot be
// done.
func (s *Session) targetOn(c *COW, d *device.Writable, chunk uint32) (*Target, error) {
	whole := d
	c.Device = &d.Device
	err := s.identify(c, chunk)
	if err == nil && c.Part.IsGiven() {
		if d, err = d.Section(int64(c.Part.Offset), c.Device.Size()); err != nil {
			err = refuse(c.Text, WrongUse, err)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	s.detail(c.Text, "%d bytes, logical blocks of %d bytes, open for exclusive use", d.Size(), d.LogicalBlockSize())
	return &Target{COW: c, out: d, whole: whole}, nil
}

// Close closes the device.
func (t *Target) Close() { t.COW.Close() }

// checkRoom refuses a target that is too small for a new store.
func (t *Target) checkRoom() error {
	if err := look.Fits(t.COW.Device, t.COW.Fresh); err != nil && !t.growable {
		return refuse(t.COW.Text, Damaged, err)
	}
	return nil
}

// checkWorth refuses to write over something of worth that the target holds, unless that is
// forced.
func (t *Target) checkWorth(force bool) error {
	var err error
	switch t.worth, err = t.holds(); {
	case err != nil && !force:
		return refuse(t.COW.Text, Unreadable, err)
	case err != nil:
		t.worth = "it cannot be read whole"
	case t.worth != "" && !force:
		return refuse(t.COW.Text, Foreign, errors.New("refused: "+t.worth), ForceOver)
	}
	return nil
}

// holds says what a target holds that may be of worth; it is empty where there is nothing. The
// error is one of reading.
func (t *Target) holds() (string, error) {
	blank := t.COW.Identity.Blank // which may be too small: growing mends that
	switch id := t.COW.Identity; {
	case id.Unfinished:
		return "", nil // whatever the data that were written before look like
	case id.State == look.Valid, id.State == look.Invalid:
		return fmt.Sprintf("it holds a COW store, %s", id.State), nil
	case id.State == look.Uninitialized:
		blank = !id.Leftover
	case id.State == look.Damaged && id.Header.Magic != 0:
		return "it holds a damaged COW store: " + id.Fault, nil
	}
	if t.COW.Container != "" {
		return "it " + t.COW.Container, nil
	}
	bears, err := signature.Of(t.COW.Device)
	switch {
	case err != nil:
		return "", err
	case bears != "":
		return "it has the signature of " + bears, nil
	case t.COW.Identity.Leftover:
		return "it is not blank behind the first 4096 bytes: a new LVM snapshot over old blocks, or a store whose header was wiped", nil
	case !blank:
		return "it is not blank", nil
	}
	return "", nil
}

// written makes a refusal of the error with which writing ended, if it is one.
func written(name string, err error, then ...string) error {
	var s *look.StateError
	if errors.As(err, &s) {
		return refuse(name, CodeOf(s.State), err)
	}
	return failed(name, Unable, err, then...)
}

// Initialize is an empty store that is to be written.
type Initialize struct {
	COW          *COW
	Loss         string // what it is written over that may be of worth; empty for nothing
	ChunkSectors format.Sectors

	session *Session
	target  *Target
}

// WriteRequest names a COW device that is to be written to.
type WriteRequest struct {
	Request
	DryRun bool // open nothing for writing
	Force  bool // write over whatever it holds
}

// PlanInitialize looks at what is to hold an empty store. The error is a [*Refusal].
func (s *Session) PlanInitialize(r WriteRequest) (*Initialize, error) {
	t, err := s.openTarget(r)
	if err != nil {
		return nil, err
	}
	if err = t.checkRoom(); err == nil {
		err = t.checkWorth(r.Force)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return &Initialize{COW: t.COW, Loss: t.worth, ChunkSectors: t.COW.Fresh.ChunkSectors(), session: s, target: t}, nil
}

// openTarget opens a COW device to be written by its name.
func (s *Session) openTarget(r WriteRequest) (*Target, error) {
	n, err := s.find(r.COW, !r.DryRun)
	if err != nil {
		return nil, err
	}
	return s.target(n, r.Request, r.DryRun)
}

// Close closes the device.
func (p *Initialize) Close() { p.target.Close() }

// Do writes the store. The error is a [*Refusal].
func (p *Initialize) Do() error {
	if err := foretold(p.COW.Text, p.target.out == nil); err != nil {
		return err
	}
	err := store.Initialize(p.target.out, p.COW.Fresh, p.session.interrupted)
	return written(p.COW.Text, err, noStore)
}

// noStore is what an interruption leaves of a new store.
const noStore = "there is no store; run the same command again"

// Invalidate is a snapshot that is to be marked invalid.
type Invalidate struct {
	COW    *COW
	Marked bool // already

	target *Target
}

// PlanInvalidate looks at what is to be marked. The error is a [*Refusal].
func (s *Session) PlanInvalidate(r WriteRequest) (*Invalidate, error) {
	t, err := s.openTarget(r)
	if err != nil {
		return nil, err
	}
	p := &Invalidate{COW: t.COW, target: t}
	switch id := t.COW.Identity; id.State {
	case look.Valid:
		return p, nil
	case look.Invalid:
		p.Marked = true
		return p, nil
	case look.Uninitialized:
		err = refusef(t.COW.Text, Blank, "%s: there is no snapshot to mark", id.State)
	default:
		err = refuse(t.COW.Text, CodeOf(id.State), errors.New(id.Fault))
	}
	t.Close()
	return nil, err
}

// Close closes the device.
func (p *Invalidate) Close() { p.target.Close() }

// Do marks the snapshot. The error is a [*Refusal].
func (p *Invalidate) Do() error {
	if err := foretold(p.COW.Text, p.target.out == nil); err != nil {
		return err
	}
	return written(p.COW.Text, store.Invalidate(p.target.out))
}
