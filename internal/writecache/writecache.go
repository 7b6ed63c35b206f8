// Package writecache reads a volume that the target writecache of device-mapper serves
// (drivers/md/dm-writecache.c in Linux, on disks, not on persistent memory) from the cache and its
// origin.
//
// The cache begins with a superblock. Integers are little-endian:
//
//	byte   0  u32  0x23489321
//	       4  u32  version, 1
//	       8  u32  bytes of a block
//	      16  u64  blocks
//	      24  u64  sequence number: entries with a lower one count
//	      64  an entry for each block: u64 sector of the origin, u64 sequence number
//
// The blocks follow, from the next multiple of their size on. Of entries for one sector, the one with the
// highest sequence number holds. Entries that are free have a sequence number of all ones. A cache that was
// flushed has none that counts; else the origin lacks what they name.
package writecache

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"dmcow/internal/raw"
	"dmcow/internal/scatter"
)

// ErrNoCache says that there is no superblock of a writecache.
var ErrNoCache = errors.New("no writecache begins there")

const (
	magic      = 0x23489321
	version    = 1
	header     = 64
	entrySize  = 16
	sectorSize = 512

	smallestBlock = 512
	largestBlock  = 64 << 10
)

// Cache is what a cache has that its origin lacks.
type Cache struct {
	BlockSize int64 // in bytes

	data    io.ReaderAt
	entries []entry // by their places on the origin
}

type entry struct {
	at   int64  // byte of the origin
	from int64  // byte of the cache
	seq  uint64 // the higher one holds
}

// Open reads the superblock and the entries of a cache. The error is [ErrNoCache], says what of it
// is wrong, or is one of reading.
func Open(d scatter.Sized) (*Cache, error) {
	b := make([]byte, header)
	if d.Size() < header {
		return nil, ErrNoCache
	}
	if err := raw.ReadWhere(d, b, 0); err != nil {
		return nil, err
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	c := &Cache{BlockSize: int64(u32(b[8:])), data: d}
	blocks := u64(b[16:])
	switch {
	case u32(b) != magic:
		return nil, ErrNoCache
	case u32(b[4:]) != version:
		return nil, fmt.Errorf("the writecache has version %d, expected %d", u32(b[4:]), version)
	case c.BlockSize < smallestBlock || c.BlockSize > largestBlock || c.BlockSize&(c.BlockSize-1) != 0:
		return nil, fmt.Errorf("the writecache has blocks of %d bytes, expected a power of two from %d to %d", c.BlockSize, smallestBlock, largestBlock)
	case blocks > uint64((d.Size()-header)/entrySize):
		return nil, fmt.Errorf("the writecache has %d blocks, whose entries do not fit in its %d bytes", blocks, d.Size())
	}
	if err := c.read(int64(blocks), u64(b[24:])); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads the entries below a sequence number.
func (c *Cache) read(blocks int64, below uint64) error {
	const atOnce = 4096
	first := raw.RoundUp(header+entrySize*blocks, c.BlockSize)
	b := make([]byte, atOnce*entrySize)
	for from := int64(0); from < blocks; from += atOnce {
		p := b[:min(blocks-from, atOnce)*entrySize]
		if err := raw.ReadWhere(c.data, p, header+from*entrySize); err != nil {
			return err
		}
		for i := int64(0); len(p) > 0; i, p = i+1, p[entrySize:] {
			sector, seq := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
			if seq >= below {
				continue
			}
			if perBlock := uint64(c.BlockSize / sectorSize); sector%perBlock != 0 || sector >= 1<<54 {
				return fmt.Errorf("the writecache is damaged: its block %d is for sector %d, expected a multiple of %d", from+i, sector, perBlock)
			}
			c.entries = append(c.entries, entry{int64(sector) * sectorSize, first + (from+i)*c.BlockSize, seq})
		}
	}
	return c.dropOld()
}

// dropOld leaves of entries for one place the newest.
func (c *Cache) dropOld() error {
	slices.SortFunc(c.entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.seq, a.seq)) })
	for i := 1; i < len(c.entries); i++ {
		if a, b := c.entries[i-1], c.entries[i]; a.at == b.at && a.seq == b.seq {
			return fmt.Errorf("the writecache is damaged: two of its blocks are for sector %d, with the same sequence number %d", a.at/sectorSize, a.seq)
		}
	}
	c.entries = slices.CompactFunc(c.entries, func(a, b entry) bool { return a.at == b.at })
	return nil
}

// Dirty is how many blocks the origin lacks.
func (c *Cache) Dirty() int { return len(c.entries) }

// Volume is the content of the volume: the origin's, with what the cache alone has.
func (c *Cache) Volume(origin scatter.Sized) *scatter.Device {
	return scatter.New(&cached{c, origin}, origin.Size())
}

type cached struct {
	*Cache
	origin scatter.Sized
}

// Run is the run that begins at a byte of the volume.
func (c *cached) Run(offset, _ int64) (scatter.Run, error) {
	end := c.origin.Size()
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].at+c.BlockSize > offset })
	if i < len(c.entries) {
		if e := c.entries[i]; e.at <= offset {
			return scatter.Run{On: c.data, At: e.from + offset - e.at, Length: min(e.at+c.BlockSize, end) - offset}, nil
		}
		end = min(end, c.entries[i].at)
	}
	return scatter.Run{On: c.origin, At: offset, Length: end - offset}, nil
}
