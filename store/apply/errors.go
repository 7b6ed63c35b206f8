package apply

import (
	"fmt"

	"dmcow/format"
)

// ForeignError says that the target does not hold what it must.
type ForeignError struct {
	Offset, Length format.Bytes // of the chunk
	// Same is how many of its sectors hold what would be put there.
	Same format.Sectors
	// Gap says that the stream names nothing there, so that it must be zero.
	Gap bool
}

func (e *ForeignError) Error() string {
	if e.Gap {
		return fmt.Sprintf("byte %d is not zero, and in the full delta it is", e.Offset)
	}
	text := fmt.Sprintf("the %d bytes at byte %d are neither what the delta replaces nor what it puts there", e.Length, e.Offset)
	if e.Same > 0 {
		text += fmt.Sprintf("; %d of their %d sectors are what it puts there: somebody changed the others, or a power cut left them, which nothing proves", e.Same, e.Length.Sectors())
	}
	return text
}

// TransferError says that the target could not be read or written.
type TransferError struct {
	Write  bool
	Offset format.Bytes
	Err    error
}

func (e *TransferError) Error() string {
	verb := "read"
	if e.Write {
		verb = "written"
	}
	return fmt.Sprintf("byte %d cannot be %s: %v", e.Offset, verb, e.Err)
}

func (e *TransferError) Unwrap() error { return e.Err }

// SyncError says that the target could not be synced: nobody knows which of what was written is there.
type SyncError struct{ Err error }

func (e *SyncError) Error() string { return fmt.Sprintf("cannot sync what was written: %v", e.Err) }
func (e *SyncError) Unwrap() error { return e.Err }

// UndoError says that the undo log could not keep what was to be overwritten, which therefore was not.
type UndoError struct{ Err error }

func (e *UndoError) Error() string { return e.Err.Error() }
func (e *UndoError) Unwrap() error { return e.Err }
