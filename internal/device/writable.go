package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Writable is a block device or an image file opened for reading and writing,
// and for nobody else to write meanwhile, or a section of one. It may be used by
// several goroutines at once.
type Writable struct {
	Device
	*durability // that of all sections together
}

// durability is what is known of how a file gets durable.
type durability struct {
	mu sync.Mutex
	// failed is the error of a flush. Linux reports an error of writing back
	// once, and counts what it could not write as written: a second flush that
	// goes well proves nothing.
	failed error
	noFUA  bool // the device does not know RWF_DSYNC
	buf    []byte
}

// OpenWritable opens a block device or an image file for exclusive use: a block
// device with O_EXCL, which everything that holds one respects, an image file
// with locks that other programs of its kind take too. The error is a
// [*BusyError] where somebody else uses it.
func OpenWritable(path string) (*Writable, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	w := &Writable{Device{path: path, block: SectorSize}, &durability{}}
	switch {
	case info.Mode().IsRegular():
		err = w.openFile(info)
	case info.Mode().Type() == fs.ModeDevice:
		err = w.openBlock(info)
	default:
		err = fmt.Errorf("%s, expected a block device or an image file", kind(info.Mode()))
	}
	if err != nil {
		return nil, cause(err)
	}
	if w.size, err = w.file.Seek(0, io.SeekEnd); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("cannot tell its size: %w", cause(err))
	}
	return w, nil
}

// CreateWritable opens as OpenWritable does an image file that it makes, empty.
// The error is [fs.ErrExist] where there is something of that name. The name is
// durable when it returns.
func CreateWritable(path string) (*Writable, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, cause(err)
	}
	f.Close()
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = dir.Sync()
		dir.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("its directory: %w", cause(err))
	}
	return OpenWritable(path)
}

// openFile opens an image file, with locks.
func (w *Writable) openFile(info fs.FileInfo) error {
	f, err := os.OpenFile(w.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := lock(f); err != nil {
		f.Close()
		return err
	}
	if loop := loopOf(info); loop != "" {
		f.Close()
		return &BusyError{By: []string{loop}}
	}
	w.file = f
	return nil
}

// openBlock opens a block device with O_DIRECT, or through the page cache where
// its driver does not know direct I/O.
func (w *Writable) openBlock(info fs.FileInfo) error {
	w.number = numberOf(info)
	f, err := os.OpenFile(w.path, os.O_RDWR|unix.O_EXCL|unix.O_DIRECT, 0)
	w.direct = err == nil
	if errors.Is(err, unix.EINVAL) {
		f, err = os.OpenFile(w.path, os.O_RDWR|unix.O_EXCL, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return w.number.busy()
	}
	if err != nil {
		return err
	}
	block, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
	if err == nil {
		err = writableBlock(f)
	}
	if err != nil {
		f.Close()
		return err
	}
	w.file, w.block = f, int64(block)
	return nil
}

// writableBlock tells of a device that is set read-only: root can open it for
// writing all the same, and only a write would fail.
func writableBlock(f *os.File) error {
	if readOnly, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET); err == nil && readOnly != 0 {
		return errors.New("the device is read-only")
	}
	return nil
}

// Section is the part of w of size bytes from offset on; a size of -1 means all
// that follows.
func (w *Writable) Section(offset, size int64) (*Writable, error) {
	d, err := w.Device.Section(offset, size)
	if err != nil {
		return nil, err
	}
	return &Writable{*d, w.durability}, nil
}

// WriteAt writes p, in whole logical blocks: all of it or, past the device's
// end, nothing. It is durable after the next Sync or WriteDurable.
func (w *Writable) WriteAt(p []byte, offset int64) (int, error) {
	if err := w.check(p, offset); err != nil {
		return 0, err
	}
	n, err := w.write(p, w.base+offset)
	return n, cause(err)
}

func (w *Writable) check(p []byte, offset int64) error {
	n := int64(len(p))
	switch {
	case offset < 0 || offset > w.size || n > w.size-offset:
		return fmt.Errorf("a write of %d bytes at byte %d reaches past the end, at %d bytes", n, offset, w.size)
	case (w.base+offset)%w.block != 0 || n%w.block != 0:
		return fmt.Errorf("a write of %d bytes at byte %d, expected whole blocks of %d bytes", n, w.base+offset, w.block)
	}
	return nil
}

// write writes p at an offset in the file, from aligned memory where the file
// is written directly.
func (w *Writable) write(p []byte, offset int64) (int, error) {
	if !w.direct || w.aligned(p, offset) {
		return w.file.WriteAt(p, offset)
	}
	buf := bounce.Get().(*[]byte)
	defer bounce.Put(buf)
	done := 0
	for done < len(p) {
		piece := (*buf)[:copy(*buf, p[done:])]
		n, err := w.file.WriteAt(piece, offset+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Sync makes durable what was written. Once it has failed, it fails for ever:
// see durability.
func (w *Writable) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writable) flush() error {
	if w.failed != nil {
		return w.failed
	}
	for {
		err := unix.Fdatasync(int(w.file.Fd()))
		if err == unix.EINTR {
			continue
		}
		w.failed = err
		return err
	}
}

// WriteDurable writes p when all that was written before is durable, and
// returns when p is: a flush, and then a write with FUA where the device is a
// block device that knows it, and a flush after the write elsewhere.
func (w *Writable) WriteDurable(p []byte, offset int64) error {
	if err := w.check(p, offset); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(); err != nil {
		return err
	}
	if w.direct && !w.noFUA {
		err := w.writeFUA(w.inOne(p), w.base+offset)
		if !w.noFUA {
			return err
		}
	}
	if _, err := w.write(p, w.base+offset); err != nil {
		return cause(err)
	}
	return w.flush()
}

// inOne is p in memory fit for direct I/O, so that it goes out as one write.
func (w *Writable) inOne(p []byte) []byte {
	if w.aligned(p, 0) {
		return p
	}
	if len(w.buf) < len(p) {
		w.buf = alignedBuffer(len(p), int(w.block))
	}
	return w.buf[:copy(w.buf, p)]
}

// writeFUA writes p with RWF_DSYNC, which a block device gets as FUA, or as a
// flush behind the write. It sets noFUA where that is not known, by the kernel
// or by the device's driver.
func (w *Writable) writeFUA(p []byte, offset int64) error {
	for len(p) > 0 {
		n, err := unix.Pwritev2(int(w.file.Fd()), [][]byte{p}, offset, unix.RWF_DSYNC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOSYS || err == unix.EOPNOTSUPP:
			w.noFUA = true
			return err
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// Grow makes an image file larger, to size bytes; what is new reads as zeros.
// It never makes it smaller.
func (w *Writable) Grow(size int64) error {
	if size <= w.size {
		return nil
	}
	if w.IsBlock() || w.base != 0 {
		return fmt.Errorf("has %d bytes, and cannot be made larger", w.size)
	}
	if err := w.file.Truncate(size); err != nil {
		return cause(err)
	}
	w.size = size
	return nil
}

// alignedBuffer is memory whose address is a multiple of align, a power of two.
func alignedBuffer(size, align int) []byte {
	b := make([]byte, size+align)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % uintptr(align)
	return b[skip : int(skip)+size]
}
