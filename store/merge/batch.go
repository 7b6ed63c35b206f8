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

// take takes the batch in front of position end.
func (m *merger) take(end uint64) (batch, error) {
	b := batch{first: end - min(end, m.limit)}
	// Areas are cleared with fewer writes where a batch begins with one.
	if start := (b.first + m.slots - 1) / m.slots * m.slots; start < end {
		b.first = start
	}
	b.all = m.exceptions[:end-b.first]
	err := m.read(b.first, end, func(at uint64, x format.Exception) error {
		b.all[at-b.first] = x
		return m.judge(m.place(at), x)
	})
	if err != nil {
		return b, err
	}
	slices.SortFunc(b.all, compare)
	b.all = slices.Compact(b.all)
	for i, x := range b.all[1:] {
		if x.Old == b.all[i].Old {
			return b, fmt.Errorf("old chunk %d has two exceptions, with new chunks %d and %d", x.Old, b.all[i].New, x.New)
		}
	}
	return b, nil
}

// compare is the order of the origin.
func compare(a, b format.Exception) int {
	return cmp.Or(cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
}

// judge is what is wrong with an exception.
func (m *Merge) judge(at format.Place, x format.Exception) error {
	why := ""
	switch {
	case x.New < format.FirstData, m.geometry.IsMetadata(x.New):
		why = "the new chunk is metadata"
	case uint64(x.New) >= m.chunks:
		why = fmt.Sprintf("the new chunk does not lie on the COW device, which has %d chunks", m.chunks)
	case uint64(x.Old) >= uint64((m.size+m.geometry.ChunkBytes()-1)/m.geometry.ChunkBytes()):
		why = fmt.Sprintf("the old chunk does not lie on the origin, which has %d sectors", m.size.Sectors())
	default:
		return nil
	}
	return &BadExceptionError{at, x, why}
}
