package snapshot

import (
	"errors"
	"fmt"

	"dmcow/internal/device"
	"dmcow/internal/signature"
	"dmcow/store"
	"dmcow/store/look"
)

// Target is a COW device that is to be written: all plans have one but an [Export]. In a dry run it is open
// for reading only.
type Target struct {
	COW  *COW
	Loss string // what of worth a new store is written over; empty for nothing

	session *Session
	out     *device.Writable // nil in a dry run
	whole   *device.Writable // what out is a part of, or out itself
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
	if err := n.checkWritable(); err != nil {
		return nil, err
	}
	c, err := s.openToLook(n, r)
	if err != nil {
		return nil, err
	}
	return orClose(&Target{COW: c, session: s}, failed(n.Text, WrongUse, c.Device.CheckStart()))
}

// targetOn identifies a COW device that was opened for writing. It closes it where that cannot be done.
func (s *Session) targetOn(c *COW, d *device.Writable, chunk uint32) (*Target, error) {
	whole := d
	c.Device = &d.Device
	err := s.identify(c, chunk)
	if err == nil && c.Part.IsGiven() {
		d, err = d.Section(int64(c.Part.Offset), c.Device.Size())
		err = failed(c.Text, WrongUse, err)
	}
	if err == nil {
		s.detail(c.Text, "%d bytes, logical blocks of %d bytes, open for exclusive use", d.Size(), d.LogicalBlockSize())
	}
	return orClose(&Target{COW: c, session: s, out: d, whole: whole}, err)
}

func (s *Session) openTarget(r WriteRequest) (*Target, error) {
	n, err := s.find(r.COW, !r.DryRun)
	if err == nil {
		err = n.checkNotMerging()
	}
	if err != nil {
		return nil, err
	}
	return s.target(n, r.Request, r.DryRun)
}

// Close closes the device.
func (t *Target) Close() { t.COW.Close() }

// checkRoom refuses a target that is too small for a new store.
func (t *Target) checkRoom() error {
	return failed(t.COW.Text, Damaged, look.CheckFits(t.COW.Device, t.COW.Fresh))
}

// checkWorth refuses to write over something of worth that the target holds, unless that is forced.
func (t *Target) checkWorth(force bool) (err error) {
	switch t.Loss, err = t.holds(); {
	case err != nil && !force:
		return refuse(t.COW.Text, Unreadable, err)
	case err != nil:
		t.Loss = "it cannot be read to its end"
	case t.Loss != "" && !force:
		return refuse(t.COW.Text, Foreign, errors.New("refused: "+t.Loss), ForceOver)
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
		return fmt.Sprintf("it holds a COW store (%s)", id.State), nil
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
		return "it holds " + bears, nil
	case t.COW.Identity.Leftover:
		return "the first 4096 bytes are zero, what follows is not: a new LVM snapshot on old blocks, or a lost header", nil
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
type Initialize struct{ *Target }

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
	return orClose(&Initialize{t}, err)
}

// Do writes the store. The error is a [*Refusal].
func (p *Initialize) Do() error {
	if err := checkReal(p.COW.Text, p.out == nil); err != nil {
		return err
	}
	return written(p.COW.Text, store.Initialize(p.out, p.COW.Fresh, p.session.options.Interrupted), noStore)
}

// noStore is what an interruption leaves of a new store.
const noStore = "no store was written; run the same command again"

// Invalidate is a snapshot that is to be marked invalid.
type Invalidate struct {
	*Target
	Marked bool // already
}

// PlanInvalidate looks at what is to be marked. The error is a [*Refusal].
func (s *Session) PlanInvalidate(r WriteRequest) (*Invalidate, error) {
	t, err := s.openTarget(r)
	if err != nil {
		return nil, err
	}
	return orClose(&Invalidate{t, t.COW.Identity.State == look.Invalid}, t.COW.checkStore("no snapshot to mark"))
}

// Do marks the snapshot. The error is a [*Refusal].
func (p *Invalidate) Do() error {
	if err := checkReal(p.COW.Text, p.out == nil); err != nil {
		return err
	}
	return written(p.COW.Text, store.Invalidate(p.out))
}
