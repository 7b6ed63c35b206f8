package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/internal/inuse"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// Writable is a block device or an image file opened for reading and writing
// and for nobody else's use meanwhile ([OpenShared] has exceptions), or a section of one. It may be used by
// several goroutines at once, but for [Writable.Grow].
type Writable struct {
	Device
	section bool // or joined: it cannot grow
	created bool // by CreateWritable
}

// OpenWritable opens a block device or an image file, and nothing else, for
// reading and writing. It keeps others off: a block device is opened
// exclusively, an image file is locked. Where somebody uses the device already,
// the error is a [*inuse.BusyError].
//
// The error says what is wrong without naming the path.
func OpenWritable(path string) (*Writable, error) { return openToWrite(path, true) }

func openToWrite(path string, lock bool) (*Writable, error) {
	info, err := look(path)
	if err != nil {
		return nil, err
	}
	w := newWritable(path)
	if info.Mode().IsRegular() {
		err = w.openImage(0)
	} else {
		err = w.openExclusively(info)
	}
	w, err = w.opened(err, lock)
	return w, words.Pathless(err)
}

// opened ends the opening of a device: it is locked before anything is learnt from it. After an
// error, also one of before, the device is closed.
func (w *Writable) opened(err error, lock bool) (*Writable, error) {
	if err == nil && lock {
		err = w.lock(true)
	}
	if err == nil {
		err = w.measure()
	}
	if err == nil {
		return w, nil
	}
	if w.file != nil {
		w.Close()
	}
	return nil, err
}

// CreateWritable is OpenWritable, but makes an empty image file where there is
// nothing; created tells that it did. The file's name is durable then.
func CreateWritable(path string) (w *Writable, created bool, err error) {
	w, err = OpenWritable(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return w, false, err
	}
	w = newWritable(path)
	// Between the look and this, another program may have made a file of this
	// name: O_EXCL leaves it alone.
	if w, err = w.opened(w.openImage(os.O_CREATE|os.O_EXCL), true); err != nil {
		return nil, false, CreateError(path, err)
	}
	if err = SyncDirectory(filepath.Dir(path)); err != nil {
		w.Close()
		_ = os.Remove(path) // nothing is in it
		return nil, false, fmt.Errorf("cannot sync its directory: %w", words.Pathless(err))
	}
	w.created = true
	return w, true, nil
}

// Abandon closes the device. A file that [CreateWritable] made is removed before, if it still
// has its name: it is as if nothing had been made. Any other stays.
func (w *Writable) Abandon() error {
	if !w.created || !inuse.IsStill(w.file, w.path) {
		return w.Close()
	}
	err := os.Remove(w.path)
	if err == nil {
		err = SyncDirectory(filepath.Dir(w.path))
	}
	return errors.Join(words.Pathless(err), w.Close())
}

// CheckCreatable is why [CreateWritable] could not make a file if there is none, as
// far as a look can tell.
func CheckCreatable(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return CreateError(path, fs.ErrExist)
	}
	_, err := os.Stat(filepath.Dir(path))
	return words.Pathless(err)
}

func newWritable(path string) *Writable {
	d := newDevice(path)
	d.atime, d.early, d.order = true, newEarly(), newOrder()
	return &Writable{Device: *d}
}

// Rename gives a file another name, durably, which no file has yet.
func Rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot do it in one
		if err = CheckCreatable(to); err == nil {
			err = os.Rename(from, to)
		}
	}
	if err != nil {
		return CreateError(to, err)
	}
	return SyncDirectory(filepath.Dir(to))
}

// SyncDirectory makes the names in a directory durable.
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	// There are file systems on which a directory cannot be synced: what they
	// promise of names, they promise without.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// Section is like [Device.Section], but begins with a block of the device. It
// cannot grow, and keeps its size when the device does.
func (w *Writable) Section(offset, size int64) (*Writable, error) {
	d, err := w.Device.Section(offset, size)
	if err != nil {
		return nil, err
	}
	if err := d.CheckStart(); err != nil {
		return nil, err
	}
	return &Writable{Device: *d, section: true}, nil
}

// WriteAt writes p at the given offset in bytes, all of it or with an error;
// n tells how much was written then. Both the offset and the length of p are
// multiples of the logical block, and p lies within the device: else nothing
// is written. What was written is durable after [Writable.Sync].
func (w *Writable) WriteAt(p []byte, offset int64) (n int, err error) {
	if err := w.checkBlocks(int64(len(p)), offset); err != nil {
		return 0, err
	}
	return w.writeRuns(p, offset)
}

// writeRuns writes p, of any length, where it lies within the device, and to all copies of that. n tells how much
// was written to all.
func (w *Writable) writeRuns(p []byte, offset int64) (n int, err error) {
	for r := range w.runs(offset, int64(len(p))) {
		least := int(r.length)
		for on := range r.everywhere(true) {
			done, failed := on.write(p[n:][:r.length], on.start)
			least = min(least, done)
			if failed != nil && err == nil {
				err = on.named(failed, w.medium == nil)
			}
		}
		n += least
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// named is an error of a medium: it says which, where it is one of several.
func (m *medium) named(err error, several bool) error {
	if err = words.Pathless(err); err == nil || !several || m.file == nil {
		return err
	}
	return fmt.Errorf("%s: %w", m.file.Name(), err)
}

// checkBlocks wants size bytes at offset to be whole blocks of the device, and within
// it.
func (w *Writable) checkBlocks(size, offset int64) error {
	if err := w.checkWithin(offset, size); err != nil {
		return err
	}
	if block := w.LogicalBlockSize(); (w.base+offset)%block != 0 || size%block != 0 {
		return fmt.Errorf("%d bytes at byte %d of the device are not whole blocks of %d bytes", size, w.base+offset, block)
	}
	return nil
}

// write writes p at an offset in the file, through aligned memory where the
// file is written directly. Package os goes on after a short write.
func (m *medium) write(p []byte, offset int64) (int, error) {
	if within := m.within(); within != nil {
		return within.writeRuns(p, offset)
	}
	if !m.direct || m.aligned(p, offset) {
		return m.file.WriteAt(p, offset)
	}
	buf := bounce.Get().(*[]byte)
	defer bounce.Put(buf)
	done := 0
	for done < len(p) {
		n, err := m.file.WriteAt((*buf)[:copy(*buf, p[done:])], offset+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Grow extends an image file to size bytes. What is added reads as zeros and
// takes no room on the disk yet. The file is never cut. Nothing else may use w
// at the same time.
func (w *Writable) Grow(size int64) error {
	switch {
	case w.section || w.IsBlock():
		return errors.New("only an image file can grow")
	case size < w.size:
		return fmt.Errorf("it cannot shrink to %d bytes: it has %d", size, w.size)
	}
	info, err := w.file.Stat()
	if err != nil {
		return words.Pathless(err)
	}
	// A program that does not mind the locks may have made it longer.
	if info.Size() < size {
		if err := w.file.Truncate(size); err != nil {
			return fmt.Errorf("it cannot grow to %d bytes: %w", size, words.Pathless(err))
		}
	}
	w.size = size
	return nil
}
