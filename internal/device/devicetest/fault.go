package devicetest

import "sync"

// BadByte is a fault for Memory.Fault: every read that comes to the byte at
// offset bad fails there, as on a bad sector.
func BadByte(bad int64, err error) func(int64, int) (int, error) {
	return func(offset int64, length int) (int, error) {
		if bad < offset || bad >= offset+int64(length) {
			return 0, nil
		}
		return int(bad - offset), err
	}
}

// NthRead is a fault: one read fails, and all others go well. A test that
// counts N up until no read has failed has tried every read.
type NthRead struct {
	N   int // which read, counted from 0
	Err error

	mu    sync.Mutex
	count int
}

// Fault is to be set as Memory.Fault.
func (f *NthRead) Fault(int64, int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.count-1 != f.N {
		return 0, nil
	}
	return 0, f.Err
}

// Failed tells whether there were as many reads.
func (f *NthRead) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count > f.N
}
