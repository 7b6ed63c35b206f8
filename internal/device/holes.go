package device

import (
	"errors"
	"fmt"
	"io"

	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// NextData is the next stretch of the device, from offset on, that is not a
// hole; it is empty and at Size where there is no more. A block device, a file on
// a file system that does not know holes, and what is joined from several
// stretches, is data to its end.
func (d *Device) NextData(offset int64) (start, end int64, err error) {
	if offset >= d.size {
		return d.size, d.size, nil
	}
	if d.medium == nil || d.file == nil || d.IsBlock() {
		return offset, d.size, nil
	}
	start, err = d.file.Seek(d.base+offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return d.size, d.size, d.cut()
	case errors.Is(err, unix.EINVAL):
		return offset, d.size, nil
	case err != nil:
		return 0, 0, words.Pathless(err)
	}
	end, err = d.file.Seek(start, unix.SEEK_HOLE)
	if errors.Is(err, unix.ENXIO) {
		end, err = start, nil // the file was cut short meanwhile: the reads will tell
	}
	if err != nil {
		return 0, 0, words.Pathless(err)
	}
	start, end = min(start-d.base, d.size), min(end-d.base, d.size)
	if start == end {
		return d.size, d.size, nil
	}
	return start, end, nil
}

// cut is an error where a file is shorter by now than when it was opened: then
// what is missing is no hole.
func (d *Device) cut() error {
	info, err := d.file.Stat()
	if err != nil {
		return words.Pathless(err)
	}
	if info.Size() < d.base+d.size {
		return fmt.Errorf("%w: the file was truncated to %d bytes in between", io.ErrUnexpectedEOF, info.Size())
	}
	return nil
}
