package devicetest

import "fmt"

// WriteAt writes p, in whole logical blocks: all of it, or nothing past the
// device's end. It can be read at once, and is durable after the next Sync.
//
// Where Fault fails it, the sectors that came before stay written.
func (m *Memory) WriteAt(p []byte, offset int64) (int, error) {
	if err := m.checkWithin(p, offset, m.size); err != nil {
		return 0, err
	}
	return m.write(p, offset, false)
}

// Sync makes every write that has returned durable. One that fails makes
// nothing durable, but the next may.
func (m *Memory) Sync() error { return m.sync(0, m.size) }

// sync is Sync for what was written to a part.
func (m *Memory) sync(offset, size int64) error {
	op := Op{Kind: Sync}
	m.begin(op)
	defer m.done()
	if _, err := m.fault(op); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.add(event{kind: Sync, offset: offset, length: size})
	return nil
}

// WriteDurable is a Sync, and then a write of p as by WriteAt that is durable
// when it returns. To Fault and the record it is two operations.
func (m *Memory) WriteDurable(p []byte, offset int64) error {
	if err := m.checkWithin(p, offset, m.size); err != nil {
		return err
	}
	if err := m.Sync(); err != nil {
		return err
	}
	_, err := m.write(p, offset, true)
	return err
}

// checkWithin tells what a block device of the given size would not take.
func (m *Memory) checkWithin(p []byte, offset, size int64) error {
	n, block := int64(len(p)), m.LogicalBlockSize()
	switch {
	case offset%block != 0 || n%block != 0:
		return fmt.Errorf("devicetest: write of %d bytes at %d, not in whole blocks of %d", n, offset, block)
	case offset < 0 || offset > size || n > size-offset:
		return fmt.Errorf("devicetest: write of %d bytes at %d, past the end at %d", n, offset, size)
	}
	return nil
}

// write writes what was checked; what is left of a failed write is not
// durable.
func (m *Memory) write(p []byte, offset int64, durable bool) (int, error) {
	op := Op{Write, Range{offset, len(p)}}
	m.begin(op)
	defer m.done()
	n, err := m.fault(op)
	if err != nil {
		p, durable = p[:n/sectorSize*sectorSize], false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(offset, p)
	m.record.add(event{kind: Write, durable: durable, offset: offset, data: p})
	return len(p), err
}
