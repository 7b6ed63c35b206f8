package raidmeta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

const (
	bitmapStart  = 4096
	bitmapMagic  = 0x6d746962
	bitmapHeader = 256
	bitmapMost   = 16 << 20 // bytes: LVM makes regions larger where a bitmap would have more than some megabytes
)

// Bitmap is which regions of an array were being written, by one image's metadata.
type Bitmap struct {
	sectors, chunk uint64
	bits           []byte // none behind the last region
}

// ReadBitmap reads the bitmap on a metadata device of so many bytes. It is nil where there is none.
func ReadBitmap(r io.ReaderAt, size int64) (*Bitmap, error) {
	head := make([]byte, bitmapHeader)
	if size < bitmapStart+bitmapHeader {
		return nil, nil
	}
	if _, err := r.ReadAt(head, bitmapStart); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(head) != bitmapMagic {
		return nil, nil
	}
	b := &Bitmap{sectors: binary.LittleEndian.Uint64(head[40:]), chunk: uint64(binary.LittleEndian.Uint32(head[52:])) / sectorSize}
	if b.chunk == 0 {
		return nil, fmt.Errorf("its bitmap has a bit for %d bytes", binary.LittleEndian.Uint32(head[52:]))
	}
	regions := b.regions()
	whole := min(regions/8+min(regions%8, 1), uint64(size-bitmapStart-bitmapHeader), bitmapMost)
	b.bits = make([]byte, whole)
	if n, err := r.ReadAt(b.bits, bitmapStart+bitmapHeader); n < len(b.bits) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if last := regions / 8; last < whole {
		b.bits[last] &= 1<<(regions%8) - 1
	}
	return b, nil
}

// Regions are the regions that the bitmap has: how many, of how many bytes of the array each, and where on the
// metadata device their bits are.
func (b *Bitmap) Regions() (count uint64, size, bitsAt int64) {
	return b.regions(), int64(b.chunk) * sectorSize, bitmapStart + bitmapHeader
}

func (b *Bitmap) regions() uint64 { return b.sectors/b.chunk + min(b.sectors%b.chunk, 1) }

// Dirty reports whether a region was being written.
func (b *Bitmap) Dirty() bool {
	if b == nil {
		return false
	}
	for _, x := range b.bits {
		if x != 0 {
			return true
		}
	}
	return false
}

// Add adds the regions of another bitmap of the array, and returns the sum.
func (b *Bitmap) Add(other *Bitmap) *Bitmap {
	if other == nil {
		return b
	}
	if b == nil {
		return &Bitmap{other.sectors, other.chunk, append([]byte(nil), other.bits...)}
	}
	if !b.Alike(other) {
		return b
	}
	for i, x := range other.bits {
		b.bits[i] |= x
	}
	return b
}

// Lacks counts the regions of another bitmap of the array that this one does not have.
func (b *Bitmap) Lacks(other *Bitmap) (n int) {
	if b == nil || other == nil || !b.Alike(other) {
		return 0
	}
	for i, x := range other.bits {
		n += bits.OnesCount8(x &^ b.bits[i])
	}
	return n
}

// Alike reports whether another bitmap has the same regions.
func (b *Bitmap) Alike(other *Bitmap) bool {
	return b.sectors == other.sectors && b.chunk == other.chunk && len(b.bits) == len(other.bits)
}
