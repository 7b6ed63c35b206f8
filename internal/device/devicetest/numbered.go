package devicetest

import "encoding/binary"

// Numbered is an image of so many bytes in which no two sectors are alike: each 8 bytes hold the number
// of their sector and a 1.
func Numbered(size int64) []byte {
	image := make([]byte, size)
	for at := int64(0); at < size; at += 8 {
		copy(image[at:], binary.LittleEndian.AppendUint64(nil, uint64(at/sectorSize)<<8|1))
	}
	return image
}
