// Package devicetest has a device in memory for tests: one that fails where
// the test wants it to, remembers what it was asked for, and shows what a
// crash may have left of what was written ([Record.Crashes]).
package devicetest

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"sync"
)

// sectorSize is the logical block of a device that was given no other, and
// what a write is torn at: a sector holds either its old or its new content.
const sectorSize = 512

// pageSize is the unit in which content is kept. What was never put is zeros
// and takes no room, so that stores with large chunks can be tested.
const pageSize = 4096

// pages are by number, and absent where all is zero.
type pages map[int64]*[pageSize]byte

// Range is a range of bytes on a device.
type Range struct {
	Offset int64
	Length int
}

// Memory is a device in memory. It may be used by several goroutines at once,
// as far as the test sets it up before.
type Memory struct {
	// Block is the logical block size in bytes; 0 stands for 512.
	Block int64
	// Fault, where set, is asked before each operation. An error fails the
	// operation after n bytes, and a write after the whole sectors of these. It
	// may be called by several goroutines at once.
	Fault func(Op) (n int, err error)

	size int64

	mu     sync.Mutex
	shared pages // with other devices, hence never written to
	own    pages // in front of those
	ops    []Op
	active int
	record *Record
}

// New returns a device of size bytes, all of them zero.
func New(size int64) *Memory {
	ballast()
	return &Memory{size: size}
}

// Of returns a device that holds a copy of image.
func Of(image []byte) *Memory {
	m := New(int64(len(image)))
	m.Put(0, image)
	return m
}

// Clone returns a device of the same size, logical block and content, without
// a fault or a record. The two share pages until one of them is written to.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.own) > 0 {
		merged := make(pages, len(m.shared)+len(m.own))
		maps.Copy(merged, m.shared)
		maps.Copy(merged, m.own)
		m.shared, m.own = merged, nil
	}
	return &Memory{Block: m.Block, size: m.size, shared: m.shared}
}

// Image is a copy of all content, for the test's own use.
func (m *Memory) Image() []byte {
	image := make([]byte, m.size)
	m.Peek(image, 0)
	return image
}

// Resize gives the device another size. Content behind it stays where it is.
func (m *Memory) Resize(size int64) { m.size = size }

// Put sets content past Fault and the record, for the test's own use.
func (m *Memory) Put(offset int64, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(offset, content)
}

// put is Put with the lock held. A page that stays what it is stays shared.
func (m *Memory) put(offset int64, content []byte) {
	for len(content) > 0 {
		number, skip := offset/pageSize, offset%pageSize
		n := int(min(int64(len(content)), pageSize-skip))
		if !bytes.Equal(m.page(number)[skip:][:n], content[:n]) {
			copy(m.writable(number)[skip:], content)
		}
		content, offset = content[n:], offset+int64(n)
	}
}

// page is the page of the given number, to be read.
func (m *Memory) page(number int64) *[pageSize]byte {
	if page := m.own[number]; page != nil {
		return page
	}
	if page := m.shared[number]; page != nil {
		return page
	}
	return &zeros
}

var zeros [pageSize]byte

// writable is the page of the given number, as this device's own.
func (m *Memory) writable(number int64) *[pageSize]byte {
	page := m.own[number]
	if page != nil {
		return page
	}
	page = new([pageSize]byte)
	*page = *m.page(number)
	if m.own == nil {
		m.own = pages{}
	}
	m.own[number] = page
	return page
}

// Peek gets content past Fault and the record, for the test's own use.
func (m *Memory) Peek(p []byte, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(p) > 0 {
		n := copy(p, m.page(offset / pageSize)[offset%pageSize:])
		p, offset = p[n:], offset+int64(n)
	}
}

// Holds reports whether all that the device holds is this content, for the test's own use.
func (m *Memory) Holds(content []byte) bool {
	return m.size == int64(len(content)) && m.holds(0, content)
}

// holds reports whether content is what is there from offset on.
func (m *Memory) holds(offset int64, content []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(content) > 0 {
		here := m.page(offset / pageSize)[offset%pageSize:]
		n := min(len(here), len(content))
		if !bytes.Equal(here[:n], content[:n]) {
			return false
		}
		content, offset = content[n:], offset+int64(n)
	}
	return true
}

// Size is the size of the device in bytes.
func (m *Memory) Size() int64 { return m.size }

// LogicalBlockSize is the device's logical block in bytes.
func (m *Memory) LogicalBlockSize() int64 {
	if m.Block == 0 {
		return sectorSize
	}
	return m.Block
}

// ReadAt reads as a block device does: up to its end, and then io.EOF.
func (m *Memory) ReadAt(p []byte, offset int64) (int, error) {
	m.begin(Op{Read, Range{offset, len(p)}})
	defer m.done()
	var err error
	if left := max(m.size-offset, 0); int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	if n, fault := m.fault(Op{Read, Range{offset, len(p)}}); fault != nil {
		p, err = p[:n], fault
	}
	m.Peek(p, offset)
	return len(p), err
}

// fault asks Fault, if there is one, whether and after how many of its bytes
// op fails.
func (m *Memory) fault(op Op) (int, error) {
	if m.Fault == nil {
		return 0, nil
	}
	n, err := m.Fault(op)
	return min(n, op.Length), err
}

func (m *Memory) begin(op Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ops = append(m.ops, op)
	m.active++
}

func (m *Memory) done() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active--
}

// Ops are the operations so far, failed ones too, in the order of their start.
func (m *Memory) Ops() []Op {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ops)
}

// Reads are the reads among the operations so far.
func (m *Memory) Reads() []Range {
	var reads []Range
	for _, op := range m.Ops() {
		if op.Kind == Read {
			reads = append(reads, op.Range)
		}
	}
	return reads
}

// Active is the number of operations that are under way.
func (m *Memory) Active() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active
}
