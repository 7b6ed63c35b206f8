package merge

import (
	"fmt"

	"dmcow/format"
)

// BadExceptionError says that an exception cannot be merged.
type BadExceptionError struct {
	format.Place
	format.Exception
	Why string
}

func (e *BadExceptionError) Error() string {
	return fmt.Sprintf("area %d slot %d (%d -> %d): %s", e.Area, e.Index, e.Old, e.New, e.Why)
}

// TransferError says which chunk could not be read or written.
type TransferError struct {
	Origin    bool // the device that failed is the origin, else the COW device
	Write     bool // it was written to, else read
	Exception format.Exception
	Offset    format.Bytes // on that device, of what failed first
	Err       error
}

func (e *TransferError) Error() string {
	verb := "read"
	if e.Write {
		verb = "written"
	}
	if e.Origin {
		return fmt.Sprintf("sector %d, chunk %d: cannot be %s: %v", e.Offset.Sectors(), e.Exception.Old, verb, e.Err)
	}
	return fmt.Sprintf("sector %d, chunk %d, for chunk %d of the origin: cannot be %s: %v",
		e.Offset.Sectors(), e.Exception.New, e.Exception.Old, verb, e.Err)
}

func (e *TransferError) Unwrap() error { return e.Err }

// SyncError says that the origin could not be synced: nobody knows which of what was
// written since it was last is there.
type SyncError struct{ Err error }

func (e *SyncError) Error() string {
	return fmt.Sprintf("cannot sync what was written: %v", e.Err)
}
func (e *SyncError) Unwrap() error { return e.Err }

// UndoError says that the undo log could not keep what was to be overwritten, which
// therefore was not.
type UndoError struct{ Err error }

func (e *UndoError) Error() string { return e.Err.Error() }
func (e *UndoError) Unwrap() error { return e.Err }

// DifferenceError says that the origin does not hold what was written to it.
type DifferenceError struct {
	Old    format.OldChunk
	Offset format.Bytes // of the first byte that differs
}

func (e *DifferenceError) Error() string {
	return fmt.Sprintf("sector %d, chunk %d: reads back other data than was written", e.Offset.Sectors(), e.Old)
}

// TooManyError says that more exceptions would have to be left in the store than can be kept
// in mind.
type TooManyError struct{ Most int }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("more than %d chunks cannot be merged: --memory is too small to leave more behind", e.Most)
}
