package look

import (
	"fmt"
	"math"
	"math/bits"

	"dmcow/format"
)

// Usage is how the space of a COW device is used, as the kernel would find it
// on loading the store. Its figures follow from where the walk ended.
type Usage struct {
	Geometry format.Geometry
	Size     format.Bytes // of the device
	End      format.End
}

// FreshUsage is the usage of an empty store, such as the kernel makes on a
// blank device.
func FreshUsage(g format.Geometry, size format.Bytes) Usage {
	return Usage{Geometry: g, Size: size, End: format.End{NextFree: format.FirstData}}
}

// StatusUsage is the usage that the kernel's status line tells of, in sectors: what is allocated, in all, and of that
// metadata. Chunks that were lost to holes count as exceptions. ok is false where no store can have these figures.
func StatusUsage(g format.Geometry, allocated, total, metadata format.Sectors) (u Usage, ok bool) {
	chunk := g.ChunkSectors()
	if g.IsZero() || allocated%chunk != 0 || metadata%chunk != 0 || metadata < 2*chunk || allocated < metadata {
		return Usage{}, false
	}
	e := uint64(g.ExceptionsPerArea())
	area, exceptions := uint64(metadata/chunk)-2, uint64((allocated-metadata)/chunk)
	index := exceptions - min(exceptions, area*e)
	return Usage{Geometry: g, Size: total.Bytes(), End: format.End{
		Place: format.Place{Area: format.AreaIndex(area), Index: int(min(index, e-1))}, NextFree: format.NewChunk(allocated / chunk), Exceptions: exceptions,
	}}, true
}

// Chunks is the number of whole chunks on the device.
func (u Usage) Chunks() uint64 { return u.Geometry.Chunks(u.Size) }

// Areas is the number of areas that the list uses, the one with the terminator
// included.
func (u Usage) Areas() uint64 { return uint64(u.End.Area) + 1 }

// Allocated, Total and Metadata are the kernel's figures (persistent_usage),
// which counts in 64 bits: damage may wrap Allocated.
func (u Usage) Allocated() format.Sectors {
	return format.Sectors(u.End.NextFree) * u.Geometry.ChunkSectors()
}

// Total is the device's size.
func (u Usage) Total() format.Sectors { return u.Size.Sectors() }

// Metadata is the size of the header and the areas in use.
func (u Usage) Metadata() format.Sectors {
	return format.Sectors(u.Areas()+1) * u.Geometry.ChunkSectors()
}

// Status is what the kernel's status line has behind the target's name for a
// store that is valid (snapshot_status in dm-snap.c).
func (u Usage) Status() string {
	return fmt.Sprintf("%d/%d %d", u.Allocated(), u.Total(), u.Metadata())
}

// Percent is how full the store is, as lvs shows it: 0 for an empty store, 100
// for a full one and for no other that fits its device.
//
// LVM counts in millionths of a per cent and shows them as a 32-bit float with
// two decimals (dm_make_percent and dm_percent_to_round_float in libdm).
func (u Usage) Percent() float64 {
	allocated, total := u.Allocated(), u.Total()
	switch {
	case allocated == u.Metadata():
		return 0
	case allocated == total || total == 0:
		return 100
	case allocated == 0:
		return 0 // damage wrapped it
	}
	const million = 1e6
	percent := float64(float32(math.Trunc(100*million*(float64(allocated)/float64(total)))) / million)
	if allocated < total {
		percent = min(max(percent, 0.01), 99.99)
	}
	return math.RoundToEven(percent*100) / 100 // as printf does
}

// Free is the number of exceptions that can still be committed before the
// kernel drops the snapshot.
//
// Each takes the next data chunk (persistent_prepare_exception). The one that fills its area is committed
// only when the next area can be cleared (persistent_commit_exception), so it is lost where that is not on
// the device.
func (u Usage) Free() uint64 {
	data := u.Geometry.DataChunks(format.NewChunk(u.Chunks()))
	taken := u.Geometry.DataChunks(u.End.NextFree)
	areas := u.Geometry.Areas(u.Chunks())
	if taken >= data || areas < u.Areas() || u.End.NextFree == 0 {
		return 0 // 0 is the header's chunk: damage wrapped it
	}
	e := uint64(u.Geometry.ExceptionsPerArea())
	slots := (areas-uint64(u.End.Area))*e - uint64(u.End.Index)
	return min(data-taken, slots-1)
}

// Enough is the least number of whole chunks, in sectors, on which n more exceptions can
// be committed. It means nothing where damage names chunks off the device.
func (u Usage) Enough(n uint64) format.Sectors {
	given := u.Geometry.DataChunks(u.End.NextFree)
	return format.Sectors(u.Geometry.ChunksFor(u.End.Exceptions+n, given+n)) * u.Geometry.ChunkSectors()
}

// Given is the number of data chunks on the device below the next free one: those
// that were given out.
func (u Usage) Given() uint64 {
	return u.Geometry.DataChunks(min(u.End.NextFree, format.NewChunk(u.Chunks())))
}

// Leaked is the number of those that no exception names: lost until the snapshot is
// removed. It supposes that no two exceptions share a chunk.
func (u Usage) Leaked() uint64 { return u.Given() - min(u.Given(), u.End.Exceptions) }

// Minimum is the least number of whole chunks, in sectors, on which the kernel loads the store and serves
// every exception; such a store is full. ok is false when damage asks for more than can be counted.
func (u Usage) Minimum() (size format.Sectors, ok bool) {
	last := max(u.Geometry.AreaLocation(u.End.Area), u.End.Highest)
	over, sectors := bits.Mul64(uint64(last)+1, uint64(u.Geometry.ChunkSectors()))
	return format.Sectors(sectors), over == 0 && last+1 != 0
}

// Maximum is the size, in sectors, that the store needs when every chunk of an origin of the given size has
// changed. Chunks that were lost to holes stay lost, so it may exceed what a new store would need. It is no
// less than Minimum.
func (u Usage) Maximum(origin format.Sectors) format.Sectors {
	g := u.Geometry
	stored := max(uint64((origin+g.ChunkSectors()-1)/g.ChunkSectors()), u.End.Exceptions)
	most := format.Sectors(g.ChunksFor(stored, stored+u.Leaked())) * g.ChunkSectors()
	if least, ok := u.Minimum(); ok {
		most = max(most, least)
	}
	return most
}

// Fault says which exception has its data off the device, if one has: the
// kernel gives an I/O error for it, and drops the snapshot with the next.
func (u Usage) Fault() string {
	at := u.End.Beyond
	if at == nil {
		return ""
	}
	return fmt.Sprintf("area %d slot %d: its new chunk is past the end of the device (%d chunks)",
		at.Area, at.Index, u.Chunks())
}
