package snapshot

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/volume"
	"dmcow/internal/words"
	"dmcow/store/look"
)

// Code is what kind of thing a [Refusal] or a [Note] is about. A command line makes an exit status of it.
type Code int

// The codes.
const (
	Fine        Code = iota
	Invalid          // the snapshot is marked invalid
	Damaged          // the store has faults, or its origin does not fit it
	Blank            // there is no store, and the kernel would make one
	Foreign          // there is something else than a store
	Unreadable       // a device cannot be read, or some of it
	Unable           // it cannot be done, or not safely: in use, no room, the wrong device
	WrongUse         // it was asked for in a way that makes no sense
	Interrupted      // what reports progress has ended it
)

// CodeOf is the code of what a device holds. A valid store is [Fine].
func CodeOf(s look.State) Code {
	switch s {
	case look.Valid:
		return Fine
	case look.Invalid:
		return Invalid
	case look.Uninitialized:
		return Blank
	case look.Foreign:
		return Foreign
	}
	return Damaged
}

// Refusal is why something is not done. Nothing was written then.
type Refusal struct {
	Device   string // which device or file it is about, as it was named
	Code     Code
	Input    Input // what of the request it is about, if that is more than the device
	Err      error // what is wrong with it
	Remedies []Remedy
}

func (r *Refusal) Error() string { return words.Printable(r.Device) + ": " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Remedy is what can be done about a refusal.
type Remedy struct {
	Do Deed
	// Name is the device or snapshot that it is done to, and Origin its origin, where they are not
	// the refusal's own.
	Name, Origin string
	Sectors      format.Sectors // where Do is Extend or WriteHeader
	Finding      *check.Finding // where Do is Mend
}

// Deed is what a remedy does: a field of the request that allows it, or another command.
type Deed int

// The deeds.
const (
	AllowLive     Deed = iota + 1 // read also what somebody may be writing to
	AllowInvalid                  // show a snapshot that is marked invalid
	AllowDamaged                  // show what is not certain
	Keep                          // keep the list of what is merged
	Assume                        // say that the origin was not written
	Force                         // do it all the same
	ForceOver                     // write over what is there
	ForceReplace                  // replace the file that is there
	ForceBase                     // write also where a target does not hold what it must
	ForceBeyond                   // merge what lies on the snapshot, and leave the rest
	Rescue                        // go on with a merge that leaves what cannot be read
	RescueRest                    // merge the others, and leave what cannot be read
	Mend                          // mend what a check has found
	EndMerge                      // first end a merge of the undo log that was cut off
	Extend                        // make the volume of that name as large as the number of sectors says
	GiveUp                        // give up the other snapshot of that name
	LookElsewhere                 // name the physical volumes
	NameOrigin                    // name the origin
	CheckOrigin                   // find out whether it is the right one
	NoUndo                        // name an undo log, or have none
	RunCheck                      // the command that tells more
	RunRepair
	RunRevalidate
	MountRest       // mount shows what is certain
	RepairCopy      // mend a copy
	WriteHeader     // write a header that was wiped anew, with chunks of so many sectors
	StartAnew       // or write an empty store, if this is a new snapshot of LVM over the blocks of an old one
	ListVolumes     // list the snapshots of LVM that are on the device
	MakeDirectory   // make a directory of that name
	ChoosePartition // name a partition
	MountOpen       // show the snapshot as a file, to be opened by what opens it
	MountGroup      // show it as a file, in which volumes of LVM can be named
	MountKernel     // show it as a file, which the kernel can mount
	FinishMerge     // finish a merge that LVM has begun; with an origin, then have LVM remove the snapshot
)

// Input is a part of a request.
type Input int

// The inputs.
const (
	TheDevice Input = iota
	ThePart
	TheChunkSize
	TheHeader
	TheLost
	TheSparse
	TheRescue
)

func (r *Refusal) about(i Input) *Refusal {
	r.Input = i
	return r
}

func (r *Refusal) with(deeds ...Deed) *Refusal {
	for _, d := range deeds {
		r.Remedies = append(r.Remedies, Remedy{Do: d})
	}
	return r
}

func refuse(device string, code Code, err error, remedies ...Deed) *Refusal {
	return (&Refusal{Device: device, Code: code, Err: err}).with(remedies...)
}

func refusef(device string, code Code, format string, args ...any) *Refusal {
	return refuse(device, code, fmt.Errorf(format, args...))
}

// ErrInterrupted is the error with which progress ends what is interrupted.
var ErrInterrupted = errors.New("interrupted")

// failed is the refusal of an error about a device, unless it is one. An interruption is one by its code; what
// then is to be known of the device may be added to it.
func failed(device string, code Code, err error, then ...string) error {
	var r *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return err
	case errors.Is(err, ErrInterrupted):
		for _, text := range then {
			err = fmt.Errorf("%w: %s", ErrInterrupted, text)
		}
		return refuse(device, Interrupted, err)
	}
	return refuse(device, code, err)
}

// calledError is an error of what is called back, and about no device.
type calledError struct{ error }

func ofCalled(err error) error {
	if err == nil {
		return nil
	}
	return calledError{err}
}

// checkReal refuses to do what was planned as a dry run.
func checkReal(device string, dryRun bool) error {
	if !dryRun {
		return nil
	}
	return refusef(device, WrongUse, "planned as a dry run, which cannot write")
}

// nothingWritten is what is to be known after most interruptions.
const nothingWritten = "nothing was written"

// ofVolume is the refusal of an error about a logical volume, or whatever else that says it is about.
func ofVolume(name string, err error) error {
	if errors.Is(err, ErrInterrupted) {
		err = ErrInterrupted
	} else if e, ok := err.(*volume.Error); ok { // and not one that the error mentions
		return refuse(e.About, Unreadable, e.Err)
	}
	return failed(name, Unreadable, err)
}

// inTurn takes steps until one fails.
func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// orClose is what was opened, or with an error nothing: then it is closed.
func orClose[T interface{ Close() }](opened T, err error) (T, error) {
	if err == nil {
		return opened, nil
	}
	opened.Close()
	var nothing T
	return nothing, err
}
