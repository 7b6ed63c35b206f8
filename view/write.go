package view

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store"
)

// WriteDevice is a COW device that is open for writing.
type WriteDevice interface {
	store.WriteDevice
	// WriteMany writes p[i] to offset at[i], in bytes, for each i, in no order. Where some
	// cannot be written, it returns the index of the first of them, and why.
	WriteMany(p [][]byte, at []int64) (failed int, err error)
}

// Why a view cannot be written to.
var (
	ErrReadOnly = errors.New("opened for reading only")
	// ErrDamaged: the check of the store has found errors.
	ErrDamaged = errors.New("the store is damaged and can only be read")
	// ErrPastEnd: a write reaches past the snapshot's end. Nothing of it is written.
	ErrPastEnd = errors.New("write past the end of the snapshot")
)

// WriteError says that the COW device could not be written.
type WriteError struct {
	Offset format.Bytes // on the COW device, of the first transfer that failed
	Err    error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("COW device at byte %d: %v", e.Offset, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

// writer is what a view is written through. Its fields belong to whoever holds the lock.
type writer struct {
	writing  sync.Mutex
	store    *store.Store // nil where opened for reading only
	to       WriteDevice
	gathered []store.Pending // exceptions with their data written, not yet committed
	out      output
	failed   error // of a commit: nothing more can be written
}

// mostGathered is how many exceptions gather before they are committed: those of an area of
// 64 KiB.
const mostGathered = 4096

func (v *View) openToWrite(to WriteDevice) error {
	if t := v.report.Against(func(m check.Meaning) bool { return m.Writable }); t != nil {
		return fmt.Errorf("%w (%s)", ErrDamaged, t.Name)
	}
	if v.doubts.unlisted != "" { // something could not be read
		return fmt.Errorf("%w (%s)", ErrDamaged, v.doubts.unlisted)
	}
	s, err := store.Open(to, store.Options{})
	if err != nil {
		return err
	}
	v.store, v.to = s, to
	return nil
}

// WriteAt writes p at the given offset in bytes. What was written can be read at once, and is
// durable after [View.Sync].
//
// A chunk without an exception gets one. Where the store has no room for that, the error is a
// store.ErrNoRoom, n tells how much was written before that chunk, and the store stays as it
// is. It is ErrPastEnd, ErrReadOnly, a [*ReadError], a [*WriteError], one of
// store.PrepareException, or the error of an earlier commit: then n is 0, and it is not known
// what of p was written over chunks that had an exception.
func (v *View) WriteAt(p []byte, offset int64) (n int, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	switch {
	case v.store == nil:
		return 0, ErrReadOnly
	case offset < 0 || int64(len(p)) > v.Size()-offset:
		return 0, ErrPastEnd
	case v.failed != nil:
		return 0, v.failed
	}
	var added []store.Pending
	n, full := v.collect(p, offset, &added)
	if err = full; err == nil || errors.Is(err, store.ErrNoRoom) {
		err = v.out.flush(v.to)
	}
	v.out.reset()
	if err != nil {
		v.store.Withdraw(added) // their chunks are given out again
		return 0, err
	}
	v.remember(added)
	if len(v.gathered) >= mostGathered {
		if err := v.commit(); err != nil {
			return 0, err
		}
	}
	return n, full
}

// collect puts the chunks of a write in the output, and prepares an exception for each that has
// none. It returns how much of p it came to.
func (v *View) collect(p []byte, offset int64, added *[]store.Pending) (n int, err error) {
	chunk := int64(v.geometry.ChunkBytes())
	for n < len(p) {
		old, within := format.OldChunk(offset/chunk), offset%chunk
		data := p[n:][:min(chunk-within, int64(len(p)-n))]
		if c := v.get(old); c != 0 {
			err = v.overwrite(int64(v.geometry.Offset(c))+within, data)
		} else {
			var x store.Pending
			if x, err = v.store.PrepareException(old); err != nil {
				return n, err
			}
			*added = append(*added, x)
			err = v.fill(x.Exception, within, data)
		}
		if err != nil {
			return 0, err
		}
		n, offset = n+len(data), offset+int64(len(data))
	}
	return n, nil
}

func (v *View) get(old format.OldChunk) format.NewChunk {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.table.get(old)
}

// overwrite writes data to an offset of the COW device, in whole blocks: what else is in the
// first and the last one stays.
func (v *View) overwrite(offset int64, data []byte) error {
	block := v.to.LogicalBlockSize()
	for len(data) > 0 {
		skip := offset % block
		if whole := int64(len(data)) / block * block; skip == 0 && whole > 0 {
			if err := v.out.add(v.to, data[:whole], offset); err != nil {
				return err
			}
			data, offset = data[whole:], offset+whole
			continue
		}
		buf, err := v.out.room(v.to, int(block))
		if err != nil {
			return err
		}
		if _, err := v.to.ReadAt(buf, offset-skip); err != nil {
			return &ReadError{Offset: format.Bytes(offset - skip), Err: err}
		}
		n := copy(buf[skip:], data)
		if err := v.out.add(v.to, buf, offset-skip); err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

// fill fills the data chunk of a new exception: with data from the byte within on, with the
// origin's elsewhere, and with zeros behind the origin's end.
func (v *View) fill(x format.Exception, within int64, data []byte) error {
	chunk, to := int64(v.geometry.ChunkBytes()), int64(v.geometry.Offset(x.New))
	if int64(len(data)) == chunk {
		return v.out.add(v.to, data, to)
	}
	from := int64(x.Old) * chunk
	for at := int64(0); at < chunk; {
		buf, err := v.out.room(v.to, int(min(chunk-at, outputSize)))
		if err != nil {
			return err
		}
		length := int64(len(buf))
		if at < within || at+length > within+int64(len(data)) {
			if err := v.readOrigin(buf, from+at); err != nil {
				return err
			}
		}
		if start, end := max(at, within), min(at+length, within+int64(len(data))); start < end {
			copy(buf[start-at:], data[start-within:end-within])
		}
		if err := v.out.add(v.to, buf, to+at); err != nil {
			return err
		}
		at += length
	}
	return nil
}

// readOrigin reads the origin, also behind the snapshot's end, and zeros behind its own.
func (v *View) readOrigin(buf []byte, from int64) error {
	size := v.origin.Size() / format.SectorSize * format.SectorSize
	there := buf[:max(0, min(int64(len(buf)), size-from))]
	clear(buf[len(there):])
	if n, err := v.origin.ReadAt(there, from); n < len(there) {
		return &ReadError{Origin: true, Offset: format.Bytes(from), Err: unexpected(err)}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// remember has exceptions be found, now that their data is written.
func (v *View) remember(added []store.Pending) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range added {
		v.table.put(x.Exception)
	}
	v.gathered = append(v.gathered, added...)
}

// commit commits what was gathered, durably, and with it the data that were written.
func (v *View) commit() error {
	for _, x := range v.gathered {
		v.store.CommitException(x, true, func(err error) {
			if v.failed == nil {
				v.failed = err
			}
		})
	}
	v.gathered = v.gathered[:0]
	return v.failed
}

// Sync makes durable what was written. Once it has failed, it fails for ever: what is on the
// device is what was durable before, and some of what was written since.
func (v *View) Sync() error {
	v.writing.Lock()
	defer v.writing.Unlock()
	switch {
	case v.store == nil:
		return nil
	case v.failed != nil:
		return v.failed
	case len(v.gathered) > 0:
		return v.commit()
	}
	v.failed = v.to.Sync()
	return v.failed
}

// output is what is to be written to the COW device together.
type output struct {
	p     [][]byte
	at    []int64
	size  int
	arena []byte // memory for blocks that are put together from several sources
	used  int
}

// outputSize is how much is written at once, in bytes, and how much the arena has.
const outputSize = 1 << 20

// room is memory for n bytes, of outputSize at most, until what is in the output is written.
func (b *output) room(to WriteDevice, n int) ([]byte, error) {
	if b.used+n > outputSize {
		if err := b.flush(to); err != nil {
			return nil, err
		}
	}
	if b.arena == nil {
		b.arena = make([]byte, outputSize)
	}
	b.used += n
	return b.arena[b.used-n : b.used : b.used], nil
}

// add adds a transfer of whole blocks. It may write what is in the output.
func (b *output) add(to WriteDevice, p []byte, at int64) error {
	b.p, b.at, b.size = append(b.p, p), append(b.at, at), b.size+len(p)
	if b.size >= outputSize {
		return b.flush(to)
	}
	return nil
}

func (b *output) flush(to WriteDevice) error {
	if len(b.p) == 0 {
		return nil
	}
	failed, err := to.WriteMany(b.p, b.at)
	if err != nil {
		err = &WriteError{Offset: format.Bytes(b.at[failed]), Err: err}
	}
	b.reset()
	return err
}

func (b *output) reset() {
	clear(b.p)
	b.p, b.at, b.size, b.used = b.p[:0], b.at[:0], 0, 0
}
