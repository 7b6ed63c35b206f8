// Package save has a snapshot keep chunks of its origin before something else than the kernel writes over
// them.
package save

import (
	"fmt"
	"io"

	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/look"
)

// Saver gives a snapshot the exceptions that it needs before somebody else than the kernel
// overwrites chunks of its origin: as the kernel does when the origin is written
// (__origin_write, start_copy and pending_complete in dm-snap.c).
//
// First the stretches that are going to be overwritten are marked, then [Saver.Need] tells
// how many chunks that concerns, then they are saved. It takes a bit for each chunk of the
// origin.
type Saver struct {
	device   look.Device
	id       look.Identity
	geometry format.Geometry
	origin   format.Bytes // its size
	chunks   bitmap.Set   // of the origin, that are to be saved
	count    uint64
	void     bool // as in store.Options
	free     func()
}

// MemoryError says that no memory can be had for a bit for each chunk of the origin.
type MemoryError struct{ Chunks uint64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("not enough memory: the origin has %d chunks, and each needs a bit", e.Chunks)
}

// lowChunks is of how many chunks the bits have memory also where it cannot be reserved.
const lowChunks = 1 << 33

// New is a saver for the store on d, whose origin has so many bytes. On a blank device
// the kernel would make a store with the geometry fresh, and so does [Saver.Save]. hiddenVoid
// is as in [store.Options].
//
// The error is [look.ErrInvalid], a [*look.StateError], a [*MemoryError], or one of reading.
func New(d look.Device, fresh format.Geometry, origin format.Bytes, hiddenVoid bool) (*Saver, error) {
	id, err := look.Identify(d, fresh)
	if err == nil && id.State != look.Uninitialized {
		err = id.CheckLoadable()
	}
	if err != nil {
		return nil, err
	}
	s := &Saver{device: d, id: id, geometry: id.Geometry, origin: origin, void: hiddenVoid}
	if id.State == look.Uninitialized {
		s.geometry = id.Fresh
	}
	chunks := uint64(origin / s.geometry.ChunkBytes())
	words, free := memory.Words(chunks/64 + 1)
	if words == nil && chunks > lowChunks {
		return nil, &MemoryError{chunks}
	}
	s.chunks, s.free = bitmap.On(words), free
	return s, nil
}

// Close gives the saver's memory back.
func (s *Saver) Close() { s.free() }

// Overwritten marks the chunks that have some of the origin's bytes from start up to end,
// as far as the origin goes.
func (s *Saver) Overwritten(start, end format.Bytes) {
	end = min(end, s.origin)
	for at := start / s.geometry.ChunkBytes(); at*s.geometry.ChunkBytes() < end; at++ {
		if s.chunks.Add(uint64(at)) == 0 {
			s.count++
		}
	}
}

// Saving is what there is to save, and the room for it, both in chunks.
type Saving struct {
	Chunks, Free uint64
	// Enough is the size of the device, at least, that has room for all; it is zero where
	// this one has.
	Enough format.Sectors
}

// Need leaves out of what was marked the chunks that have an exception already, and tells
// what is left. It is called once.
//
// The error is a [*store.HiddenError] where nothing can be added, a [*format.AreaError], or visit's
// own, which is called now and then with the area that the walk has come to.
func (s *Saver) Need(visit func(format.AreaIndex) error) (Saving, error) {
	usage := look.FreshUsage(s.geometry, format.Bytes(s.device.Size()))
	if s.id.State == look.Valid {
		end, err := format.Each(s.id.Walk(s.device), nil, func(_ *struct{}, b format.Batch) error {
			s.leaveOut(b)
			if visit == nil {
				return nil
			}
			return visit(b.Area)
		})
		if err != nil {
			return Saving{}, err
		}
		usage.End = end
		h, err := look.Behind(s.device, s.geometry, end, nil)
		if err != nil {
			return Saving{}, err
		}
		if h.Why != "" || h.Count > 0 && !s.void {
			return Saving{}, &store.HiddenError{Place: h.Place, First: h.First, Why: h.Why}
		}
	}
	need := Saving{Chunks: s.count, Free: usage.Free()}
	if need.Chunks > need.Free {
		need.Enough = usage.Enough(need.Chunks)
	}
	return need, nil
}

// leaveOut takes the old chunks of exceptions out of what is to be saved.
func (s *Saver) leaveOut(b format.Batch) {
	for _, x := range b.Exceptions() {
		if s.chunks.Has(uint64(x.Old)) {
			s.chunks.Remove(uint64(x.Old))
			s.count--
		}
	}
}

// Save saves the chunks on d, which is the saver's device: it copies each from the origin,
// and adds its exception. When it returns without error, all of them are durable. visit is
// called now and then with the number of those that are. Cut off at any point, the snapshot
// shows what it showed, and the same can be done again.
//
// The error is one of [store.Store.PrepareException], one of reading or writing, or visit's.
func (s *Saver) Save(d store.WriteDevice, origin io.ReaderAt, visit func(saved uint64) error) error {
	if s.count == 0 {
		return nil
	}
	if s.id.State == look.Uninitialized {
		if err := store.Initialize(d, s.geometry, nil); err != nil {
			return err
		}
	}
	c, err := s.saving(d, origin)
	if err != nil {
		return err
	}
	defer c.buffers.Free()
	for next, saved := uint64(0), uint64(0); saved < s.count; {
		n := c.marked(next)
		if err := c.batch(n); err != nil {
			return err
		}
		saved += uint64(len(n))
		if err := visit(saved); err != nil {
			return err
		}
		next = n[len(n)-1] + 1
	}
	return nil
}

// bufferSize is how much is copied before exceptions are committed, in bytes, or one chunk.
const bufferSize = 1 << 20

type saving struct {
	*Saver
	store   *store.Store
	to      store.WriteDevice
	from    io.ReaderAt
	buffers memory.Buffers
	buffer  []byte
}

// saving opens the store to add to it.
func (s *Saver) saving(d store.WriteDevice, origin io.ReaderAt) (*saving, error) {
	opened, err := store.Open(d, store.Options{HiddenVoid: s.void})
	if err != nil {
		return nil, err
	}
	c := &saving{Saver: s, store: opened, to: d, from: origin}
	c.buffer = c.buffers.New(bufferSize)
	return c, nil
}

// most is how many chunks are saved together.
func (c *saving) most() int { return max(1, int(bufferSize/c.geometry.ChunkBytes())) }

// marked are some of the chunks that are marked, from number next on.
func (c *saving) marked(next uint64) (all []uint64) {
	for len(all) < c.most() {
		n, ok := c.chunks.Next(next)
		if !ok {
			break
		}
		all, next = append(all, n), n+1
	}
	return all
}

// batch saves some chunks.
func (c *saving) batch(numbers []uint64) error {
	var all []store.Pending
	var failed error
	for _, n := range numbers {
		p, err := c.store.PrepareException(format.OldChunk(n))
		if err != nil {
			failed = err
			break
		}
		all = append(all, p)
	}
	if failed == nil {
		failed = c.copy(all)
	}
	copied := failed == nil
	for _, p := range all {
		c.store.CommitException(p, copied, func(err error) {
			if failed == nil {
				failed = err
			}
		})
	}
	return failed
}

// copy copies the chunks of exceptions, those that follow each other on both devices
// together.
func (c *saving) copy(all []store.Pending) error {
	chunk := c.geometry.ChunkBytes()
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Old == all[0].Old+format.OldChunk(n) && all[n].New == all[0].New+format.NewChunk(n) {
			n++
		}
		if err := c.copyBytes(format.Bytes(all[0].Old)*chunk, c.geometry.Offset(all[0].New), format.Bytes(n)*chunk); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// copyBytes copies length bytes from one place on the origin to one on the COW device. What
// is behind the origin's end becomes zeros.
func (c *saving) copyBytes(from, to, length format.Bytes) error {
	for length > 0 {
		buf := c.buffer[:min(length, format.Bytes(len(c.buffer)))]
		there := min(format.Bytes(len(buf)), c.origin-min(from, c.origin))
		clear(buf[there:])
		if err := raw.ReadFull(c.from, buf[:there], from); err != nil {
			return fmt.Errorf("origin at byte %d: %w", from, err)
		}
		if _, err := c.to.WriteAt(buf, int64(to)); err != nil {
			return fmt.Errorf("COW device at byte %d: %w", to, err)
		}
		n := format.Bytes(len(buf))
		from, to, length = from+n, to+n, length-n
	}
	return nil
}
