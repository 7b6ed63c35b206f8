// Package persistent reads the B-trees and arrays in which device-mapper's targets thin-pool and
// cache keep their metadata (drivers/md/persistent-data in Linux). It reads only.
//
// # Blocks
//
// Metadata is made of blocks of 4096 bytes. Integers are little-endian. The first four bytes of
// each block are the CRC-32C of all others, begun with all ones and never inverted, XORed with a
// number that says what kind of block it is (dm_bm_checksum). A block also holds its own number, so
// that one that was written to another's place is noticed.
//
// # Nodes
//
// Those of a B-tree, with a XOR of 121107 (dm-btree-internal.h):
//
//	byte   0  u32  checksum
//	       4  u32  1 for an inner node, 2 for a leaf
//	       8  u64  number of this block
//	      16  u32  entries in use
//	      20  u32  entries that there is room for
//	      24  u32  bytes of a value
//	      32  the keys, each u64, then the values
//
// The value of an inner node is the block that has the keys from its own key on, up to the next
// one. A tree in several levels has the root of the next level's tree as its value.
//
// # Arrays
//
// An array is a B-tree whose values are blocks that hold the array's values, with a XOR of
// 595846735 (dm-array.c); the key counts these blocks:
//
//	byte   0  u32  checksum
//	       4  u32  values that there is room for
//	       8  u32  values in use
//	      12  u32  bytes of a value
//	      16  u64  number of this block
//	      24  the values
//
// A bitset is an array of u64, with the lowest bit first.
package persistent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"dmcow/internal/raw"
)

// BlockSize is the size of a block in bytes.
const BlockSize = 4096

// What checksums are XORed with.
const (
	nodeXOR  = 121107
	arrayXOR = 595846735
)

// Where a block has its own number.
const (
	ownNumber        = 8 // superblocks and nodes
	ownNumberOfArray = 16
)

// DamageError says that a block cannot be what the blocks that lead to it say.
type DamageError struct {
	Block uint64
	Why   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("block %d of the metadata is damaged: %s", e.Block, e.Why)
}

func damaged(block uint64, format string, args ...any) error {
	return &DamageError{block, fmt.Sprintf(format, args...)}
}

// Store is the metadata. It may be used by several goroutines at once.
type Store struct {
	r      io.ReaderAt
	blocks uint64

	mu    sync.Mutex
	nodes map[uint64]*node // of which many are asked again
}

// New is the metadata on a device of so many bytes.
func New(r io.ReaderAt, size int64) *Store {
	return &Store{r: r, blocks: uint64(max(size, 0)) / BlockSize, nodes: map[uint64]*node{}}
}

// Blocks is how many blocks the device has.
func (s *Store) Blocks() uint64 { return s.blocks }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Superblock is block 0, whose checksum was XORed with a number of its own. The error is a
// [*DamageError], or one of reading.
func (s *Store) Superblock(xor uint32) ([]byte, error) { return s.block(0, xor, ownNumber) }

func (s *Store) block(n uint64, xor uint32, own int) ([]byte, error) {
	if n >= s.blocks {
		return nil, damaged(n, "the metadata ends before, after %d blocks", s.blocks)
	}
	b := make([]byte, BlockSize)
	if err := raw.ReadFull(s.r, b, n*BlockSize); err != nil {
		return nil, fmt.Errorf("block %d of the metadata: %w", n, err)
	}
	if raw.IsZero(b) {
		return nil, damaged(n, "it is all zeros")
	}
	if got, want := binary.LittleEndian.Uint32(b), ^crc32.Checksum(b[4:], castagnoli)^xor; got != want {
		return nil, damaged(n, "the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	if got := binary.LittleEndian.Uint64(b[own:]); got != n {
		return nil, damaged(n, "it says that it is block %d", got)
	}
	return b, nil
}

// IsDamage reports whether an error is about what stands in the metadata, and not one of reading it.
func IsDamage(err error) bool {
	var d *DamageError
	return errors.As(err, &d)
}
