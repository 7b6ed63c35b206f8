// Package pdimage makes metadata of device-mapper's persistent-data library, for tests: sealed
// blocks of B-trees and arrays. It is written from the description in package persistent, and shares
// no code with it.
package pdimage

import (
	"encoding/binary"
	"hash/crc32"
)

// Size of a block.
const Size = 4096

// What the checksums of blocks are XORed with.
const (
	Node            = 121107
	Array           = 595846735
	ThinSuperblock  = 160774
	CacheSuperblock = 9031977
)

var le = binary.LittleEndian

// Image is metadata on its way.
type Image struct{ Bytes []byte }

// New is metadata of so many blocks.
func New(blocks int) *Image { return &Image{make([]byte, blocks*Size)} }

// Block is a block of it.
func (m *Image) Block(n int) []byte { return m.Bytes[n*Size:][:Size] }

// Seal gives a block the checksum that it should have.
func (m *Image) Seal(n int, xor uint32) {
	b := m.Block(n)
	le.PutUint32(b, ^crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli))^xor)
}

// SealAll seals each block as what it may be, by what stands in it: for fuzz tests.
func (m *Image) SealAll(superblock uint32) {
	for n := range len(m.Bytes) / Size {
		switch b := m.Block(n); {
		case n == 0:
			m.Seal(n, superblock)
		case le.Uint64(b[8:]) == uint64(n):
			m.Seal(n, Node)
		default:
			m.Seal(n, Array)
		}
	}
}

// Entry is one of a node: a key and a value of 8 bytes.
type Entry [2]uint64

// Tree writes a node.
func (m *Image) Tree(n int, leaf bool, entries ...Entry) {
	b := m.Block(n)
	clear(b)
	const room = (Size - 32) / 16 / 3 * 3
	le.PutUint32(b[4:], 1)
	if leaf {
		le.PutUint32(b[4:], 2)
	}
	le.PutUint64(b[8:], uint64(n))
	le.PutUint32(b[16:], uint32(len(entries)))
	le.PutUint32(b[20:], room)
	le.PutUint32(b[24:], 8)
	for i, e := range entries {
		le.PutUint64(b[32+8*i:], e[0])
		le.PutUint64(b[32+8*room+8*i:], e[1])
	}
	m.Seal(n, Node)
}

// Values writes a block of an array.
func (m *Image) Values(n int, values ...uint64) {
	b := m.Block(n)
	clear(b)
	le.PutUint32(b[4:], (Size-24)/8)
	le.PutUint32(b[8:], uint32(len(values)))
	le.PutUint32(b[12:], 8)
	le.PutUint64(b[16:], uint64(n))
	for i, v := range values {
		le.PutUint64(b[24+8*i:], v)
	}
	m.Seal(n, Array)
}

// Thin is what stands in the superblock of a thin pool.
type Thin struct {
	Flags, BlockSectors uint32
	DataBlocks          uint64
	Root, Transaction   uint64
}

// Thin writes the superblock of a thin pool.
func (m *Image) Thin(s Thin) {
	b := m.Block(0)
	le.PutUint32(b[4:], s.Flags)
	le.PutUint64(b[32:], 27022010)
	le.PutUint32(b[40:], 2)
	le.PutUint64(b[48:], s.Transaction)
	le.PutUint64(b[64:], s.DataBlocks)
	le.PutUint64(b[320:], s.Root)
	le.PutUint32(b[336:], s.BlockSectors)
	le.PutUint32(b[340:], Size/512)
	le.PutUint64(b[344:], uint64(len(m.Bytes)/Size))
	m.Seal(0, ThinSuperblock)
}

// Cache is what stands in the superblock of a cache.
type Cache struct {
	Flags, Version, BlockSectors, Blocks uint32
	Mappings, Dirty                      uint64 // roots
}

// Cache writes the superblock of a cache.
func (m *Image) Cache(s Cache) {
	b := m.Block(0)
	le.PutUint32(b[4:], s.Flags)
	le.PutUint64(b[32:], 0o6142003)
	le.PutUint32(b[40:], s.Version)
	le.PutUint64(b[192:], s.Mappings)
	le.PutUint32(b[232:], s.BlockSectors)
	le.PutUint32(b[236:], Size/512)
	le.PutUint32(b[240:], s.Blocks)
	le.PutUint64(b[284:], s.Dirty)
	m.Seal(0, CacheSuperblock)
}
