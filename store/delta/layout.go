package delta

import "dmcow/format"

// Layout is where things lie in a delta.
type Layout struct {
	geometry format.Geometry
	first    uint64 // chunks of the beginning and of stripe 0's digests
	count    uint64 // exceptions
}

// Layout is where things lie in the delta that begins so.
func (h Head) Layout() Layout {
	chunks := (h.length() + h.Geometry.ChunkBytes() - 1) / h.Geometry.ChunkBytes()
	return Layout{h.Geometry, uint64(chunks) + 1, h.Count}
}

// slot is the number of the data chunk, counted as [format.Geometry.DataChunk] does, that exception i has; beyond
// the last one is the end's.
func (l Layout) slot(i uint64) uint64 {
	each := uint64(l.geometry.ExceptionsPerArea())
	if i < each-l.first {
		return l.first + i
	}
	i -= each - l.first
	return (1+i/(each-1))*each + 1 + i%(each-1)
}

// New is the chunk that has the data of exception i.
func (l Layout) New(i uint64) format.NewChunk { return l.geometry.DataChunk(l.slot(i)) }

// Size is the size of the whole delta, in bytes.
func (l Layout) Size() format.Bytes { return l.geometry.Offset(l.New(l.count) + 1) }

// digests is the chunk that has stripe k's digests.
func (l Layout) digests(k format.AreaIndex) format.NewChunk {
	if k == 0 {
		return l.geometry.DataChunk(l.first - 1)
	}
	return l.geometry.AreaLocation(k) + 1
}

// stripes is how many stripes there are. The last one has the end.
func (l Layout) stripes() format.AreaIndex {
	return format.AreaIndex(l.slot(l.count)/uint64(l.geometry.ExceptionsPerArea())) + 1
}

// data are the exceptions whose data stripe k has, from number first up to end. Its digest chunk has theirs from
// slot at on.
func (l Layout) data(k format.AreaIndex) (first, end uint64, at int) {
	each := uint64(l.geometry.ExceptionsPerArea())
	end = each - l.first + uint64(k)*(each-1)
	if k == 0 {
		return 0, min(end, l.count), int(l.first)
	}
	return min(end-(each-1), l.count), min(end, l.count), 1
}

// listed are the exceptions that stand in area k, from number first up to end.
func (l Layout) listed(k format.AreaIndex) (first, end uint64) {
	each := uint64(l.geometry.ExceptionsPerArea())
	return min(uint64(k)*each, l.count), min((uint64(k)+1)*each, l.count)
}
