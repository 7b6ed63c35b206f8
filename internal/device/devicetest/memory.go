// Package devicetest has a device in memory for tests: one that fails where
// the test wants it to, and remembers what was read.
package devicetest

import (
	"io"
	"slices"
	"sync"
)

// sectorSize is the logical block of a device that was given no other.
const sectorSize = 512

// pageSize is the unit in which content is kept. What was never put is zeros
// and takes no room, so that stores with large chunks can be tested.
const pageSize = 4096

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
	// Fault, where set, is asked before each read. An error fails the read
	// after n bytes. It may be called by several goroutines at once.
	Fault func(offset int64, length int) (n int, err error)

	size int64

	mu     sync.Mutex
	pages  map[int64]*[pageSize]byte // by number; absent where all is zero
	reads  []Range
	active int
}

// New returns a device of size bytes, all of them zero.
func New(size int64) *Memory {
	return &Memory{size: size, pages: map[int64]*[pageSize]byte{}}
}

// Of returns a device that holds a copy of image.
func Of(image []byte) *Memory {
	m := New(int64(len(image)))
	m.Put(0, image)
	return m
}

// Resize gives the device another size. Content behind it stays where it is.
func (m *Memory) Resize(size int64) { m.size = size }

// Put sets content, for the test's own use.
func (m *Memory) Put(offset int64, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(content) > 0 {
		number, skip := offset/pageSize, offset%pageSize
		page := m.pages[number]
		if page == nil {
			page = new([pageSize]byte)
			m.pages[number] = page
		}
		n := copy(page[skip:], content)
		content, offset = content[n:], offset+int64(n)
	}
}

// Peek gets content past Fault and the record, for the test's own use.
func (m *Memory) Peek(p []byte, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(p) > 0 {
		number, skip := offset/pageSize, offset%pageSize
		n := int(min(int64(len(p)), pageSize-skip))
		if page := m.pages[number]; page != nil {
			copy(p[:n], page[skip:])
		} else {
			clear(p[:n])
		}
		p, offset = p[n:], offset+int64(n)
	}
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
	m.begin(Range{offset, len(p)})
	defer m.done()
	var err error
	if left := max(m.size-offset, 0); int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	if m.Fault != nil {
		if n, fault := m.Fault(offset, len(p)); fault != nil {
			p, err = p[:min(n, len(p))], fault
		}
	}
	m.Peek(p, offset)
	return len(p), err
}

func (m *Memory) begin(r Range) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads = append(m.reads, r)
	m.active++
}

func (m *Memory) done() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active--
}

// Reads are the reads so far, failed ones too, in the order of their start.
func (m *Memory) Reads() []Range {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.reads)
}

// Active is the number of reads that are under way.
func (m *Memory) Active() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active
}
