// Package ahead does work ahead of who takes it: on several jobs at once, and they are taken in order.
package ahead

import "sync/atomic"

// A Line is jobs on their way. It is used by one goroutine; the jobs are worked on by others.
type Line[J any] struct {
	work    func(*J)
	workers int
	started int
	queue   chan *item[J]
	flying  []*item[J] // in order
	taken   *item[J]
	spare   []*item[J]
	closing atomic.Bool // what has not begun is left undone
}

type item[J any] struct {
	job  *J
	done chan struct{} // has room for one
}

// New is a line without jobs. So many workers do the work, each on one job at a time; they begin with the jobs in
// order. Jobs that are given are the first to be used. The line is to be closed.
func New[J any](workers int, work func(*J), jobs ...*J) *Line[J] {
	l := &Line[J]{work: work, workers: workers}
	for _, j := range jobs {
		l.spare = append(l.spare, newItem(j))
	}
	return l
}

func newItem[J any](j *J) *item[J] { return &item[J]{j, make(chan struct{}, 1)} }

// Fill has jobs be worked on until there are so many, or next has no more. A job that next fills in may be one
// that was taken before: the one taken last is good until then. A lone job is done on the spot: another goroutine would
// only cost.
func (l *Line[J]) Fill(jobs int, next func(*J) bool) {
	l.giveBack()
	for len(l.flying) < jobs {
		i := l.unused()
		if !next(i.job) {
			l.spare = append(l.spare, i)
			return
		}
		l.flying = append(l.flying, i)
		if jobs == 1 {
			l.work(i.job)
			i.done <- struct{}{}
		} else {
			l.begin(i, jobs)
		}
	}
}

// Len is the number of jobs that are on their way.
func (l *Line[J]) Len() int { return len(l.flying) }

// Take is the first job on its way, when its work is done; nil if none is.
func (l *Line[J]) Take() *J {
	l.giveBack()
	if len(l.flying) == 0 {
		return nil
	}
	i := l.flying[0]
	<-i.done
	l.flying = append(l.flying[:0], l.flying[1:]...)
	l.taken = i
	return i.job
}

// Close waits for the work that has begun: nothing is being done any more when it returns. Jobs that have not begun
// are left undone.
func (l *Line[J]) Close() {
	l.closing.Store(true)
	for l.Take() != nil {
	}
	if l.queue != nil {
		close(l.queue)
	}
}

func (l *Line[J]) giveBack() {
	if l.taken != nil {
		l.spare, l.taken = append(l.spare, l.taken), nil
	}
}

func (l *Line[J]) unused() *item[J] {
	n := len(l.spare)
	if n == 0 {
		return newItem(new(J))
	}
	i := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return i
}

// begin gives a job to the workers, of which there are no more than jobs.
func (l *Line[J]) begin(i *item[J], jobs int) {
	if l.queue == nil {
		const ahead = 16 // more than that wait for a worker
		l.queue = make(chan *item[J], ahead)
	}
	if l.started < min(l.workers, jobs) {
		l.started++
		go func() {
			for i := range l.queue {
				if !l.closing.Load() {
					l.work(i.job)
				}
				i.done <- struct{}{}
			}
		}()
	}
	l.queue <- i
}
