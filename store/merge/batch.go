package merge

import (
	"cmp"
	"fmt"
	"slices"

	"dmcow/format"
)

// batch is exceptions from the end of the list, which are merged together.
type batch struct {
	first uint64 // position in the list
	// all are the exceptions, each of them once; in the order of the origin, until they
	// are copied.
	all []format.Exception
}

func (m *merger) take(end uint64) (batch, error) {
	b := batch{first: end - min(end, m.limit)}
	// Areas are cleared with fewer writes where a batch begins with one.
	if start := (b.first + m.slots - 1) / m.slots * m.slots; start < end {
		b.first = start
	}
	b.all = m.exceptions[:end-b.first]
	err := m.read(b.first, end, func(at uint64, x format.Exception) error {
		b.all[at-b.first] = x
		return m.checkException(m.geometry.PlaceAt(at), x)
	})
	if err != nil {
		return b, err
	}
	if err := m.sortOnce(&b); err != nil {
		return b, err
	}
	return b, m.setAside(&b)
}

// sortOnce brings a batch into the order of the origin, each exception once. Only what an
// interrupted rescue leaves has some twice; and two of one old chunk nobody can merge.
func (m *merger) sortOnce(b *batch) error {
	n := len(b.all)
	slices.SortFunc(b.all, compare)
	b.all = slices.Compact(b.all)
	if len(b.all) < n && !m.Rescue {
		return fmt.Errorf("%d exceptions are in the list twice, as an interrupted --rescue leaves them", n-len(b.all))
	}
	for i := 1; i < len(b.all); i++ {
		if x, before := b.all[i], b.all[i-1]; x.Old == before.Old {
			return fmt.Errorf("old chunk %d has two exceptions, with new chunks %d and %d", x.Old, before.New, x.New)
		}
	}
	return nil
}

// setAside takes exceptions past the snapshot's end out of a batch, which come last in it: they
// stay in the store.
func (m *merger) setAside(b *batch) error {
	i := slices.IndexFunc(b.all, m.isBeyond)
	if i < 0 {
		return nil
	}
	m.beyond = append(m.beyond, b.all[i:]...)
	b.all = b.all[:i]
	slices.SortFunc(m.beyond, compare)
	m.beyond = slices.Compact(m.beyond)
	m.result.Beyond = uint64(len(m.beyond))
	return m.checkFewLeft()
}

// checkFewLeft refuses to leave more exceptions in the store than can be kept in mind.
func (m *merger) checkFewLeft() error {
	if n := len(m.exceptions); len(m.result.Failed)+len(m.beyond) > n {
		return &TooManyError{n}
	}
	return nil
}

func (m *Prospect) isBeyond(x format.Exception) bool { return uint64(x.Old) >= m.shown }

// compare is the order of the origin.
func compare(a, b format.Exception) int {
	return cmp.Or(cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
}

func (m *Prospect) checkException(at format.Place, x format.Exception) error {
	why := ""
	switch {
	case x.New < format.FirstData, m.geometry.IsMetadata(x.New):
		why = "the new chunk is metadata"
	case uint64(x.New) >= m.chunks:
		why = fmt.Sprintf("the new chunk is past the end of the COW device (%d chunks)", m.chunks)
	case m.isBeyond(x) && !m.opening.Beyond:
		why = fmt.Sprintf("the old chunk is past the end of the snapshot (%d chunks)", m.shown)
	default:
		return nil
	}
	return &BadExceptionError{at, x, why}
}
