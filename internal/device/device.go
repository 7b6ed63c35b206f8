// Package device opens block devices and image files to read and to write them.
package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/internal/inuse"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// SectorSize is the logical block of an image file, which has none of its own.
const SectorSize = 512

// Device is a block device or an image file opened for reading, a section of
// one, or what several sections are joined to ([Join]). It may be used by several
// goroutines at once.
//
// A block device is read with O_DIRECT: the kernel's own metadata I/O passes
// the page cache by, so a buffered read of a COW device in use shows old
// metadata. An image file is read through the cache.
type Device struct {
	*medium // of all of it; nil where it is joined from several stretches
	path    string
	base    int64     // where the section starts, in bytes: in the medium, or in the pieces
	size    int64     // of the section, in bytes
	joined  bool      // it is made of pieces, and of nothing else that is on their media
	pieces  []stretch // what it is joined from
	largest int64     // of its media's logical blocks, in bytes
	owns    []*medium
	holds   []*inuse.Hold // on its media
	claims  []*os.File    // of its media
}

// medium is an open block device or image file. All that is open of it, sections
// and what is joined from them, shares it.
type medium struct {
	file    *os.File
	is      inuse.Place
	block   int64       // logical block size, in bytes
	direct  bool        // reads must be aligned to logical blocks
	forget  bool        // what the page cache has is dropped before it is read
	atime   bool        // reading may change the file's access time
	gone    error       // why there is no file
	content io.ReaderAt // in place of a file, what is computed
	of      []*Device   // what that is computed from
	inner   *Device     // the content, where that is a joined device as it is
	aio     *aio
	early   *early // nil where nothing is written
	order   *order // nil where nothing is written
}

// Open opens a block device or an image file, and nothing else, for reading, and keeps
// those off who would write it meanwhile ([Device.Lock]). Where the caller owns an image
// file or is root, not even its access time changes.
//
// The error says what is wrong without naming the path.
func Open(path string) (*Device, error) { return openToRead(path, (*Device).Lock) }

// OpenUnlocked is Open without the locks, for one who looks at many devices, or joins others
// from this one.
func OpenUnlocked(path string) (*Device, error) { return openToRead(path, func(*Device) {}) }

// openToRead opens a device for reading, and locks it before anything is learnt from it.
func openToRead(path string, lock func(*Device)) (*Device, error) {
	info, err := look(path)
	if err != nil {
		return nil, err
	}
	d := newDevice(path)
	if info.Mode().IsRegular() {
		d.file, d.atime, err = inuse.Open(path, 0)
	} else {
		err = d.openBlock(info, func(flags int) (*os.File, error) {
			f, _, err := inuse.Open(path, flags)
			return f, err
		})
	}
	if err != nil {
		return nil, words.Pathless(err)
	}
	lock(d)
	if err := d.measure(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func newDevice(path string) *Device {
	m := &medium{block: SectorSize, aio: newAIO()}
	return &Device{path: path, medium: m, owns: []*medium{m}}
}

// look looks at a path, and refuses what is neither a block device
// nor a file: to open anything else, a FIFO say, may hang or do something. So would
// whoever reads a device that is suspended.
func look(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, words.Pathless(err)
	}
	if !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeDevice {
		return nil, fmt.Errorf("%s, not a block device or an image file", kind(info.Mode()))
	}
	if info.Mode().IsRegular() {
		return info, nil
	}
	return info, inuse.NumberOf(info).CheckSuspended()
}

// measure finds out which file was opened, and its size.
func (d *Device) measure() (err error) {
	if d.is.Number == (inuse.Number{}) {
		if d.is.File, err = d.file.Stat(); err != nil {
			return words.Pathless(err)
		}
	}
	if d.size, err = d.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("its size cannot be read: %w", words.Pathless(err))
	}
	d.findLargest()
	return nil
}

func (d *Device) findLargest() {
	d.largest = SectorSize
	for m := range d.media() {
		d.largest = max(d.largest, m.block)
	}
}

// Nothing is a device of no bytes, in place of one that is yet to be made.
func Nothing() *Device { return &Device{joined: true, largest: SectorSize} }

// Close closes the device, and with it all its sections. What is joined from others
// is open as long as they are.
func (d *Device) Close() (err error) {
	for m := range d.media() {
		m.aio.close()
	}
	for _, m := range d.owns {
		m.early.wait()
	}
	for _, h := range d.holds {
		h.Release()
	}
	for _, f := range d.claims {
		f.Close()
	}
	for _, m := range d.owns {
		err = errors.Join(err, m.file.Close())
	}
	return err
}

// Path is the name that the device was opened by.
func (d *Device) Path() string { return d.path }

// Size is the size of the device, or of the section, in bytes.
func (d *Device) Size() int64 { return d.size }

// LogicalBlockSize is the device's logical block in bytes, 512 for an image
// file, and the largest of those that a device is joined from.
func (d *Device) LogicalBlockSize() int64 { return d.largest }

// AccessTimeKept reports whether reading leaves the file's access time as it is:
// that takes its owner or root.
func (d *Device) AccessTimeKept() bool {
	return !d.any(func(m *medium) bool { return m.atime })
}

// Direct reports whether the device, or some of it, is read with O_DIRECT.
func (d *Device) Direct() bool {
	return d.any(func(m *medium) bool { return m.direct })
}

// Section is the part of d of size bytes from offset on; a size of -1 means
// all that follows.
func (d *Device) Section(offset, size int64) (*Device, error) {
	if size < 0 {
		size = d.size - offset
	}
	if err := d.checkWithin(offset, size); err != nil {
		return nil, err
	}
	s := *d
	s.base, s.size = d.base+offset, size
	return &s, nil
}

// CheckStart is the error of a device, or section, that begins in the middle of a logical block:
// it cannot be written.
func (d *Device) CheckStart() error {
	if block := d.LogicalBlockSize(); d.base%block != 0 {
		return fmt.Errorf("offset %d is not a multiple of the logical block (%d bytes)", d.base, block)
	}
	return nil
}

func (d *Device) checkWithin(offset, size int64) error {
	switch {
	case offset < 0 || offset > d.size:
		return fmt.Errorf("offset %d is past its end (%d bytes)", offset, d.size)
	case size < 0:
		return fmt.Errorf("invalid length of %d bytes", size)
	case size > d.size-offset:
		return fmt.Errorf("%d bytes at offset %d reach past its end (%d bytes)", size, offset, d.size)
	}
	return nil
}

// ReadAt reads len(p) bytes from the given offset in bytes, as [io.ReaderAt]
// wants it: fewer only with an error, [io.EOF] at the device's end.
func (d *Device) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset > d.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > d.size-offset
	if short {
		p = p[:d.size-offset]
	}
	n := 0
	for r := range d.runs(offset, int64(len(p))) {
		got, err := r.readAny(p[n:][:r.length])
		n += got
		if err != nil {
			return n, words.Pathless(err)
		}
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// Prefetch asks for bytes of an image file that will be read soon. A block
// device read with O_DIRECT has no cache to fetch them to.
func (d *Device) Prefetch(offset int64, length int) {
	for r := range d.runs(offset, int64(length)) {
		if !r.direct && r.file != nil {
			// Advice that is not taken costs time only.
			_ = unix.Fadvise(int(r.file.Fd()), r.at, r.length, unix.FADV_WILLNEED)
		}
	}
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "is a directory"
	case m&fs.ModeCharDevice != 0:
		return "is a character device"
	case m&fs.ModeNamedPipe != 0:
		return "is a pipe"
	case m&fs.ModeSocket != 0:
		return "is a socket"
	}
	return "is not a file"
}
