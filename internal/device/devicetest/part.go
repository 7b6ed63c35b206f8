package devicetest

import "io"

// Part is a part of a device in memory that passes for a device of its own. What
// is done to all parts of a device is in one record, in one order, and yet a Sync
// makes durable only what was written to its own part: so tests see what a crash
// leaves of several devices together.
type Part struct {
	memory       *Memory
	offset, size int64
}

// Part returns the part of size bytes from offset on, in bytes.
func (m *Memory) Part(offset, size int64) *Part { return &Part{m, offset, size} }

// Resize gives the part another size. It must stay within its device.
func (p *Part) Resize(size int64) { p.size = size }

// Image is a copy of all content, for the test's own use.
func (p *Part) Image() []byte {
	image := make([]byte, p.size)
	p.memory.Peek(image, p.offset)
	return image
}

// Holds reports whether all that the part holds is this content, for the test's own use.
func (p *Part) Holds(content []byte) bool {
	return p.size == int64(len(content)) && p.memory.holds(p.offset, content)
}

// Size is the size of the part in bytes.
func (p *Part) Size() int64 { return p.size }

// LogicalBlockSize is the whole device's, in bytes.
func (p *Part) LogicalBlockSize() int64 { return p.memory.LogicalBlockSize() }

// ReadAt is Memory's.
func (p *Part) ReadAt(b []byte, offset int64) (int, error) {
	left := max(p.size-offset, 0)
	if int64(len(b)) <= left {
		return p.memory.ReadAt(b, p.offset+offset)
	}
	n, err := p.memory.ReadAt(b[:left], p.offset+offset)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// WriteAt is Memory's.
func (p *Part) WriteAt(b []byte, offset int64) (int, error) {
	if err := p.memory.checkWithin(b, offset, p.size); err != nil {
		return 0, err
	}
	return p.memory.write(b, p.offset+offset, false)
}

// WriteDurable is Memory's; the Sync before it is the part's.
func (p *Part) WriteDurable(b []byte, offset int64) error {
	if err := p.memory.checkWithin(b, offset, p.size); err != nil {
		return err
	}
	if err := p.Sync(); err != nil {
		return err
	}
	_, err := p.memory.write(b, p.offset+offset, true)
	return err
}

// Sync makes every write to the part that has returned durable.
func (p *Part) Sync() error { return p.memory.sync(p.offset, p.size) }

// ReadMany reads b[i] from offset at[i], one after the other. The error is the one of
// the first that failed, with its index; the others are read all the same.
func (p *Part) ReadMany(b [][]byte, at []int64) (failed int, err error) {
	return many(b, at, p.ReadAt)
}

// WriteMany is the same for writes.
func (p *Part) WriteMany(b [][]byte, at []int64) (failed int, err error) {
	return many(b, at, p.WriteAt)
}

func many(b [][]byte, at []int64, do func([]byte, int64) (int, error)) (failed int, err error) {
	for i := range b {
		if _, e := do(b[i], at[i]); e != nil && err == nil {
			failed, err = i, e
		}
	}
	return failed, err
}
