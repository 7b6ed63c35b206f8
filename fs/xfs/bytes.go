package xfs

import (
	"encoding/binary"
	"hash/crc32"
)

// record is a structure on the volume; its integers are big-endian, but checksums.
type record []byte

func (r record) u16(at int) uint16 { return binary.BigEndian.Uint16(r[at:]) }
func (r record) u32(at int) uint32 { return binary.BigEndian.Uint32(r[at:]) }
func (r record) u64(at int) uint64 { return binary.BigEndian.Uint64(r[at:]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of p as if the four bytes at a place, where it lies, were zero.
func checksum(p []byte, at int) uint32 {
	var zeros [4]byte
	sum := crc32.Update(0, castagnoli, p[:at])
	sum = crc32.Update(sum, castagnoli, zeros[:])
	return crc32.Update(sum, castagnoli, p[at+4:])
}

// stored is the checksum that lies at a place.
func (r record) stored(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
