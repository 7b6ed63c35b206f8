// Package lvmsync has the stream in which lvmsync sends what changed in an origin since a snapshot.
//
// It begins with a line, and goes on with records up to its end:
//
//	"lvmsync PROTO[3]\n"
//
//	byte  0            8        12
//	     +------------+--------+------- - - -
//	     | byte on    | length | data
//	     | the device |        |
//	     +------------+--------+------- - - -
//
// Both numbers are big-endian. The stream does not say of which device it is, what must be there before, or that it
// has come to its end. (Version 2 counted in chunks; nobody can tell of which size where a record is a longer run.)
package lvmsync

import (
	"bytes"
	"errors"
	"fmt"

	"dmcow/format"
)

// Banner is the line that a stream begins with.
const Banner = "lvmsync PROTO[3]\n"

// anyBanner is what streams of all versions begin with.
const anyBanner = "lvmsync PROTO["

// recordSize is how long a record is without its data, in bytes.
const recordSize = 12

// HeadSize is how much of a stream [Begins] has to see, in bytes.
const HeadSize = len(Banner)

// Begins reports whether a stream that begins so is one of lvmsync. The error is a [*VersionError], or says that its first
// line is not whole.
func Begins(head []byte) (bool, error) {
	switch {
	case bytes.HasPrefix(head, []byte(Banner)):
		return true, nil
	case !bytes.HasPrefix(head, []byte(anyBanner)):
		return false, nil
	}
	version, _, _ := bytes.Cut(head[len(anyBanner):], []byte("]"))
	if string(version) == knownVersion {
		return true, errBanner
	}
	return true, &VersionError{string(version)}
}

// knownVersion is the one of Banner.
const knownVersion = "3"

var errBanner = errors.New("a stream of lvmsync whose first line is cut off or damaged")

// VersionError says that a stream has a format of another version.
type VersionError struct{ Version string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("a stream of lvmsync of version %q; dmcow knows version 3", e.Version)
}

// RecordError says that a record cannot be of the device.
type RecordError struct {
	At             format.Bytes // where it stands in the stream
	Offset, Length uint64       // what it says
	Why            string
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("the record at byte %d of the stream has %d bytes at byte %d of the device: %s", e.At, e.Length, e.Offset, e.Why)
}

// CutError says that a stream ends within a record.
type CutError struct{ At format.Bytes }

func (e *CutError) Error() string {
	return fmt.Sprintf("the stream ends at byte %d, within a record", e.At)
}
