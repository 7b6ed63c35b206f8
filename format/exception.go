package format

import "encoding/binary"

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
