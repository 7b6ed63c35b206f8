package delta

import (
	"io"

	"dmcow/format"
)

// Check reads a delta alone, and verifies all of it. visit, where it is not nil, is called now and then with the
// bytes that were read, and ends the work with the error that it returns. The head is what the beginning says, where
// that could be read.
//
// The error is [ErrNoDelta], a [*VersionError], a [*DamagedError], a [*CutError], [ErrTrailing], one of reading, or
// visit's.
func Check(from io.Reader, visit func(format.Bytes) error) (Head, error) {
	d, err := NewReader(from)
	if err != nil {
		return Head{}, err
	}
	for w := new(Window); ; {
		err := d.Next(w)
		if err == io.EOF {
			return d.Head(), d.End()
		}
		if err == nil {
			err = w.Check()
		}
		if err == nil && visit != nil {
			err = visit(d.Offset())
		}
		if err != nil {
			return d.Head(), err
		}
		d.Add(w)
	}
}
