package format

import "bytes"

// maxWindow is how many batches are on their way at a time on a large store:
// enough to keep a disk busy when nothing is in the cache.
const maxWindow = 16

// runner is a walk on its way.
type runner[T any] struct {
	live    bool // Walk.Live
	plan    plan
	reader  reader
	prepare func(*T, Batch)
	deliver func(*T, Batch) error
	flying  []*flight[T] // started, in the list's order
	idle    []*flight[T] // delivered, for use again
	end     End
}

// flight is a batch on its way, with its buffer and its T.
type flight[T any] struct {
	job
	batch   Batch
	highest NewChunk
	read    int   // slots, of the job's
	err     error // why not all of them, or not those behind them
	buf     []byte
	state   T
	landed  chan struct{}
}

// run delivers batch after batch. As full areas keep coming, first the batches
// grow, then the number of them that are flying.
func (r *runner[T]) run() error {
	for window := 1; ; {
		r.launch(window)
		if r.plan.grown() {
			window = min(2*window, maxWindow)
		}
		if len(r.flying) == 0 {
			return nil // as far as Walk.Areas goes
		}
		f := r.land()
		if r.live && r.outdated(f) {
			r.load(f)
			<-f.landed
		}
		r.account(f)
		if err := r.deliver(&f.state, f.batch); err != nil {
			return err
		}
		if f.batch.live < f.read {
			return r.finish(f)
		}
		if f.err != nil {
			return r.areaError(f)
		}
		r.idle = append(r.idle, f)
	}
}

// launch starts batches until as many as window are flying. A lone one is
// loaded on the spot: a goroutine would only cost.
func (r *runner[T]) launch(window int) {
	for len(r.flying) < window {
		j, ok := r.plan.take()
		if !ok {
			return
		}
		f := r.idler()
		f.job = j
		r.flying = append(r.flying, f)
		if window == 1 {
			r.load(f)
		} else {
			go r.load(f)
		}
	}
}

func (r *runner[T]) idler() *flight[T] {
	n := len(r.idle)
	if n == 0 {
		return &flight[T]{landed: make(chan struct{}, 1)}
	}
	f := r.idle[n-1]
	r.idle = r.idle[:n-1]
	return f
}

// load reads a batch, looks for the terminator, and has the batch prepared.
func (r *runner[T]) load(f *flight[T]) {
	f.buf, f.err = r.reader.read(&r.plan, f.job, f.buf)
	f.read = len(f.buf) / ExceptionSize
	f.batch, f.highest = r.plan.batch(f.job, f.buf)
	if r.prepare != nil {
		r.prepare(&f.state, f.batch)
	}
	f.landed <- struct{}{}
}

// land waits for the first batch that is flying.
func (r *runner[T]) land() *flight[T] {
	f := r.flying[0]
	<-f.landed
	r.flying = append(r.flying[:0], r.flying[1:]...)
	return f
}

// outdated tells whether a batch starts with something else than when it was
// read. It may have been read while the batch before it was: before the kernel
// cleared its first area, which it does before the area before that one is
// full. Within a batch areas are read in order, so that this cannot happen.
func (r *runner[T]) outdated(f *flight[T]) bool {
	start := job{Place: f.Place, count: min(f.count, SectorSize/ExceptionSize)}
	now, err := r.reader.read(&r.plan, start, nil)
	return err != nil || len(now) > len(f.buf) || !bytes.Equal(now, f.buf[:len(now)])
}

// drain waits for the batches still flying: nothing touches the device once
// the walk has returned.
func (r *runner[T]) drain() {
	for len(r.flying) > 0 {
		r.land()
	}
}

// account adds a batch to the walk's End.
func (r *runner[T]) account(f *flight[T]) {
	b, e := f.batch, &r.end
	e.Exceptions += uint64(b.live)
	e.Place = b.at(b.live)
	e.NextFree = nextFree(e.NextFree, b.cut(0, b.live), f.highest)
	e.Highest = max(e.Highest, f.highest)
	if e.Beyond == nil && uint64(f.highest) >= r.plan.chunks {
		e.Beyond = b.find(r.plan.chunks)
	}
}

// finish ends a walk whose terminator is in f: it delivers what the terminator
// hides where that was asked for, and makes sure that the device does not end
// in the area, since the kernel reads it whole. The rest of a large area is
// not read for that alone.
func (r *runner[T]) finish(f *flight[T]) error {
	terminator := r.end.Place
	for {
		if f.err != nil && f.batch.at(f.read).Area == terminator.Area {
			return r.areaError(f)
		}
		j, more := r.plan.rest(f.job, terminator.Area)
		if !more {
			return nil
		}
		f.job = j
		f.buf, f.err = r.reader.read(&r.plan, j, f.buf)
		f.read = len(f.buf) / ExceptionSize
		f.batch = Batch{Place: j.Place, slots: r.plan.slots, raw: f.buf, behind: true}
		if r.prepare != nil {
			r.prepare(&f.state, f.batch)
		}
		if err := r.deliver(&f.state, f.batch); err != nil {
			return err
		}
	}
}

// areaError says where f's read stopped.
func (r *runner[T]) areaError(f *flight[T]) error {
	at := f.batch.at(f.read)
	return &AreaError{
		Area:   at.Area,
		Chunk:  r.plan.geometry.AreaLocation(at.Area),
		Offset: r.plan.offset(at),
		Read:   r.end.Exceptions,
		Err:    f.err,
	}
}
