package snapshot

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/view"
)

// Whole is a device that is read as it is: a logical volume that is not a snapshot, or a COW device.
type Whole struct {
	Name
	Device *device.Device

	what    What
	live    bool
	session *Session
	claims  []func() // give back what was claimed
}

// plain opens a logical volume that is not a snapshot. Where it is active here, the kernel's device is read, which
// shows what is still in a cache of the kernel's, too.
func (s *Session) plain(name Name, r ViewRequest) (*Whole, error) {
	v := name.Volume
	if v.IsInternal() {
		return nil, ofVolume(name.Text, v.NoSnapshot())
	}
	if r.Origin != "" || r.Part.IsGiven() {
		return nil, refusef(name.Text, WrongUse, "%w: it can only be read as it is, without --origin, --offset and --size", v.NoSnapshot())
	}
	if of := v.Snapshots(); len(of) > 0 {
		s.note(name.Text, Fine, "is read as it is now: it is the origin of %s", strings.Join(of, ", "))
	}
	w := &Whole{Name: name, what: OfVolume, live: r.Live, session: s}
	var err error
	if m := v.Shown(inuse.Mappings()); m != nil {
		w.Volume = nil
		w.Device, err = volume.OpenMapping(m)
		err = failed(name.Text, Unreadable, err)
	} else {
		w.Device, err = s.open(name)
	}
	return w.claimed(err)
}

// store opens a COW device as it is, whatever is on it.
func (s *Session) store(name Name, r ViewRequest) (*Whole, error) {
	if err := checkCOWName(name, r.Part); err != nil {
		return nil, err
	}
	w := &Whole{Name: name, what: OfStore, live: r.Live, session: s}
	d, err := s.open(name)
	if err != nil {
		return nil, err
	}
	w.Device = d
	if what, err := containerOf(d); err == nil && what != "" {
		s.note(name.Text, Fine, "%s; it is copied as it is", what)
	}
	if err = (&COW{Name: name, Device: d}).checkNoView(); err == nil {
		w.Device, err = d.Section(int64(r.Part.Offset), r.Part.length())
		err = failed(name.Text, WrongUse, err)
	}
	return w.claimed(err)
}

// claimed is a device that was opened, kept from those who would write to it, or with an error nothing.
func (w *Whole) claimed(err error) (*Whole, error) {
	if w.Device == nil {
		return nil, err
	}
	if err == nil && !w.live {
		err = w.claim()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *Whole) claim() error {
	if err := checkUnused(w.Text, w.users()); err != nil {
		return err
	}
	release, err := claimDevice(w.Name, w.Device, true)
	if release != nil {
		w.claims = append(w.claims, release)
	}
	return err
}

// users are those who may write to it. Whoever has an active snapshot's COW device may: the kernel.
func (w *Whole) users() []string {
	if w.what == OfStore {
		return w.Device.Holders()
	}
	return w.Device.Writers()
}

// ReadAt reads the device.
func (w *Whole) ReadAt(p []byte, offset int64) (int, error) {
	n, err := w.Device.ReadAt(p, offset)
	if n < len(p) && err != nil && offset+int64(n) < w.Size() {
		err = &readError{offset + int64(n), err}
	}
	return n, err
}

// Size is the size of the device, in bytes.
func (w *Whole) Size() int64 { return w.Device.Size() }

// About is the name of the device.
func (w *Whole) About() string { return w.Text }

// What is what is read of the name.
func (w *Whole) What() What { return w.what }

// Uncertain are none: all of it is as it is.
func (w *Whole) Uncertain() iter.Seq[view.Range] { return func(func(view.Range) bool) {} }

// Failed makes a refusal of the error with which reading ended; others it passes on.
func (w *Whole) Failed(err error) error {
	if !errors.As(err, new(*readError)) {
		return err
	}
	if w.what == OfVolume {
		return refuse(w.Text, Unreadable, err, MountRest)
	}
	return refuse(w.Text, Unreadable, err)
}

// readError says where a device could not be read.
type readError struct {
	offset int64
	err    error
}

func (e *readError) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }
func (e *readError) Unwrap() error { return e.err }

// CheckQuiet refuses a device that came into use while it was read.
func (w *Whole) CheckQuiet() error {
	if w.what == OfStore {
		return checkStillUnused(w.Text, w.Device.ActiveHolders())
	}
	return checkStillUnused(w.Text, w.Device.ActiveWriters())
}

// Unlock has nothing to give back: what is only read takes no lock.
func (w *Whole) Unlock() error { return nil }

// Close closes the device.
func (w *Whole) Close() error {
	for _, giveBack := range w.claims {
		giveBack()
	}
	w.Device.Close()
	return nil
}

func (w *Whole) checkCertain() error     { return nil }
func (w *Whole) reads() []*device.Device { return []*device.Device{w.Device} }
func (w *Whole) isLent() bool            { return w.live }
