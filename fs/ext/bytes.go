package ext

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// record is a structure on the volume; its integers are little-endian, but the journal's.
type record []byte

func (r record) u16(at int) uint16 { return binary.LittleEndian.Uint16(r[at:]) }
func (r record) u32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
func (r record) u64(at int) uint64 { return binary.LittleEndian.Uint64(r[at:]) }

// split is a number whose two halves lie apart.
func (r record) split(low, high int) uint64 { return uint64(r.u32(high))<<32 | uint64(r.u32(low)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum continues a CRC-32C, which the format begins with all ones, and does not invert at its end.
func checksum(begun uint32, p []byte) uint32 { return ^crc32.Update(^begun, castagnoli, p) }

func checksum32(begun, n uint32) uint32 {
	return checksum(begun, binary.LittleEndian.AppendUint32(nil, n))
}

func checksum64(begun uint32, n uint64) uint32 {
	return checksum(begun, binary.LittleEndian.AppendUint64(nil, n))
}

// checksumBut continues it over p as if the n bytes at a place were zero.
func checksumBut(begun uint32, p []byte, at, n int) uint32 {
	var zeros [4]byte
	begun = checksum(begun, p[:at])
	begun = checksum(begun, zeros[:n])
	return checksum(begun, p[at+n:])
}

// checksum16 continues the CRC-16 of group descriptors without metadata_csum.
func checksum16(begun uint16, p []byte) uint16 {
	for _, b := range p {
		begun ^= uint16(b)
		for range 8 {
			begun = begun>>1 ^ 0xa001&-(begun&1)
		}
	}
	return begun
}

// checksumBE continues the CRC-32 of transactions of old journals: the highest bit comes first.
func checksumBE(begun uint32, p []byte) uint32 {
	table := tableBE()
	for _, b := range p {
		begun = begun<<8 ^ table[byte(begun>>24)^b]
	}
	return begun
}

var tableBE = sync.OnceValue(func() *[256]uint32 {
	var table [256]uint32
	for n := range table {
		r := uint32(n) << 24
		for range 8 {
			r = r<<1 ^ 0x04c11db7&-(r>>31)
		}
		table[n] = r
	}
	return &table
})
