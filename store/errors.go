package store

import (
	"errors"
	"fmt"

	"dmcow/format"
)

// Why an exception cannot be prepared.
var (
	// ErrNoRoom: the next free chunk does not lie on the device (ENOSPC of
	// persistent_prepare_exception).
	ErrNoRoom = errors.New("no room for one more exception")
	// ErrNoNextArea: there is a chunk, but its exception would fill the last
	// area that the device has room for. The kernel gives the chunk out, and
	// drops the snapshot when it cannot clear the next area. It is an ErrNoRoom.
	ErrNoNextArea = fmt.Errorf("%w: it would fill its area, and the next area is not on the device", ErrNoRoom)
)

// Why nothing can be done with a store.
var (
	// ErrCopyFailed is what the caller told about its own copy.
	ErrCopyFailed = errors.New("the chunk was not copied")
	// ErrMergeFailed: a step of the merge has failed before.
	ErrMergeFailed = errors.New("the merge has failed")
	// ErrInFlight: a merge cannot begin before all exceptions are committed.
	ErrInFlight = errors.New("exceptions are still in flight")
)

// ExistsError says that an old chunk has an exception already, which two of
// them must not: the kernel looks one of them up, and nobody can tell which.
type ExistsError struct{ format.Exception }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("old chunk %d has an exception already, with new chunk %d", e.Old, e.New)
}

// HiddenError says that entries stand behind the terminator in its area, and nobody has
// shown that the snapshot does without them: a damaged exception may hide good ones. They
// would come alive as the area fills, so that no exception can be added.
type HiddenError struct {
	format.Place        // of the terminator
	First        int    // index of the first entry behind it
	Why          string // no torn commit explains it; empty where one may have left it
}

func (e *HiddenError) Error() string {
	why := "a torn commit left it, or a lost sector of the list hides it"
	if e.Why != "" {
		why = "a torn commit does not explain it: " + e.Why
	}
	return fmt.Sprintf("area %d: the list ends at slot %d, but slot %d holds an exception; %s", e.Area, e.Index, e.First, why)
}

// AreaWriteError says that an area could not be written. Exceptions that were
// to be committed with it are not.
type AreaWriteError struct {
	Area  format.AreaIndex
	Chunk format.NewChunk // where the area lies on the COW device
	// Clear is true where it was the next area, to be cleared. Nothing of the
	// current one was written then.
	Clear bool
	Err   error
}

func (e *AreaWriteError) Error() string {
	verb := "written"
	if e.Clear {
		verb = "cleared"
	}
	return fmt.Sprintf("area %d at chunk %d cannot be %s: %v", e.Area, e.Chunk, verb, e.Err)
}

func (e *AreaWriteError) Unwrap() error { return e.Err }

// MergeCountError says that more exceptions were to be cleared than the
// current area holds (a BUG in persistent_commit_merge), or fewer than one.
type MergeCountError struct{ Merged, Committed int }

func (e *MergeCountError) Error() string {
	return fmt.Sprintf("%d exceptions to clear, the current area has %d", e.Merged, e.Committed)
}
