package devicetest

import "sync"

// Kind is a kind of operation, or several, joined by |.
type Kind int

// The kinds of operations.
const (
	Read Kind = 1 << iota
	Write
	Sync
)

// Op is an operation that a device is asked for. That of a Sync has no range.
type Op struct {
	Kind Kind
	Range
}

// BadByte is a fault for Memory.Fault: every read or write that comes to the
// byte at offset bad fails there, as on a bad sector.
func BadByte(bad int64, err error) func(Op) (int, error) {
	return func(op Op) (int, error) {
		if bad < op.Offset || bad >= op.Offset+int64(op.Length) {
			return 0, nil
		}
		return int(bad - op.Offset), err
	}
}

// NthOp is a fault: one operation fails, and all others go well. A test that
// counts N up until none has failed has tried every operation.
type NthOp struct {
	N     int  // which one of its kinds, counted from 0
	Kinds Kind // what is counted and may fail; 0 stands for every kind
	Part  int  // how many bytes of it are done all the same
	Err   error

	mu    sync.Mutex
	count int
}

// Fault is to be set as Memory.Fault.
func (f *NthOp) Fault(op Op) (int, error) {
	if f.Kinds != 0 && f.Kinds&op.Kind == 0 {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.count-1 != f.N {
		return 0, nil
	}
	return f.Part, f.Err
}

// Failed reports whether there were as many operations.
func (f *NthOp) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count > f.N
}
