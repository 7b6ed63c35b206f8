package device

import (
	"sync"

	"golang.org/x/sys/unix"
)

// early has the kernel begin to write what is in the page cache of a file, while
// more is written there: so that the disk is not idle until a Sync, which has less to
// wait for then. It promises nothing.
type early struct {
	mu         sync.Mutex
	idle       *sync.Cond
	start, end int64 // what is to be begun next, in bytes; nothing where they are equal
	busy       bool

	// The kernel's; tests put another in its place.
	syncFileRange func(fd int, offset, length int64, flags int) error
}

func newEarly() *early {
	e := &early{syncFileRange: unix.SyncFileRange}
	e.idle = sync.NewCond(&e.mu)
	return e
}

// begin has writing begun of what stands from start up to end in a file. It does not
// wait.
func (e *early) begin(fd int, start, end int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.start == e.end {
		e.start, e.end = start, end
	} else {
		e.start, e.end = min(e.start, start), max(e.end, end)
	}
	if !e.busy {
		e.busy = true
		go e.work(fd)
	}
}

// work begins writing until there is no more to begin. An error is not looked at: the
// next sync of the file tells of it.
func (e *early) work(fd int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.start != e.end {
		start, end := e.start, e.end
		e.start, e.end = 0, 0
		e.mu.Unlock()
		_ = e.syncFileRange(fd, start, end-start, unix.SYNC_FILE_RANGE_WRITE)
		e.mu.Lock()
	}
	e.busy = false
	e.idle.Broadcast()
}

func (e *early) wait() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.start, e.end = 0, 0
	for e.busy {
		e.idle.Wait()
	}
}
