package integrity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"dmcow/internal/raw"
	"dmcow/internal/scatter"
)

// ErrChecksum says that a block is not what its checksum was made of. The kernel does not read it, either.
var ErrChecksum = errors.New("its checksum does not hold")

// The only hash whose checksums are verified here, which is the one that LVM uses if it is not told another.
const verifiedHash = "crc32c"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// filler is what a checksum consists of where the block was discarded.
const filler = 0xf6

// checked is the data device, read as far as its checksums hold.
type checked struct {
	*Integrity
	device scatter.Sized
}

// checksums is how many blocks have a checksum that the kernel would look at, from the first one on.
func (d *Integrity) checksums() int64 {
	switch {
	case d.flags&(dirtyBitmap|salted) != 0: // those of some blocks may be old, or are made in another way
		return 0
	case d.flags&recalculating != 0:
		return min(d.data, d.recalculated) / d.journal.perBlock
	}
	return d.data / d.journal.perBlock
}

// ReadAt reads whole blocks, and of those before the first one whose checksum does not hold, what is asked for.
func (c *checked) ReadAt(p []byte, at int64) (n int, err error) {
	end := at + int64(len(p))
	verified := c.checksums() * c.BlockSize
	if at >= verified {
		return c.device.ReadAt(p, at)
	}
	start, stop := at/c.BlockSize*c.BlockSize, min(raw.RoundUp(end, c.BlockSize), max(verified, end))
	b := p
	if start != at || stop != end {
		b = make([]byte, stop-start)
	}
	read, err := c.device.ReadAt(b, start)
	good, wrong := c.good(b[:read], start/c.BlockSize)
	if wrong != nil {
		read, err = int(good), wrong
	}
	if start != at || stop != end {
		n = copy(p, b[min(at-start, int64(read)):read])
	} else {
		n = read
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// good is how many bytes of blocks, from one on, come before the first whose checksum does not hold. The error says that
// there is one, or is one of reading.
func (c *checked) good(b []byte, block int64) (int64, error) {
	tags := make([]byte, min(int64(len(b))/c.BlockSize, c.checksums()-block)*c.tag)
	if err := raw.ReadWhere(c.journal, tags, c.tags+block*c.tag); err != nil {
		return 0, fmt.Errorf("the checksums: %w", err)
	}
	for at := int64(0); len(tags) > 0; at, block, tags = at+c.BlockSize, block+1, tags[c.tag:] {
		if !holds(tags[:c.tag], block*c.journal.perBlock, b[at:][:c.BlockSize]) {
			return at, fmt.Errorf("block at byte %d: %w", block*c.BlockSize, ErrChecksum)
		}
	}
	return int64(len(b)), nil
}

// holds reports whether a checksum is the one of a block, which begins at a sector (integrity_sector_checksum). One that is
// shorter is cut off, and one that is longer ends with zeros.
func holds(tag []byte, sector int64, block []byte) bool {
	sum := crc32.Update(crc32.Update(0, castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(sector))), castagnoli, block)
	want := make([]byte, max(len(tag), 4))
	binary.LittleEndian.PutUint32(want, sum)
	return bytes.Equal(tag, want[:len(tag)]) || bytes.Count(tag, []byte{filler}) == len(tag)
}
