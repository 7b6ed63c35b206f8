package format

// SectorSize is the unit of every size in a header and in a device-mapper
// table, in bytes.
const SectorSize = 512

// Distinct types keep apart what must not be mixed: they are all plain numbers
// on disk and on the command line.
type (
	// Bytes is a size or an offset on a device.
	Bytes uint64
	// Sectors is a size or an offset in units of 512 bytes.
	Sectors uint64
	// OldChunk numbers a chunk on the origin.
	OldChunk uint64
	// NewChunk numbers a chunk on the COW device.
	NewChunk uint64
	// AreaIndex numbers a metadata area, from 0.
	AreaIndex uint64
)

// Bytes converts sectors to bytes.
func (s Sectors) Bytes() Bytes { return Bytes(s) * SectorSize }

// Sectors converts bytes to whole sectors, rounding down.
func (b Bytes) Sectors() Sectors { return Sectors(b / SectorSize) }
