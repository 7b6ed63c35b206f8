package format

import "encoding/binary"

const (
	// Magic is the header's first field: "SnAp" (SNAP_MAGIC).
	Magic = 0x70416e53
	// Version is the only version that the kernel loads
	// (SNAPSHOT_DISK_VERSION).
	Version = 1
	// HeaderSize is the size of the header's fields, in bytes.
	HeaderSize = 16
)

// Header is the first 16 bytes of chunk 0, as they stand on disk (struct
// disk_header). No field is checked.
type Header struct {
	Magic        uint32
	Valid        uint32
	Version      uint32
	ChunkSectors uint32 // chunk size in sectors
}

// DecodeHeader reads the header's fields from the first [HeaderSize] bytes of
// b.
func DecodeHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	return Header{
		Magic:        binary.LittleEndian.Uint32(b[0:]),
		Valid:        binary.LittleEndian.Uint32(b[4:]),
		Version:      binary.LittleEndian.Uint32(b[8:]),
		ChunkSectors: binary.LittleEndian.Uint32(b[12:]),
	}
}

// Encode writes the header's fields to the first [HeaderSize] bytes of b and
// leaves the rest of b, the padding, as it is.
func (h Header) Encode(b []byte) {
	_ = b[HeaderSize-1]
	binary.LittleEndian.PutUint32(b[0:], h.Magic)
	binary.LittleEndian.PutUint32(b[4:], h.Valid)
	binary.LittleEndian.PutUint32(b[8:], h.Version)
	binary.LittleEndian.PutUint32(b[12:], h.ChunkSectors)
}

// ExceptionSize is the size of an exception in a metadata area, in bytes
// (struct disk_exception).
const ExceptionSize = 16

// Exception is one entry of a metadata area: the snapshot's content of origin
// chunk Old is in chunk New of the COW device. New is 0 in the terminator.
type Exception struct {
	Old OldChunk
	New NewChunk
}

// DecodeException reads the exception at the start of b (read_exception).
func DecodeException(b []byte) Exception {
	_ = b[ExceptionSize-1]
	return Exception{
		Old: OldChunk(binary.LittleEndian.Uint64(b[0:])),
		New: NewChunk(binary.LittleEndian.Uint64(b[8:])),
	}
}

// Encode writes the exception to the start of b (write_exception).
func (e Exception) Encode(b []byte) {
	_ = b[ExceptionSize-1]
	binary.LittleEndian.PutUint64(b[0:], uint64(e.Old))
	binary.LittleEndian.PutUint64(b[8:], uint64(e.New))
}
