package delta

import (
	"errors"
	"fmt"
	"io"

	"dmcow/format"
)

// windowBytes is how much data a window has at most, in bytes, but for a window of one chunk.
const windowBytes = 2 << 20

// WindowChunks is how many chunks a window has.
func (h Head) WindowChunks() int { return int(max(1, windowBytes/h.Geometry.ChunkBytes())) }

// ErrNoDelta says that something is not a delta.
var ErrNoDelta = errors.New("this is not a delta: it has no beginning of one")

// VersionError says that a delta has a format of another version.
type VersionError struct{ Version uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the delta has version %d, which this dmcow does not know: a later one may", e.Version)
}

// DamagedError says that a delta is damaged.
type DamagedError struct {
	Offset format.Bytes // of the chunk in the stream in which that was found
	What   string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the delta is damaged: chunk at byte %d: %s", e.Offset, e.What)
}

// CutError says that a delta ends before its end.
type CutError struct {
	Offset format.Bytes // where the stream ended
	Size   format.Bytes // of the whole delta; 0 where that is not known
}

func (e *CutError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("the delta ends at byte %d, within its beginning", e.Offset)
	}
	return fmt.Sprintf("the delta ends at byte %d; the whole has %d", e.Offset, e.Size)
}

// ErrTrailing says that something comes behind the end of a delta.
var ErrTrailing = errors.New("there are bytes behind the end of the delta")

// Reader reads a delta front to back, and verifies what it reads.
type Reader struct{ head Head }

// NewReader reads header and beginning. The error is [ErrNoDelta], a [*VersionError], a [*DamagedError], a
// [*CutError], or r's own.
func NewReader(r io.Reader) (*Reader, error) { return nil, ErrNoDelta }

// Head is what the beginning says.
func (r *Reader) Head() Head { return r.head }

// Window reads the next window into w, and verifies it whole: the exceptions, their digests, and that the data has
// them. It is io.EOF when the end was read, too, that was right, and nothing came behind it.
// The error is a [*DamagedError], a [*CutError], [ErrTrailing], or one of reading; then no window can be read any more.
func (r *Reader) Window(w *Window) error { return io.EOF }

// Offset is how much of the stream was read, in bytes.
func (r *Reader) Offset() format.Bytes { return 0 }

// SumOf is the Sum of content at a place on the device.
func SumOf(old format.OldChunk, content []byte) (s Sum) { return s }

// DigestsOf are the digests of what stands in whole chunks at places on a device, made by both processors.
// contents[i] is what is at olds[i], as far as the device goes.
func DigestsOf(olds []format.OldChunk, contents [][]byte, digests []Digest) {}
