package look

import (
	"errors"

	"dmcow/format"
)

// Survey is what the kernel would find on a device when it loads the store
// there, as far as that could be read.
type Survey struct {
	Identity Identity
	// Usage is a fresh store's if there is none yet. Where Err is not nil, it counts the exceptions before
	// the place that Err names: their number holds, and little else.
	Usage Usage
	// Err is why the list could not be read to its end, nil where it could.
	Err *format.AreaError
}

// Walk is the way through the metadata of the store on d. Its Geometry is zero
// where there is no list.
func (id Identity) Walk(d Device) format.Walk {
	return format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: id.Geometry}
}

// Survey judges a store by a walk through its metadata, w, that ended in end and err. An err that is not
// about the metadata, but about what the caller did meanwhile, is returned.
func (id Identity) Survey(w format.Walk, end format.End, err error) (Survey, error) {
	s := Survey{Identity: id, Usage: Usage{Geometry: w.Geometry, Size: w.Size, End: end}}
	if id.State == Uninitialized {
		s.Usage = FreshUsage(id.Fresh, w.Size)
	}
	if err != nil && !errors.As(err, &s.Err) {
		return s, err
	}
	return s, nil
}

// Examine walks through the metadata, w, for its survey alone. It calls visit now and then with the area that
// it has come to, and stops with the error that it returns.
func (id Identity) Examine(w format.Walk, visit func(format.AreaIndex) error) (Survey, error) {
	if w.Geometry.IsZero() {
		return id.Survey(w, format.End{}, nil)
	}
	end, err := format.Scan(w, visit)
	return id.Survey(w, end, err)
}

// State is the store's state, the list taken into account.
func (s Survey) State() State {
	if s.cut() || s.Usage.End.Beyond != nil {
		return Damaged
	}
	return s.Identity.State
}

// cut reports whether the list leads past the end of the device.
func (s Survey) cut() bool {
	return s.Err != nil && errors.Is(s.Err, format.ErrBeyondDevice)
}

// Unreadable is the read error that ended the list, nil where none did.
func (s Survey) Unreadable() error {
	if s.Err == nil || s.cut() {
		return nil
	}
	return s.Err
}

// Faults says in a line each what is damaged: what stands where, and what was
// expected.
func (s Survey) Faults() []string {
	var all []string
	if s.Identity.Fault != "" {
		all = append(all, s.Identity.Fault)
	}
	if s.cut() {
		all = append(all, s.Err.Error())
	}
	if f := s.Usage.Fault(); f != "" {
		all = append(all, f)
	}
	return all
}

// Complete reports whether all of the list was read, so that the figures of
// Usage hold.
func (s Survey) Complete() bool { return !s.Usage.Geometry.IsZero() && s.Err == nil }

// Status is what the kernel's status line has behind the target's name when it has loaded the store as a
// snapshot (snapshot_status in dm-snap.c). ok is false when it refuses to.
func (s Survey) Status() (line string, ok bool) {
	switch id := s.Identity; {
	case id.State == Invalid:
		return "Invalid", true // read_header comes before the list
	case !id.Fresh.IsZero():
		return FreshUsage(id.Fresh, s.Usage.Size).Status(), true
	case id.Fault != "" || s.Err != nil:
		return "", false
	}
	return s.Usage.Status(), true
}

// Percent is how full lvs shows the snapshot, in per cent: one that is lost is full.
func (s Survey) Percent() float64 {
	if s.State() == Invalid {
		return 100
	}
	return s.Usage.Percent()
}

// Maximum is the size that the store needs at most, for a snapshot of so many sectors; ok is false
// where that is not known.
func (s Survey) Maximum(snapshot format.Sectors) (size format.Sectors, ok bool) {
	if snapshot == 0 || !s.Complete() || s.State() == Damaged {
		return 0, false
	}
	return s.Usage.Maximum(snapshot), true
}
