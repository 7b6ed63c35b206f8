package device

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// aioDepth is how many transfers the kernel is given at once.
const aioDepth = 1024

// aio is the kernel's asynchronous I/O (io_submit(2)) on an open file. It is
// made at the first use, and there may be none: what it leaves undone, others
// do by plain reads and writes.
//
// One call uses it at a time, and waits for all that it has begun: so every
// event is one of that call, and nothing is under way when the file is closed.
type aio struct {
	mu      sync.Mutex
	context uintptr // zero where there is none
	tried   bool    // whether there is one is known
	memory  [][]byte

	// The kernel's; tests put others in their place.
	setup     func(depth int) (context uintptr, err error)
	submit    func(context uintptr, requests []*iocb) (int, error)
	getEvents func(context uintptr, atLeast int, events []ioEvent) (int, error)
	destroy   func(context uintptr)
}

func newAIO() *aio {
	return &aio{setup: ioSetup, submit: ioSubmit, getEvents: ioGetEvents, destroy: ioDestroy}
}

// transfer does what the requests ask for on the file f, between it and memory.
// For each request results has, at its number, what the kernel returned; it is
// left alone where the kernel did not take the request.
func (a *aio) transfer(f *os.File, requests []iocb, memory [][]byte, results []int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ready() {
		return
	}
	// The requests hold addresses as numbers, which keep nothing where it is:
	// memory that the heap refers to is neither freed nor on a stack that moves.
	a.memory = memory
	pointers := make([]*iocb, len(requests))
	for i := range requests {
		requests[i].fd = uint32(f.Fd())
		pointers[i] = &requests[i]
	}
	for len(pointers) > 0 {
		n := min(len(pointers), aioDepth)
		a.batch(pointers[:n], results)
		pointers = pointers[n:]
	}
	a.memory = nil
	runtime.KeepAlive(f)
}

// ready tells whether there is asynchronous I/O. The caller holds the lock.
func (a *aio) ready() bool {
	if !a.tried {
		a.tried = true
		a.context, _ = a.setup(aioDepth)
	}
	return a.context != 0
}

// batch does as many requests as the kernel can be given at once, and returns
// when none is under way. It does none any more when asynchronous I/O has ended.
func (a *aio) batch(requests []*iocb, results []int64) {
	events := make([]ioEvent, len(requests))
	underWay := 0
	for len(requests) > 0 && a.context != 0 {
		n, err := a.submit(a.context, requests)
		switch {
		case n > 0:
			underWay += n
			requests = requests[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && underWay > 0:
			underWay -= a.wait(1, events[:underWay], results)
		default:
			requests = requests[1:] // the first one is what it does not take
		}
	}
	for underWay > 0 {
		underWay -= a.wait(underWay, events[:underWay], results)
	}
}

// wait waits for that many requests to be done, and returns how many are: fewer
// if a signal comes between.
func (a *aio) wait(atLeast int, events []ioEvent, results []int64) int {
	n, err := a.getEvents(a.context, atLeast, events)
	switch {
	case errors.Is(err, unix.EINTR):
		return 0
	case err != nil:
		a.end() // waits for what is under way, whose results are lost
		return len(events)
	}
	for _, e := range events[:n] {
		results[e.data] = e.res
	}
	return n
}

// end ends asynchronous I/O, when the kernel has done all that is under way. The
// caller holds the lock.
func (a *aio) end() {
	if a.context != 0 {
		a.destroy(a.context)
		a.context = 0
	}
}

// close ends asynchronous I/O on the file for ever.
func (a *aio) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried = true
	a.end()
}

// An iocb asks for a transfer (linux/aio_abi.h). What stays zero has no name: so
// the layout is the same for all processors.
type iocb struct {
	data   uint64    // the request's number; comes back with the event
	_      [2]uint32 // aio_key and aio_rw_flags, whose order differs
	opcode uint16
	_      int16 // aio_reqprio
	fd     uint32
	buf    uint64 // address
	nbytes uint64
	offset int64     // in the file, in bytes
	_      uint64    // aio_reserved2
	_      [2]uint32 // aio_flags and aio_resfd
}

// Opcodes of an iocb.
const (
	opRead  = 0 // IOCB_CMD_PREAD
	opWrite = 1 // IOCB_CMD_PWRITE
)

// An ioEvent tells that a transfer is done.
type ioEvent struct {
	data uint64 // the request's number
	_    uint64 // the address of its iocb
	res  int64  // what pread(2) or pwrite(2) would have returned; an errno is negative
	_    int64
}

func ioSetup(depth int) (context uintptr, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(depth), uintptr(unsafe.Pointer(&context)), 0)
	if errno != 0 {
		return 0, errno
	}
	return context, nil
}

func ioSubmit(context uintptr, requests []*iocb) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, context,
		uintptr(len(requests)), uintptr(unsafe.Pointer(unsafe.SliceData(requests))))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func ioGetEvents(context uintptr, atLeast int, events []ioEvent) (int, error) {
	const noTimeout = 0
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, context, uintptr(atLeast),
		uintptr(len(events)), uintptr(unsafe.Pointer(unsafe.SliceData(events))), noTimeout, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func ioDestroy(context uintptr) { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, context, 0, 0) }
