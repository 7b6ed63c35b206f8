package merge

import (
	"bytes"
	"errors"

	"dmcow/format"
	"dmcow/store"
)

// What stands behind the list's end in its area is dropped by a merge, as by the
// kernel's, where a torn commit or a torn step of a merge explains it. Where none
// does, either a damaged entry hides good exceptions, or a power cut struck while a
// batch was cleared (see the package comment). Then the origin tells: what has been
// merged is equal there, and that it does not matter whether the exception is there
// is all that has to be known.

// mostUnproven is how many hidden exceptions may have to be looked for in the list.
const mostUnproven = 1 << 16

// provenHidden wants what hides behind the list's end to be such that it can be
// dropped. The error is a [*store.HiddenError], or one of reading.
func (m *Merge) provenHidden(end format.End) error {
	h, err := store.LookBehind(m.cow, m.geometry, end)
	if err != nil || h.Count == 0 || h.Why == "" {
		return err
	}
	refused := &store.HiddenError{Place: h.Place, First: h.First, Why: h.Why}
	unproven := map[format.Exception]bool{}
	err = m.behind(m.position(h.Place), func(at uint64, x format.Exception) error {
		switch {
		case m.merged(m.place(at), x):
		case len(unproven) == mostUnproven:
			return refused
		default:
			unproven[x] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.inList(unproven, m.position(h.Place), refused)
}

// behind hands out the exceptions that would follow if the list did not end at a
// position: in the rest of its area, and in the areas behind up to the next end.
func (m *Merge) behind(end uint64, use func(uint64, format.Exception) error) error {
	next := (end/m.slots + 1) * m.slots
	err := m.read(end+1, next, func(at uint64, x format.Exception) error {
		if x.New == 0 {
			return nil
		}
		return use(at, x)
	})
	if err != nil {
		return err
	}
	err = m.read(next, m.geometry.Areas(m.chunks)*m.slots, func(at uint64, x format.Exception) error {
		if x.New == 0 {
			return errEnd
		}
		return use(at, x)
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// errEnd ends a look at exceptions.
var errEnd = errors.New("the end of the list")

// merged tells whether the origin holds what an exception's new chunk does.
func (m *Merge) merged(at format.Place, x format.Exception) bool {
	if m.judge(at, x) != nil {
		return false
	}
	const size = 64 << 10
	data, there := make([]byte, size), make([]byte, size)
	for skip := format.Bytes(0); skip < m.lengthOf(x); skip += size {
		n := min(size, m.lengthOf(x)-skip)
		p := piece{Exception: x, skip: skip}
		if got, _ := m.cow.ReadAt(data[:n], int64(m.source(p))); got < int(n) {
			return false
		}
		if got, _ := m.origin.ReadAt(there[:n], int64(m.target(p))); got < int(n) || !bytes.Equal(data[:n], there[:n]) {
			return false
		}
	}
	return true
}

// inList wants the list up to position end to hold the given exceptions, which are
// copies then (see shrink).
func (m *Merge) inList(wanted map[format.Exception]bool, end uint64, refused error) error {
	if len(wanted) == 0 {
		return nil
	}
	err := m.read(0, end, func(_ uint64, x format.Exception) error {
		delete(wanted, x)
		return nil
	})
	if err == nil && len(wanted) > 0 {
		err = refused
	}
	return err
}
