package delta

import (
	"errors"
	"fmt"

	"dmcow/format"
)

// ErrNoDelta says that something is not a delta.
var ErrNoDelta = errors.New("this is not a delta: it lacks the beginning of one")

// ErrTrailing says that something comes behind the end of a delta.
var ErrTrailing = errors.New("there are bytes behind the end of the delta")

// ErrChunk says that a delta was to be made with larger chunks.
var ErrChunk = fmt.Errorf("a delta has chunks of at most %d sectors", MaxChunk)

// VersionError says that a delta has a format of another version.
type VersionError struct{ Version uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the delta has version %d, which this dmcow does not know: a later one may", e.Version)
}

// DamagedError says that a delta is damaged.
type DamagedError struct {
	Offset format.Bytes // in the delta, of the chunk in which that shows
	What   string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the delta is damaged: byte %d: %s", e.Offset, e.What)
}

// damaged is the error of a chunk whose content is wrong; others it passes on.
func damaged(offset format.Bytes, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNoDelta), errors.As(err, new(*VersionError)), errors.As(err, new(*CutError)):
		return err
	}
	return &DamagedError{Offset: offset, What: err.Error()}
}

// CutError says that a delta ends before its end.
type CutError struct {
	Offset format.Bytes // where the stream ended
	Size   format.Bytes // of the whole delta; 0 where that is not known
}

func (e *CutError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("the delta ends at byte %d, before it says what it is", e.Offset)
	}
	return fmt.Sprintf("the delta ends at byte %d; the whole has %d bytes", e.Offset, e.Size)
}

// SideError says that the base or the source of a delta could not be read.
type SideError struct {
	Source bool // it is the source, not the base
	Err    error
}

func (e *SideError) Error() string { return e.Err.Error() }
func (e *SideError) Unwrap() error { return e.Err }
