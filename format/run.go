package format

import (
	"bytes"

	"dmcow/internal/ahead"
)

// maxWindow is how many batches are in flight at a time on a large store:
// enough to keep a disk busy when nothing is in the cache.
const maxWindow = 16

type runner[T any] struct {
	live    bool // Walk.Live
	layout  layout
	plan    plan
	reader  reader
	prepare func(*T, Batch)
	deliver func(*T, Batch) error
	line    *ahead.Line[request[T]] // in the list's order
	end     End
}

// request is a batch that is being read, or has been, with its buffer and its
// T.
type request[T any] struct {
	job
	ahead   bool // others were in flight when it started
	batch   Batch
	highest NewChunk
	read    int   // slots, of the job's
	err     error // why not all of them, or not those behind them
	buf     []byte
	state   T
}

// run delivers batch after batch. As full areas keep coming, first the batches
// grow, then the number of them in flight. The plan's last job, which meets the
// device's end, always fails, so that there is one to wait for until the end.
func (r *runner[T]) run() error {
	for window := 1; ; {
		r.line.Fill(window, r.next)
		if r.plan.grown() {
			window = min(2*window, maxWindow)
		}
		q := r.line.Take()
		if r.live && q.ahead && r.outdated(q) {
			r.load(q)
		}
		r.account(q)
		if err := r.deliver(&q.state, q.batch); err != nil {
			return err
		}
		if q.batch.live < q.read {
			return r.finish(q)
		}
		if q.err != nil {
			return r.areaError(q)
		}
	}
}

// next makes a request of the plan's next job, if there is one.
func (r *runner[T]) next(q *request[T]) (ok bool) {
	q.job, ok = r.plan.take()
	q.ahead = r.line.Len() > 0
	return ok
}

// load reads a batch, looks for the terminator, and has the batch prepared.
func (r *runner[T]) load(q *request[T]) {
	q.buf, q.err = r.reader.read(r.layout, q.job, q.buf)
	q.read = len(q.buf) / ExceptionSize
	q.batch, q.highest = r.layout.batch(q.job, q.buf)
	if r.prepare != nil {
		r.prepare(&q.state, q.batch)
	}
}

// outdated reports whether a batch's first area is another than when it was read. The kernel clears an area
// before it fills the one before it. A batch read ahead of the one before it may have been read before that;
// what it holds is then of an earlier life of the device. Within a batch areas are read in order, so that
// this cannot happen.
func (r *runner[T]) outdated(q *request[T]) bool {
	first := job{Place: q.Place, count: min(q.count, r.layout.slots-q.Index)}
	again := reader{device: r.reader.device}
	now, err := again.read(r.layout, first, nil)
	return err != nil || len(now) > len(q.buf) || !bytes.Equal(now, q.buf[:len(now)])
}

func (r *runner[T]) account(q *request[T]) {
	b, e := q.batch, &r.end
	e.Exceptions += uint64(b.live)
	e.Place = b.at(b.live)
	e.NextFree = nextFree(e.NextFree, b.cut(0, b.live), q.highest)
	e.Highest = max(e.Highest, q.highest)
	if e.Beyond == nil && uint64(q.highest) >= r.layout.chunks {
		e.Beyond = b.find(r.layout.chunks)
	}
}

// finish ends a walk whose terminator is in q: it delivers what the terminator hides where that was asked
// for, and makes sure that the device does not end in the area, since the kernel reads it whole. The rest of
// a large area is not read for that alone.
func (r *runner[T]) finish(q *request[T]) error {
	terminator := r.end.Place
	for {
		if q.err != nil && q.batch.at(q.read).Area == terminator.Area {
			return r.areaError(q)
		}
		j, more := r.layout.rest(q.job, terminator.Area)
		if !more {
			return nil
		}
		q.job = j
		q.buf, q.err = r.reader.read(r.layout, j, q.buf)
		q.read = len(q.buf) / ExceptionSize
		q.batch = Batch{Place: j.Place, slots: r.layout.slots, raw: q.buf, behind: true}
		if r.prepare != nil {
			r.prepare(&q.state, q.batch)
		}
		if err := r.deliver(&q.state, q.batch); err != nil {
			return err
		}
	}
}

func (r *runner[T]) areaError(q *request[T]) error {
	return r.layout.geometry.Unreadable(q.batch.at(q.read), r.end.Exceptions, q.err)
}
