package format

const (
	// MaxChunkSectors is the largest legal chunk size, in sectors: 1 GiB.
	MaxChunkSectors = 2097152
	// DefaultChunkSectors is the chunk size of a new store that the kernel was not told one for, unless the
	// logical block is larger (DM_CHUNK_SIZE_DEFAULT_SECTORS in dm-exception-store.h).
	DefaultChunkSectors = 32
	// LargestDevice is the largest that the kernel can address, in bytes (loff_t).
	LargestDevice Bytes = 1 << 63
	// FirstData is the first chunk that can hold data: behind header and
	// area 0.
	FirstData = 2
)

// ChunkSizeError is the kernel's own words for a chunk size that it refuses
// (dm_exception_store_set_chunk_size in dm-exception-store.c).
type ChunkSizeError string

func (e ChunkSizeError) Error() string { return string(e) }

// The reasons to refuse a chunk size.
const (
	ErrNotPowerOf2   ChunkSizeError = "Chunk size is not a power of 2"
	ErrNotBlockSized ChunkSizeError = "Chunk size is not a multiple of device blocksize"
	ErrTooHigh       ChunkSizeError = "Chunk size is too high"
)

// CheckChunkSectors reports whether the kernel takes a chunk size of n sectors on a device whose logical
// blocks are of block bytes (512 for an image file). The error is one of
// [ErrNotPowerOf2], [ErrNotBlockSized], [ErrTooHigh], tested in the kernel's order.
func CheckChunkSectors(n uint32, block Bytes) error {
	switch {
	case n == 0 || n&(n-1) != 0:
		return ErrNotPowerOf2
	case Sectors(n).Bytes()%max(block, SectorSize) != 0:
		return ErrNotBlockSized
	case n > MaxChunkSectors:
		return ErrTooHigh
	}
	return nil
}

// Geometry is where things lie in a store of one chunk size. The zero value belongs to no store;
// NewGeometry makes the others.
type Geometry struct {
	chunk  Bytes
	stride uint64 // chunks from one area to the next
}

// NewGeometry returns the geometry of a store with chunks of n sectors; the
// error is one of [CheckChunkSectors] for 512-byte blocks.
func NewGeometry(n uint32) (Geometry, error) {
	if err := CheckChunkSectors(n, SectorSize); err != nil {
		return Geometry{}, err
	}
	chunk := Sectors(n).Bytes()
	return Geometry{chunk: chunk, stride: uint64(chunk)/ExceptionSize + 1}, nil
}

// IsZero reports whether g belongs to no store.
func (g Geometry) IsZero() bool { return g.chunk == 0 }

// ChunkBytes is the size of a chunk, and so of an area.
func (g Geometry) ChunkBytes() Bytes { return g.chunk }

// ChunkSectors is the size of a chunk in sectors.
func (g Geometry) ChunkSectors() Sectors { return g.chunk.Sectors() }

// ExceptionsPerArea is E, the number of exceptions that an area holds.
func (g Geometry) ExceptionsPerArea() int { return int(g.stride - 1) }

// Stride is S = E + 1, the number of chunks from one area to the next.
func (g Geometry) Stride() uint64 { return g.stride }

// Chunks is N, the number of whole chunks on a device of the given size.
func (g Geometry) Chunks(size Bytes) uint64 { return uint64(size / g.chunk) }

// AreaLocation is A(k), the chunk that is area k (area_location).
func (g Geometry) AreaLocation(k AreaIndex) NewChunk {
	return NewChunk(1 + uint64(k)*g.stride)
}

// Areas is the number of areas that lie wholly on a device of n chunks.
func (g Geometry) Areas(n uint64) uint64 {
	if n < FirstData {
		return 0
	}
	return (n-FirstData)/g.stride + 1
}

// Offset is where chunk c starts on the COW device.
func (g Geometry) Offset(c NewChunk) Bytes { return Bytes(c) * g.chunk }

// SlotOffset is where an exception stands on the COW device.
func (g Geometry) SlotOffset(p Place) Bytes {
	return g.Offset(g.AreaLocation(p.Area)) + Bytes(p.Index)*ExceptionSize
}

// Position is the number of slots before a place, over all areas.
func (g Geometry) Position(p Place) uint64 { return uint64(p.Area)*(g.stride-1) + uint64(p.Index) }

// PlaceAt is the place of the slot at a position.
func (g Geometry) PlaceAt(position uint64) Place {
	return Place{Area: AreaIndex(position / (g.stride - 1)), Index: int(position % (g.stride - 1))}
}

// IsMetadata reports whether chunk c is a metadata area.
func (g Geometry) IsMetadata(c NewChunk) bool { return uint64(c)%g.stride == 1 }

// SkipMetadata is the first chunk from c on that is not a metadata area
// (skip_metadata).
func (g Geometry) SkipMetadata(c NewChunk) NewChunk {
	if g.IsMetadata(c) {
		return c + 1
	}
	return c
}

// DataChunks is the number of chunks below limit that can hold data: all but
// the header and the metadata areas.
func (g Geometry) DataChunks(limit NewChunk) uint64 {
	if limit <= FirstData {
		return 0
	}
	return uint64(limit) - 1 - g.Areas(uint64(limit))
}

// DataChunk is the i-th chunk that can hold data, counted from 0.
func (g Geometry) DataChunk(i uint64) NewChunk {
	return NewChunk(FirstData + i + i/(g.stride-1))
}

// ChunksFor is the number of chunks of a store with so many exceptions, for which so many data chunks were
// given out, one after the other: header, areas and data, with the area in which the list ends.
func (g Geometry) ChunksFor(exceptions, data uint64) uint64 {
	last := g.AreaLocation(AreaIndex(exceptions / uint64(g.ExceptionsPerArea())))
	if data > 0 {
		last = max(last, g.DataChunk(data-1))
	}
	return uint64(last) + 1
}
