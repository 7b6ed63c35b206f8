// Package scatter reads a device whose bytes lie in stretches on other devices.
package scatter

import (
	"fmt"
	"io"

	"dmcow/internal/raw"
)

// Sized is a device, or an image of one.
type Sized interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// A Run is a stretch of a device that is one stretch on another device, too.
type Run struct {
	On     io.ReaderAt // nil for zeros
	At     int64       // where it begins there, in bytes
	Length int64       // in bytes, at least 1
}

// A Map knows where the bytes of a device are.
type Map interface {
	// Run is the run that begins at a byte of the device. It may be longer than length bytes, of
	// which it is told so that it need not look further.
	Run(offset, length int64) (Run, error)
}

// Device is what a map leads to. It may be used by several goroutines at once where its map may be.
type Device struct {
	Map
	size int64
}

// New is a device of so many bytes, which the map has to know all of.
func New(m Map, size int64) *Device { return &Device{m, size} }

// Size is the size of the device in bytes.
func (d *Device) Size() int64 { return d.size }

// ReadAt reads as [io.ReaderAt] wants it.
func (d *Device) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 || offset > d.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > d.size-offset
	if short {
		p = p[:d.size-offset]
	}
	for n < len(p) {
		r, err := d.Run(offset+int64(n), int64(len(p)-n))
		if err != nil {
			return n, err
		}
		if r.Length <= 0 {
			return n, fmt.Errorf("byte %d: the map has nothing there", offset+int64(n))
		}
		piece := p[n:][:min(r.Length, int64(len(p)-n))]
		if r.On == nil {
			clear(piece)
		} else if some, err := raw.ReadSome(r.On, piece, r.At); err != nil {
			return n + some, err
		}
		n += len(piece)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}
