package device

import (
	"errors"
	"os"
	"runtime"
	"slices"
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
	context uintptr // zero if there is none
	tried   bool    // whether there is one is known

	// Of the call that uses it. They are used again: new memory for each call would
	// cost as much as the call.
	vectors  []vector
	pieces   []unix.Iovec
	iocbs    []iocb
	requests []*iocb
	events   []ioEvent

	// The kernel's; tests put others in their place.
	setup     func(depth int) (context uintptr, err error)
	submit    func(context uintptr, requests []*iocb) (int, error)
	getEvents func(context uintptr, atLeast int, events []ioEvent) (int, error)
	destroy   func(context uintptr)
}

func newAIO() *aio {
	return &aio{setup: ioSetup, submit: ioSubmit, getEvents: ioGetEvents, destroy: ioDestroy}
}

// transfer transfers between each p[i] and byte at[i] of the device, and notes in done
// how many bytes of it the kernel did.
func (a *aio) transfer(d *Device, opcode uint16, p [][]byte, at []int64, done []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tried {
		a.tried = true
		a.context, _ = a.setup(aioDepth)
	}
	if a.context == 0 {
		return
	}
	a.plan(d, p, at)
	a.request(opcode, d.file)
	for left := a.requests; len(left) > 0; {
		n := min(len(left), aioDepth)
		a.batch(left[:n])
		left = left[n:]
	}
	for _, v := range a.vectors {
		v.spread(done)
	}
	clear(a.pieces)
	runtime.KeepAlive(d.file)
}

// request makes the requests for all vectors. They hold addresses as numbers, which
// keep nothing where it is: but what a's fields refer to is neither freed nor on a
// stack that moves.
func (a *aio) request(opcode uint16, f *os.File) {
	n := len(a.vectors)
	a.iocbs, a.requests = slices.Grow(a.iocbs[:0], n)[:n], slices.Grow(a.requests[:0], n)[:n]
	for i, v := range a.vectors {
		a.iocbs[i] = iocb{
			data:   uint64(i),
			opcode: opcode,
			fd:     uint32(f.Fd()),
			buf:    uint64(uintptr(unsafe.Pointer(unsafe.SliceData(v.pieces)))),
			nbytes: uint64(len(v.pieces)),
			offset: v.offset,
		}
		a.requests[i] = &a.iocbs[i]
	}
}

// batch does as many requests as the kernel can be given at once, and returns
// when none is under way. It does none any more when asynchronous I/O has ended.
func (a *aio) batch(requests []*iocb) {
	a.events = slices.Grow(a.events[:0], len(requests))[:len(requests)]
	underWay := 0
	for len(requests) > 0 && a.context != 0 {
		n, err := a.submit(a.context, requests)
		switch {
		case n > 0:
			underWay += n
			requests = requests[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && underWay > 0:
			underWay -= a.wait(1, a.events[:underWay])
		default:
			requests = requests[1:] // the first one is what it does not take
		}
	}
	for underWay > 0 {
		underWay -= a.wait(underWay, a.events[:underWay])
	}
}

// wait waits for that many requests to be done, and returns how many are: fewer
// if a signal comes between.
func (a *aio) wait(atLeast int, events []ioEvent) int {
	n, err := a.getEvents(a.context, atLeast, events)
	switch {
	case errors.Is(err, unix.EINTR):
		return 0
	case err != nil:
		a.end() // waits for what is under way, whose results are lost
		return len(events)
	}
	for _, e := range events[:n] {
		a.vectors[e.data].result = e.res
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

// An iocb asks for the transfer of a vector (linux/aio_abi.h). What stays zero has no
// name: so the layout is the same for all processors.
type iocb struct {
	data   uint64    // the vector's index; comes back with the event
	_      [2]uint32 // aio_key and aio_rw_flags, whose order differs
	opcode uint16
	_      int16 // aio_reqprio
	fd     uint32
	buf    uint64    // address of the pieces' addresses and lengths
	nbytes uint64    // number of pieces
	offset int64     // in the file, in bytes
	_      uint64    // aio_reserved2
	_      [2]uint32 // aio_flags and aio_resfd
}

// Opcodes of an iocb.
const (
	opReadVector  = 7 // IOCB_CMD_PREADV
	opWriteVector = 8 // IOCB_CMD_PWRITEV
)

// An ioEvent tells that a transfer is done.
type ioEvent struct {
	data uint64 // the vector's index
	_    uint64 // the address of its iocb
	res  int64  // what preadv(2) or pwritev(2) would have returned; an errno is negative
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
