package device

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"unsafe"

	"dmcow/internal/memory"

	"golang.org/x/sys/unix"
)

// TestAIOLayout: the kernel's structures, byte for byte.
func TestAIOLayout(t *testing.T) {
	var r iocb
	var e ioEvent
	got := []uintptr{unsafe.Offsetof(r.opcode), unsafe.Offsetof(r.fd), unsafe.Offsetof(r.buf), unsafe.Offsetof(r.nbytes),
		unsafe.Offsetof(r.offset), unsafe.Sizeof(r), unsafe.Offsetof(e.res), unsafe.Sizeof(e)}
	if want := []uintptr{16, 20, 24, 32, 40, 64, 16, 32}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A fakeAIO stands in for the kernel. It does a transfer no sooner than that is
// waited for, the youngest first.
type fakeAIO struct {
	aio      *aio
	file     *os.File
	underWay []iocb
	log      []string

	// What goes wrong, if anything does; call counts from 0.
	setup  error
	submit func(call, n int) (int, error)          // how many of n it takes
	wait   func(call int) error                    // why it does not wait
	result func(number uint64, n int) (int, error) // how much of n bytes it does

	setups, submits, waits, destroyed int
}

// fake puts a fakeAIO in the place of the kernel's.
func fake(w *Writable, f *fakeAIO) {
	f.aio, f.file = w.aio, w.file
	f.aio.setup = func(int) (uintptr, error) {
		f.setups++
		if f.setup != nil {
			return 0, f.setup
		}
		return 1, nil
	}
	f.aio.submit, f.aio.getEvents, f.aio.destroy = f.take, f.events, f.end
}

func (f *fakeAIO) take(_ uintptr, requests []*iocb) (n int, err error) {
	n = len(requests)
	if f.submit != nil {
		n, err = f.submit(f.submits, n)
	}
	f.submits++
	f.log = append(f.log, fmt.Sprintf("submit %d: %d", len(requests), n))
	for _, r := range requests[:n] {
		f.underWay = append(f.underWay, *r)
	}
	return n, err
}

func (f *fakeAIO) events(_ uintptr, atLeast int, events []ioEvent) (n int, err error) {
	if f.wait != nil {
		err = f.wait(f.waits)
	}
	f.waits++
	f.log = append(f.log, fmt.Sprintf("wait %d", atLeast))
	if err != nil {
		return 0, err
	}
	for i := range atLeast {
		last := len(f.underWay) - 1
		events[i] = f.transfer(f.underWay[last])
		f.underWay = f.underWay[:last]
	}
	return atLeast, nil
}

func (f *fakeAIO) end(uintptr) {
	f.destroyed++
	if len(f.underWay) > 0 {
		f.log = append(f.log, fmt.Sprintf("destroy: %d under way", len(f.underWay)))
	}
}

// transfer does what r asks for, or a part of it.
func (f *fakeAIO) transfer(r iocb) ioEvent {
	v := f.aio.vectors[r.data]
	if r.buf != uint64(uintptr(unsafe.Pointer(unsafe.SliceData(v.pieces)))) || r.nbytes != uint64(len(v.pieces)) || r.fd != uint32(f.file.Fd()) {
		return ioEvent{data: r.data, res: -int64(unix.EFAULT)}
	}
	left, err := int(v.size), error(nil)
	if f.result != nil {
		left, err = f.result(r.data, left)
	}
	n := 0
	for _, piece := range v.pieces {
		p := unsafe.Slice(piece.Base, piece.Len)
		p = p[:min(len(p), left-n)]
		if err == nil && r.opcode == opReadVector {
			_, err = f.file.ReadAt(p, r.offset+int64(n))
		} else if err == nil && r.opcode == opWriteVector {
			_, err = f.file.WriteAt(p, r.offset+int64(n))
		}
		n += len(p)
	}
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return ioEvent{data: r.data, res: -int64(errno)}
	}
	return ioEvent{data: r.data, res: int64(n)}
}

// manyBlocks is n blocks of 512 bytes in memory, and where each of them is in a
// device: the last one comes first.
func manyBlocks(n int) (p [][]byte, at []int64) {
	buffer := memory.Aligned(n * 512)
	for i := range n {
		p = append(p, buffer[i*512:][:512])
		at = append(at, int64(n-1-i)*512)
	}
	return p, at
}

// gather is what the blocks of manyBlocks make in the device.
func gather(p [][]byte) []byte {
	p = slices.Clone(p)
	slices.Reverse(p)
	return slices.Concat(p...)
}

// fails is an error of one call.
func fails(at int, err error) func(call int) error {
	return func(call int) error {
		if call == at {
			return err
		}
		return nil
	}
}

// does is what the kernel does with one transfer, when it does all others whole.
func does(which uint64, n int, err error) func(number uint64, n int) (int, error) {
	return func(number uint64, all int) (int, error) {
		if number == which {
			return n, err
		}
		return all, nil
	}
}

// takes is how many requests each call takes; where that is a negative number,
// it is an error.
func takes(all ...int) func(call, n int) (int, error) {
	return func(call, n int) (int, error) {
		if call >= len(all) {
			return n, nil
		}
		if all[call] < 0 {
			return 0, unix.Errno(-all[call])
		}
		return all[call], nil
	}
}

// fakeKernels are the ways that the kernel may take requests: what it is asked
// for then.
func fakeKernels() []fakeCase {
	const again, refused, interrupted = -int(unix.EAGAIN), -int(unix.EINVAL), -int(unix.EINTR)
	return []fakeCase{
		{"at once", fakeAIO{}, 5, []string{"submit 5: 5", "wait 5"}},
		{"one alone", fakeAIO{}, 1, nil},
		{"nothing", fakeAIO{}, 0, nil},
		{"more than at once", fakeAIO{}, aioDepth + 2,
			[]string{"submit 1024: 1024", "wait 1024", "submit 2: 2", "wait 2"}},
		{"no asynchronous I/O", fakeAIO{setup: unix.ENOSYS}, 5, nil},
		{"one by one", fakeAIO{submit: takes(1, 1, 1)}, 4,
			[]string{"submit 4: 1", "submit 3: 1", "submit 2: 1", "submit 1: 1", "wait 4"}},
		{"full", fakeAIO{submit: takes(3, again, again)}, 5,
			[]string{"submit 5: 3", "submit 2: 0", "wait 1", "submit 2: 0", "wait 1", "submit 2: 2", "wait 3"}},
		{"full, and nothing to wait for", fakeAIO{submit: takes(again)}, 3,
			[]string{"submit 3: 0", "submit 2: 2", "wait 2"}},
		{"interrupted", fakeAIO{submit: takes(interrupted), wait: fails(0, unix.EINTR)}, 3,
			[]string{"submit 3: 0", "submit 3: 3", "wait 3", "wait 3"}},
		{"interrupted when full", fakeAIO{submit: takes(1, again), wait: fails(0, unix.EINTR)}, 2,
			[]string{"submit 2: 1", "submit 1: 0", "wait 1", "submit 1: 1", "wait 2"}},
		{"one refused", fakeAIO{submit: takes(1, refused)}, 4,
			[]string{"submit 4: 1", "submit 3: 0", "submit 2: 2", "wait 3"}},
		{"all refused", fakeAIO{submit: takes(refused, refused, refused)}, 3,
			[]string{"submit 3: 0", "submit 2: 0", "submit 1: 0"}},
		{"events are not to be had", fakeAIO{submit: takes(1, again), wait: fails(0, unix.EINVAL)}, 3,
			[]string{"submit 3: 1", "submit 2: 0", "wait 1", "destroy: 1 under way"}},
		{"a short one", fakeAIO{result: does(1, 100, nil)}, 3, []string{"submit 3: 3", "wait 3"}},
		{"one not done", fakeAIO{result: does(1, 0, nil)}, 3, []string{"submit 3: 3", "wait 3"}},
		{"one interrupted", fakeAIO{result: does(1, 0, unix.EINTR)}, 3, []string{"submit 3: 3", "wait 3"}},
		{"an error", fakeAIO{result: does(2, 0, unix.EIO)}, 5, []string{"submit 5: 5", "wait 5"}},
	}
}

type fakeCase struct {
	name   string
	kernel fakeAIO
	n      int // transfers
	log    []string
}

// TestAIO: whatever the kernel does with the requests, all is done when the call
// returns: what it did not do is tried again, piece by piece.
func TestAIO(t *testing.T) {
	for _, c := range fakeKernels() {
		t.Run("read, "+c.name, func(t *testing.T) { c.check(t, readBlocksOf) })
	}
	for _, c := range fakeKernels() {
		t.Run("write, "+c.name, func(t *testing.T) { c.check(t, writeBlocksOf) })
	}
}

func (c *fakeCase) check(t *testing.T, transfer func(t *testing.T, w *Writable, n int) (to, from []byte, failed int, err error)) {
	w, k := manyFile(t, c.n), &c.kernel
	fake(w, k)
	to, from, failed, err := transfer(t, w, c.n)
	if err != nil || !bytes.Equal(to, from) {
		t.Errorf("the first to fail is %d: %v; same is %v", failed, err, bytes.Equal(to, from))
	}
	if !slices.Equal(k.log, c.log) {
		t.Errorf("calls %q, want %q", k.log, c.log)
	}
	w.Close()
	if want := 1; c.n > 1 && (k.setups != want || k.setup == nil && k.destroyed != want) {
		t.Errorf("made %d contexts, destroyed %d", k.setups, k.destroyed)
	}
}

// manyFile is a file of n blocks, with content, that passes for one that is read
// and written directly.
func manyFile(t *testing.T, n int) *Writable {
	t.Helper()
	path, _ := numbered(t, n*512)
	w := openedWritable(t, path)
	w.direct = true
	return w
}

// readBlocksOf reads n blocks, the last one first.
func readBlocksOf(t *testing.T, w *Writable, n int) (to, from []byte, failed int, err error) {
	p, at := manyBlocks(n)
	failed, err = w.ReadMany(p, at)
	from, e := os.ReadFile(w.Path())
	if e != nil {
		t.Fatal(e)
	}
	return gather(p), from, failed, err
}

// writeBlocksOf writes n blocks, the last one first.
func writeBlocksOf(t *testing.T, w *Writable, n int) (to, from []byte, failed int, err error) {
	p, at := manyBlocks(n)
	for i := range p {
		copy(p[i], fmt.Sprintf("block %d", i))
	}
	failed, err = w.WriteMany(p, at)
	to, e := os.ReadFile(w.Path())
	if e != nil {
		t.Fatal(e)
	}
	return to, gather(p), failed, err
}

// TestAIOIsMadeOnce: for all sections, and not any more when it was not to be had
// or the device is closed.
func TestAIOIsMadeOnce(t *testing.T) {
	for _, setup := range []error{nil, unix.EAGAIN} {
		w := manyFile(t, 4)
		k := &fakeAIO{setup: setup}
		fake(w, k)
		section, err := w.Section(512, -1)
		if err != nil {
			t.Fatal(err)
		}
		p, at := manyBlocks(2)
		for range 2 {
			if _, err := w.ReadMany(p, at); err != nil {
				t.Error(err)
			}
			if _, err := section.WriteMany(p, at); err != nil {
				t.Error(err)
			}
		}
		section.Close()
		if _, err := w.ReadMany(p, at); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read from what is closed: %v", err)
		}
		if _, err := w.WriteMany(p, at); !errors.Is(err, os.ErrClosed) {
			t.Errorf("written to what is closed: %v", err)
		}
		if k.setups != 1 || setup == nil && k.destroyed != 1 {
			t.Errorf("made %d contexts, destroyed %d", k.setups, k.destroyed)
		}
	}
}

// TestAIOIsNotMadeOfWhatIsClosed: it would remain for ever.
func TestAIOIsNotMadeOfWhatIsClosed(t *testing.T) {
	w := manyFile(t, 4)
	k := &fakeAIO{}
	fake(w, k)
	w.Close()
	p, at := manyBlocks(4)
	if _, err := w.ReadMany(p, at); !errors.Is(err, os.ErrClosed) || k.setups != 0 {
		t.Errorf("%v, made %d contexts", err, k.setups)
	}
}

// TestAIOOfAlignedMemory: of direct transfers the kernel is given those that are
// aligned, and no more; of others it is given all.
func TestAIOOfAlignedMemory(t *testing.T) {
	w := manyFile(t, 8)
	k := &fakeAIO{}
	fake(w, k)
	buffer := memory.Aligned(8 * 512)
	p := [][]byte{buffer[:512], buffer[513:1025], buffer[1536:2048], buffer[2048:2560], buffer[2560:2660]}
	at := []int64{0, 512, 1024, 1536, 2048}
	// The file is not open for direct I/O, and takes any memory.
	if _, err := w.WriteMany(p[:4], at); err != nil {
		t.Error(err)
	}
	at[3]++
	if _, err := w.ReadMany(p, at); err != nil {
		t.Error(err)
	}
	want := []string{"submit 2: 2", "wait 2", "submit 2: 2", "wait 2"}
	if !slices.Equal(k.log, want) {
		t.Errorf("calls %q, want %q", k.log, want)
	}
	w.direct = false
	want = append(want, "submit 3: 3", "wait 3")
	if _, err := w.ReadMany(p, at); err != nil || !slices.Equal(k.log, want) {
		t.Errorf("calls %q, %v; want %q", k.log, err, want)
	}
}

// TestAIOOfNeighbours: pieces that follow each other on the device are one transfer,
// wherever they are in memory, up to the kernel's limit; of one that was not done
// whole, the rest is done.
func TestAIOOfNeighbours(t *testing.T) {
	for _, c := range []struct {
		n      int
		result func(uint64, int) (int, error)
		log    []string
	}{
		{5, nil, []string{"submit 1: 1", "wait 1"}},
		{maxPieces + 2, nil, []string{"submit 2: 2", "wait 2"}},
		{maxPieces + 2, does(1, 512, nil), []string{"submit 2: 2", "wait 2"}},
		{5, does(0, 1200, nil), []string{"submit 1: 1", "wait 1"}},
		{5, does(0, 0, unix.EIO), []string{"submit 1: 1", "wait 1"}},
	} {
		w := manyFile(t, c.n)
		k := &fakeAIO{result: c.result}
		fake(w, k)
		p, at := manyBlocks(c.n)
		slices.Reverse(at)
		for i := range p {
			copy(p[i], fmt.Sprintf("block %d", i))
		}
		_, err := w.WriteMany(p, at)
		if content, e := os.ReadFile(w.Path()); err != nil || e != nil || !bytes.Equal(content, slices.Concat(p...)) {
			t.Errorf("%d written: %v, %v", c.n, err, e)
		}
		content := bytes.Clone(slices.Concat(p...))
		for i := range p {
			clear(p[i])
		}
		if _, err := w.ReadMany(p, at); err != nil || !bytes.Equal(content, slices.Concat(p...)) {
			t.Errorf("%d read: %v", c.n, err)
		}
		if want := slices.Concat(c.log, c.log); !slices.Equal(k.log, want) {
			t.Errorf("calls %q, want %q", k.log, want)
		}
	}
}
