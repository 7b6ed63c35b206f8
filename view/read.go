package view

import (
	"fmt"
	"io"
	"sync"

	"dmcow/format"
)

// ReadError says which device could not be read, and where.
type ReadError struct {
	Origin bool         // it is the origin, else the COW device
	Offset format.Bytes // on that device, of the first transfer that failed
	Err    error
}

func (e *ReadError) Error() string {
	device := "COW device"
	if e.Origin {
		device = "origin"
	}
	return fmt.Sprintf("%s at byte %d: %v", device, e.Offset, e.Err)
}

func (e *ReadError) Unwrap() error { return e.Err }

// parallel is how much of a read is done at once, in bytes; what is larger is split.
const parallel = 1 << 20

// ReadAt reads len(p) bytes of the snapshot from the given offset in bytes, as [io.ReaderAt]
// wants it. The error is a [*ReadError], an [*UncertainError], or [io.EOF] at the end. Of a
// transfer that failed, all counts as not read.
func (v *View) ReadAt(p []byte, offset int64) (int, error) {
	switch {
	case v.table == nil:
		return 0, errListOnly
	case offset < 0 || offset > v.Size():
		return 0, io.EOF
	}
	short := int64(len(p)) > v.Size()-offset
	if short {
		p = p[:v.Size()-offset]
	}
	n, err := v.readParts(p, offset)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// readParts reads large stretches in parts, all at once.
func (v *View) readParts(p []byte, offset int64) (int, error) {
	if len(p) <= parallel {
		return v.read(p, offset)
	}
	var all sync.WaitGroup
	type result struct {
		n   int
		err error
	}
	parts := make([]result, (len(p)+parallel-1)/parallel)
	for i := range parts {
		all.Go(func() {
			r := &parts[i]
			r.n, r.err = v.read(p[i*parallel:min((i+1)*parallel, len(p))], offset+int64(i*parallel))
		})
	}
	all.Wait()
	for i, r := range parts {
		if r.err != nil {
			return i*parallel + r.n, r.err
		}
	}
	return len(p), nil
}

type transfers struct {
	p  [][]byte
	at []int64
	to []int // where each p[i] stands in what the caller reads: pieces of memory, each a byte from the next
}

// add adds a transfer to p, which stands at to in what the caller reads. What is next to each other there is in
// memory, too.
func (t *transfers) add(p []byte, to int, at int64) {
	if i := len(t.p) - 1; i >= 0 && t.to[i]+len(t.p[i]) == to && t.at[i]+int64(len(t.p[i])) == at {
		t.p[i] = t.p[i][:len(t.p[i])+len(p)]
		return
	}
	t.p, t.at, t.to = append(t.p, p), append(t.at, at), append(t.to, to)
}

// read reads them. It returns where in what the caller reads the first stands that failed.
func (t *transfers) read(from Reader, origin bool) (n int, err error) {
	failed, err := t.transfer(from)
	if err != nil {
		return t.to[failed], &ReadError{Origin: origin, Offset: format.Bytes(t.at[failed]), Err: unexpected(err)}
	}
	return 0, nil
}

// transfer reads them, all at once where that is faster, and returns which one failed.
func (t *transfers) transfer(from Reader) (failed int, err error) {
	if many, ok := from.(format.ManyReader); ok && len(t.p) > 1 && many.ReadsMany() {
		return many.ReadMany(t.p, t.at)
	}
	for i, p := range t.p {
		if n, err := from.ReadAt(p, t.at[i]); n < len(p) {
			return i, err
		}
	}
	return 0, nil
}

// schedule is what has to be read from which device.
type schedule struct{ cow, origin transfers }

// schedules are used again: memory for each read would cost as much as the read.
var schedules = sync.Pool{New: func() any { return new(schedule) }}

func (t *transfers) reset() {
	clear(t.p) // which would keep the caller's memory
	t.p, t.at, t.to = t.p[:0], t.at[:0], t.to[:0]
}

func (r *schedule) giveBack() {
	r.cow.reset()
	r.origin.reset()
	schedules.Put(r)
}

func (v *View) read(p []byte, offset int64) (int, error) {
	r := schedules.Get().(*schedule)
	defer r.giveBack()
	n, uncertain := v.schedule(r, p, offset, 0)
	err := r.read(v.cow, v.origin, &n)
	if err == nil {
		err = uncertain
	}
	return n, err
}

// least is how much is read by two threads, in bytes, where it is on both devices.
const least = 256 << 10

// read reads from both devices, together where it is worth it. Where something failed, n
// becomes what was read before that.
func (r *schedule) read(cow, origin Reader, n *int) error {
	var first, second error
	var at, from int
	if *n < least || len(r.cow.p) == 0 || len(r.origin.p) == 0 {
		at, first = r.cow.read(cow, false)
		from, second = r.origin.read(origin, true)
	} else {
		var other sync.WaitGroup
		other.Go(func() { at, first = r.cow.read(cow, false) })
		from, second = r.origin.read(origin, true)
		other.Wait()
	}
	if first == nil || second != nil && from < at {
		at, first = from, second
	}
	if first != nil {
		*n = at
	}
	return first
}

// ReadsMany reports whether [View.ReadMany] is faster than reading one by one.
func (v *View) ReadsMany() bool { return readsMany(v.cow) || readsMany(v.origin) }

func readsMany(r Reader) bool {
	many, ok := r.(format.ManyReader)
	return ok && many.ReadsMany()
}

// ReadMany reads many stretches of the snapshot at once, each p[i] from byte at[i], as a format.ManyReader does. The
// error is as of [View.ReadAt]; all of it may not have been read then.
func (v *View) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	r := schedules.Get().(*schedule)
	defer r.giveBack()
	to := 0
	for i := range p {
		switch {
		case v.table == nil:
			return i, errListOnly
		case at[i] < 0 || int64(len(p[i])) > v.Size()-at[i]:
			return i, io.EOF
		}
		if _, err := v.schedule(r, p[i], at[i], to); err != nil {
			return i, err
		}
		to += len(p[i]) + 1
	}
	if err := r.read(v.cow, v.origin, &to); err != nil {
		for to > len(p[failed]) {
			to -= len(p[failed]) + 1
			failed++
		}
		return failed, err
	}
	return 0, nil
}

// schedule finds out where a stretch of the snapshot has to be read, up to the first chunk
// that is uncertain. It stands at to in what the caller reads.
func (v *View) schedule(r *schedule, p []byte, offset int64, to int) (n int, err error) {
	chunk := int64(v.geometry.ChunkBytes())
	v.mu.RLock()
	defer v.mu.RUnlock()
	for n < len(p) {
		old, within := format.OldChunk(offset/chunk), offset%chunk
		length := int(min(chunk-within, int64(len(p)-n)))
		c := v.table.get(old)
		if err := v.checkCertain(old, c != 0); err != nil {
			return n, err
		}
		if c == 0 {
			r.origin.add(p[n:n+length], to+n, offset)
		} else {
			r.cow.add(p[n:n+length], to+n, int64(v.geometry.Offset(c))+within)
		}
		n, offset = n+length, offset+int64(length)
	}
	return n, nil
}
