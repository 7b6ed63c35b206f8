// Package thin reads the volumes of a thin pool (the target thin-pool of device-mapper,
// drivers/md/dm-thin-metadata.c in Linux) from the pool's metadata and data devices.
//
// Block 0 of the metadata is the superblock. Its checksum is XORed with 160774; integers are
// little-endian:
//
//	byte   4  u32  flags; 1: the metadata is to be checked before the pool changes again
//	       8  u64  number of this block, 0
//	      32  u64  27022010
//	      40  u32  version, 1 or 2
//	      48  u64  transaction: LVM counts what it has changed in the pool
//	      64  u64  how many blocks the data device has
//	     320  u64  root of the mappings
//	     336  u32  sectors of a data block
//	     340  u32  sectors of a metadata block, 8
//	     360  u32  features without which the pool cannot be read
//
// The mappings are a tree in two levels (see package persistent): the number of a device leads to
// the root of its own tree, in which the number of a block in the volume leads to where it is:
// data block << 24 | time. A block that the tree lacks was never written: it is of zeros, or of what the
// volume's external origin has there; what lies behind the external origin's end is zero.
package thin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"dmcow/internal/persistent"
	"dmcow/internal/scatter"
)

// ErrNoPool says that there is no superblock of a thin pool.
var ErrNoPool = errors.New("no metadata of a thin pool begins there")

// ErrNoDevice says that the metadata of a pool has no volume of a number.
var ErrNoDevice = errors.New("the metadata of the thin pool has no such volume")

const (
	magic         = 27022010
	superblockXOR = 160774
	sectorSize    = 512
	timeBits      = 24
	needsCheck    = 1

	smallestBlock = 64 << 10
	largestBlock  = 1 << 30
)

// Pool is a thin pool.
type Pool struct {
	BlockSize   int64  // of data, in bytes
	DataBlocks  uint64 // that the data device has
	Transaction uint64 // LVM's own, which its metadata has, too
	// NeedsCheck: something went wrong before, and the kernel changes nothing before the metadata was
	// checked. It goes on to read.
	NeedsCheck bool

	mappings persistent.Tree
}

// Open opens the metadata of a pool, on a device of so many bytes. The error is [ErrNoPool], a
// [*persistent.DamageError], one that says what of it is not known here, or one of reading.
func Open(metadata io.ReaderAt, size int64) (*Pool, error) {
	s := persistent.New(metadata, size)
	b, err := s.Superblock(superblockXOR)
	if err != nil {
		return nil, noPool(metadata, err)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	p := &Pool{
		BlockSize:   int64(u32(b[336:])) * sectorSize,
		DataBlocks:  u64(b[64:]),
		Transaction: u64(b[48:]),
		NeedsCheck:  u32(b[4:])&needsCheck != 0,
		mappings:    s.NumberTree(u64(b[320:])),
	}
	switch version, block, features := u32(b[40:]), u32(b[340:]), u32(b[360:]); {
	case u64(b[32:]) != magic:
		return nil, ErrNoPool
	case version < 1 || version > 2 || features != 0:
		return nil, fmt.Errorf("the metadata of the thin pool has version %d and features 0x%x, expected 1 or 2, and no features", version, features)
	case block*sectorSize != persistent.BlockSize:
		return nil, fmt.Errorf("the metadata of the thin pool has blocks of %d sectors, expected %d", block, persistent.BlockSize/sectorSize)
	case p.DataBlocks > math.MaxInt64/largestBlock:
		return nil, fmt.Errorf("the thin pool has %d blocks of data, expected no more than %d", p.DataBlocks, int64(math.MaxInt64/largestBlock))
	case p.BlockSize < smallestBlock || p.BlockSize > largestBlock || p.BlockSize%smallestBlock != 0:
		return nil, fmt.Errorf("the thin pool has blocks of %d bytes, expected a multiple of %d up to %d", p.BlockSize, smallestBlock, largestBlock)
	}
	return p, nil
}

// noPool is the error of a superblock that is none, or is damaged.
func noPool(metadata io.ReaderAt, err error) error {
	var b [8]byte
	if _, e := metadata.ReadAt(b[:], 32); persistent.IsDamage(err) && (e != nil || binary.LittleEndian.Uint64(b[:]) != magic) {
		return ErrNoPool
	}
	return err
}

// Volume says what of a pool is to be read.
type Volume struct {
	ID       uint64 // of the device
	Size     int64  // in bytes; the pool does not have it on record
	Data     io.ReaderAt
	External scatter.Sized // what shows through where nothing was written; nil for zeros
}

// Open is the content of a volume. The error is [ErrNoDevice], a [*persistent.DamageError], or one of reading;
// damage that lies deeper is an error where it is read.
func (p *Pool) Open(v Volume) (*scatter.Device, error) {
	root, found, err := p.mappings.Number(v.ID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNoDevice
	}
	return scatter.New(&mapped{v, p, p.mappings.Store.NumberTree(root)}, v.Size), nil
}

// mapped knows where the blocks of a volume are.
type mapped struct {
	Volume
	pool *Pool
	tree persistent.Tree
}

// Run is the run that begins at a byte of the volume: neighbours in the volume that are neighbours
// on the data device are one.
func (m *mapped) Run(offset, length int64) (scatter.Run, error) {
	block, within := uint64(offset/m.pool.BlockSize), offset%m.pool.BlockSize
	at, value, found, err := m.tree.Find(block)
	if err != nil {
		return scatter.Run{}, err
	}
	if !found || at != block {
		return m.unmapped(offset, m.start(at)-offset), nil
	}
	first, err := m.dataBlock(block, value)
	if err != nil {
		return scatter.Run{}, err
	}
	r := scatter.Run{On: m.Data, At: int64(first)*m.pool.BlockSize + within, Length: m.pool.BlockSize - within}
	for r.Length < length {
		block, first = block+1, first+1
		at, value, found, err := m.tree.Find(block)
		if err != nil || !found || at != block || binary.LittleEndian.Uint64(value)>>timeBits != first || first >= m.pool.DataBlocks {
			break // of an error hears who reads there
		}
		r.Length += m.pool.BlockSize
	}
	return r, nil
}

// start is the byte at which a block of the volume begins, or the volume's end.
func (m *mapped) start(block uint64) int64 {
	if block >= uint64(m.Size/m.pool.BlockSize)+1 {
		return m.Size
	}
	return min(int64(block)*m.pool.BlockSize, m.Size)
}

func (m *mapped) dataBlock(block uint64, value []byte) (uint64, error) {
	n := binary.LittleEndian.Uint64(value) >> timeBits
	if n >= m.pool.DataBlocks {
		return 0, fmt.Errorf("block %d of thin volume %d is block %d of the pool's data, which has %d", block, m.ID, n, m.pool.DataBlocks)
	}
	return n, nil
}

func (m *mapped) unmapped(offset, length int64) scatter.Run {
	if m.External == nil || offset >= m.External.Size() {
		return scatter.Run{Length: length}
	}
	return scatter.Run{On: m.External, At: offset, Length: min(length, m.External.Size()-offset)}
}
