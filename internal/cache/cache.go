// Package cache reads a volume that the target cache of device-mapper serves
// (drivers/md/dm-cache-metadata.c in Linux) from the cache's metadata, its data and its origin.
//
// Block 0 of the metadata is the superblock. Its checksum is XORed with 9031977; integers are
// little-endian:
//
//	byte   4  u32  flags; 1: the cache was shut down, and all that follows holds
//	               2: the metadata is to be checked
//	       8  u64  number of this block, 0
//	      32  u64  06142003, in octal
//	      40  u32  version, 1 or 2
//	     192  u64  root of the mappings
//	     232  u32  sectors of a data block
//	     236  u32  sectors of a metadata block, 8
//	     240  u32  blocks of the cache
//	     252  u32  features without which the cache cannot be read
//	     284  u64  root of the dirty blocks, in version 2
//
// The mappings are an array (see package persistent) with a number for each block of the cache: block of the
// origin << 16 | flags; 1: the block is in use; 2: it is dirty, in version 1. In version 2 a bitset has
// the dirty ones. Dirty is what the origin does not have yet: there the cache holds; all else the
// origin has, too.
//
// Which blocks are dirty is written when the cache is shut down. After a crash the kernel takes
// all blocks in use to be dirty, and writes them to the origin.
package cache

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"dmcow/internal/persistent"
	"dmcow/internal/scatter"
)

// ErrNoCache says that there is no superblock of a cache.
var ErrNoCache = errors.New("no metadata of a cache begins there")

// ErrUnclean says that a cache was not shut down, so that its metadata does not know which blocks
// are dirty.
var ErrUnclean = errors.New("the cache was not shut down cleanly, and its metadata does not say which blocks the origin lacks")

const (
	magic         = 0o6142003
	superblockXOR = 9031977
	sectorSize    = 512

	cleanShutdown = 1
	needsCheck    = 2

	valid     = 1
	dirty     = 2
	flagsBits = 16

	smallestBlock = 32 << 10
	largestBlock  = 1 << 30
)

// Cache is the metadata of a cache.
type Cache struct {
	BlockSize  int64 // in bytes
	Blocks     uint64
	NeedsCheck bool // the kernel does not use it before it was checked

	dirty []mapping // by their blocks on the origin
}

type mapping struct{ origin, cache uint64 }

// Open reads the metadata of a cache, on a device of so many bytes. The error is [ErrNoCache],
// [ErrUnclean], a [*persistent.DamageError], one that says what of it is not known here, or one of
// reading.
func Open(metadata io.ReaderAt, size int64) (*Cache, error) {
	s := persistent.New(metadata, size)
	b, err := s.Superblock(superblockXOR)
	if err != nil {
		return nil, noCache(metadata, err)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	flags, version, block, features := u32(b[4:]), u32(b[40:]), u32(b[236:]), u32(b[252:])
	c := &Cache{BlockSize: int64(u32(b[232:])) * sectorSize, Blocks: uint64(u32(b[240:])), NeedsCheck: flags&needsCheck != 0}
	switch {
	case u64(b[32:]) != magic:
		return nil, ErrNoCache
	case version < 1 || version > 2 || features != 0:
		return nil, fmt.Errorf("the metadata of the cache has version %d and features 0x%x, expected 1 or 2, and no features", version, features)
	case block*sectorSize != persistent.BlockSize:
		return nil, fmt.Errorf("the metadata of the cache has blocks of %d sectors, expected %d", block, persistent.BlockSize/sectorSize)
	case c.BlockSize < smallestBlock || c.BlockSize > largestBlock || c.BlockSize%smallestBlock != 0:
		return nil, fmt.Errorf("the cache has blocks of %d bytes, expected a multiple of %d up to %d", c.BlockSize, smallestBlock, largestBlock)
	case flags&cleanShutdown == 0:
		return nil, ErrUnclean
	}
	var bits []uint64
	if version == 2 {
		if bits, err = readBits(s, u64(b[284:]), c.Blocks); err != nil {
			return nil, err
		}
	}
	if err := c.read(s, u64(b[192:]), bits); err != nil {
		return nil, err
	}
	return c, nil
}

// noCache is the error of a superblock that is none, or is damaged.
func noCache(metadata io.ReaderAt, err error) error {
	var b [8]byte
	if _, e := metadata.ReadAt(b[:], 32); persistent.IsDamage(err) && (e != nil || binary.LittleEndian.Uint64(b[:]) != magic) {
		return ErrNoCache
	}
	return err
}

// readBits are the words of a bitset of so many bits.
func readBits(s *persistent.Store, root, count uint64) (words []uint64, err error) {
	err = s.Numbers(root, (count+63)/64, func(_, word uint64) error {
		words = append(words, word)
		return nil
	})
	return words, err
}

// read reads the mappings. Which of them are dirty, the words say where there are any.
func (c *Cache) read(s *persistent.Store, root uint64, words []uint64) error {
	err := s.Numbers(root, c.Blocks, func(i, number uint64) error {
		isDirty := number&dirty != 0
		if words != nil {
			isDirty = words[i/64]>>(i%64)&1 != 0
		}
		if number&valid != 0 && isDirty {
			c.dirty = append(c.dirty, mapping{number >> flagsBits, i})
		}
		return nil
	})
	slices.SortFunc(c.dirty, func(a, b mapping) int { return cmp.Compare(a.origin, b.origin) })
	for i := 1; i < len(c.dirty); i++ {
		if a, b := c.dirty[i-1], c.dirty[i]; a.origin == b.origin {
			return fmt.Errorf("the metadata of the cache is damaged: its blocks %d and %d are both block %d of the origin", a.cache, b.cache, a.origin)
		}
	}
	return err
}

// Dirty is how many blocks the origin lacks.
func (c *Cache) Dirty() int { return len(c.dirty) }

// Volume is the content of the volume: the origin's, with what the cache alone has.
func (c *Cache) Volume(origin scatter.Sized, data io.ReaderAt) *scatter.Device {
	return scatter.New(&cached{c, origin, data}, origin.Size())
}

type cached struct {
	*Cache
	origin scatter.Sized
	data   io.ReaderAt
}

// Run is the run that begins at a byte of the volume.
func (c *cached) Run(offset, _ int64) (scatter.Run, error) {
	block, within := uint64(offset/c.BlockSize), offset%c.BlockSize
	i := sort.Search(len(c.dirty), func(i int) bool { return c.dirty[i].origin >= block })
	if i < len(c.dirty) && c.dirty[i].origin == block {
		return scatter.Run{On: c.data, At: int64(c.dirty[i].cache)*c.BlockSize + within, Length: min(c.BlockSize-within, c.origin.Size()-offset)}, nil
	}
	end := c.origin.Size()
	if i < len(c.dirty) && c.dirty[i].origin <= uint64(end/c.BlockSize) {
		end = min(end, int64(c.dirty[i].origin)*c.BlockSize)
	}
	return scatter.Run{On: c.origin, At: offset, Length: end - offset}, nil
}
