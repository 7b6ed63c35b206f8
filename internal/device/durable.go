package device

import (
	"errors"
	"io"
	"sync"

	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// durableSize is how much goes out as one durable write, in bytes.
const durableSize = 1 << 20

// order is what makes writes durable one after the other.
//
// A write that the kernel could not bring to the disk is reported once, by the
// next fdatasync; the one after it succeeds, though the data is lost
// ("fsyncgate"). So the first failure is kept for ever, and two callers never
// sync at once: one would be told of the failure, and the other of success.
type order struct {
	mu     sync.Mutex
	failed error
	buf    []byte // aligned, for durable writes of what is not

	// The kernel's; tests put others in their place.
	fdatasync func(fd int) error
	pwritev2  func(fd int, iovs [][]byte, offset int64, flags int) (int, error)
}

func newOrder() *order { return &order{fdatasync: unix.Fdatasync, pwritev2: unix.Pwritev2} }

// Sync makes durable all that was written before, on all sections. Once it has
// failed, nobody knows any more what of that is on the disk: it and WriteDurable
// return the same error from then on.
func (w *Writable) Sync() (err error) {
	for m := range w.media() {
		if e := m.sync(); err == nil {
			err = m.named(e, w.medium == nil)
		}
	}
	return err
}

func (m *medium) sync() error {
	if within := m.within(); within != nil {
		return within.Sync()
	}
	m.order.mu.Lock()
	defer m.order.mu.Unlock()
	return m.flush()
}

// WriteDurable writes p as [Writable.WriteAt] does, but in order: all earlier
// writes are durable before any of p is, and p is when WriteDurable returns.
// After an error p may be on the disk, wholly, in part or not at all.
//
// To a block device that is written directly, p of up to 1 MiB goes out as one
// write, between a flush of the device and the confirmation that it is on the
// disk; what lies in several stretches of a joined device, as one for each.
func (w *Writable) WriteDurable(p []byte, offset int64) error {
	if err := w.checkBlocks(int64(len(p)), offset); err != nil {
		return err
	}
	if w.medium == nil {
		if err := w.Sync(); err != nil { // what is on the other media
			return err
		}
	}
	for r := range w.runs(offset, int64(len(p))) {
		for on := range r.everywhere(true) {
			if err := on.writeDurable(p[:r.length], on.start); err != nil {
				return on.named(err, w.medium == nil)
			}
		}
		p = p[r.length:]
	}
	return nil
}

func (m *medium) writeDurable(p []byte, offset int64) error {
	if within := m.within(); within != nil {
		return within.WriteDurable(p, offset)
	}
	m.order.mu.Lock()
	defer m.order.mu.Unlock()
	if err := m.flush(); err != nil {
		return err
	}
	if m.direct && len(p) <= durableSize {
		if err := m.writeThrough(p, offset); !unknownFlag(err) {
			return err
		}
	}
	if _, err := m.write(p, offset); err != nil {
		return words.Pathless(err)
	}
	return m.flush()
}

// flush is sync for one who holds the lock.
func (m *medium) flush() error {
	if m.order.failed == nil {
		m.order.failed = raw.Uninterrupted(func() error { return m.order.fdatasync(int(m.file.Fd())) })
		if m.order.failed != nil {
			// The page cache may hold, as if it were on the disk, what is not. Whoever
			// looks next is to see the disk, as far as the kernel lets go of it.
			m.dropCache(0, 0) // to the end
		}
	}
	return m.order.failed
}

// writeThrough writes p so that it is durable, with one call. The caller holds
// the lock. A failure stays, as a flush's does: the write flushed the
// device's cache, too.
func (m *medium) writeThrough(p []byte, offset int64) error {
	if !m.aligned(p, offset) {
		p = m.order.copyOf(p)
	}
	for len(p) > 0 {
		n := 0
		err := raw.Uninterrupted(func() (err error) {
			n, err = m.order.pwritev2(int(m.file.Fd()), [][]byte{p}, offset, unix.RWF_DSYNC)
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			if !unknownFlag(err) {
				m.order.failed = err
			}
			return err
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// copyOf is p in aligned memory, until the next call.
func (o *order) copyOf(p []byte) []byte {
	if len(o.buf) < len(p) {
		o.buf = memory.Aligned(len(p))
	}
	return o.buf[:copy(o.buf, p)]
}

// unknownFlag reports whether a write failed because the kernel or the driver
// does not know durable writes.
func unknownFlag(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}
