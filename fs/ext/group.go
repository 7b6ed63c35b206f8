package ext

import (
	"encoding/binary"
	"fmt"
	"slices"

	"dmcow/fs"
)

// group is a group descriptor.
type group struct {
	number                                uint64
	blockBitmap, inodeBitmap, inodeTable  uint64
	blockCsum, inodeCsum                  uint32
	unused                                uint64 // inodes at the end of the table, never used
	noInodes, noBlocks                    bool   // the bitmap was not written yet
	wideBlockBitmapCsum, wideInodeMapCsum bool   // the checksum has 32 bits
	copied                                bool   // nothing is known but where the bitmaps and the table are
}

// The flags of a group.
const (
	groupNoInodes = 0x1
	groupNoBlocks = 0x2
)

// descBlock is the block that has a group's descriptor, in one of its copies.
func (s *super) descBlock(group uint64, copy int) (block uint64, ok bool) {
	perBlock := s.descPerBlock()
	n := group / perBlock
	if s.incompat&incompatMetaBG != 0 && n >= s.firstMetaGroup {
		if copy > 2 {
			return 0, false
		}
		first := n * perBlock // the group that has it; those beside it and at the other end have the copies
		holder := first + [3]uint64{0, 1, perBlock - 1}[copy]
		if holder >= s.allGroups || uint64(copy) >= perBlock {
			return 0, false
		}
		block = s.groupStart(holder)
		if s.hasSuper(holder) {
			block = s.superBlock(holder) + 1
		}
		return block, true
	}
	holders := s.superGroups()
	if copy >= len(holders) {
		return 0, false
	}
	return s.superBlock(holders[copy]) + 1 + n, true
}

// superGroups are the first groups that have a copy of the superblock.
func (s *super) superGroups() (all []uint64) {
	candidates := []uint64{0, 1, 3, 5, 7}
	if s.compat&compatSparseSuper2 != 0 {
		candidates = []uint64{0, uint64(s.backupGroups[0]), uint64(s.backupGroups[1])}
	}
	for _, g := range candidates {
		if g < s.allGroups && s.hasSuper(g) && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

// group reads a group descriptor. Where the first one is damaged, a copy says where bitmaps and table are, and no more;
// then there is an error besides.
func (f *FS) group(n uint64) (g group, trouble error, err error) {
	what := fmt.Sprintf("descriptor of group %d", n)
	if n >= f.groups {
		return g, nil, &fs.DamageError{What: what, At: -1, Why: fmt.Sprintf("%d groups can be read", f.groups)}
	}
	for copy := 0; ; copy++ {
		block, ok := f.descBlock(n, copy)
		if !ok {
			return g, nil, trouble
		}
		g, err = f.readGroup(n, block, what)
		if err != nil {
			if trouble == nil {
				trouble = err
			}
			continue
		}
		if copy > 0 { // written when the file system was made, or grew
			g = group{number: n, blockBitmap: g.blockBitmap, inodeBitmap: g.inodeBitmap, inodeTable: g.inodeTable, copied: true}
		}
		return g, trouble, nil
	}
}

func (f *FS) readGroup(n, block uint64, what string) (group, error) {
	b, err := f.dev.block(block, what)
	if err != nil {
		return group{}, err
	}
	in := int(n%f.descPerBlock()) * f.descSize
	d := b[in : in+f.descSize]
	at := int64(block)*f.blockSize + int64(in)
	if got, want := d.u16(0x1e), f.groupCsum(n, d); f.hasGroupCsum() && got != want {
		return group{}, &fs.DamageError{What: what, At: at, Why: fmt.Sprintf("the checksum is 0x%04x, expected 0x%04x", got, want)}
	}
	g := group{number: n, blockBitmap: uint64(d.u32(0)), inodeBitmap: uint64(d.u32(4)), inodeTable: uint64(d.u32(8)),
		blockCsum: uint32(d.u16(0x18)), inodeCsum: uint32(d.u16(0x1a)), unused: uint64(d.u16(0x1c))}
	if f.incompat&incompat64Bit != 0 {
		g.blockBitmap, g.inodeBitmap, g.inodeTable = d.split(0, 0x20), d.split(4, 0x24), d.split(8, 0x28)
		g.blockCsum |= uint32(d.u16(0x38)) << 16
		g.inodeCsum |= uint32(d.u16(0x3a)) << 16
		g.unused |= uint64(d.u16(0x32)) << 16
		g.wideBlockBitmapCsum, g.wideInodeMapCsum = true, true
	}
	if flags := d.u16(0x12); f.hasGroupCsum() {
		g.noInodes, g.noBlocks = flags&groupNoInodes != 0, flags&groupNoBlocks != 0
	} else {
		g.unused = 0
	}
	for _, place := range []struct {
		word          string
		block, blocks uint64
	}{{"block bitmap", g.blockBitmap, 1}, {"inode bitmap", g.inodeBitmap, 1}, {"inode table", g.inodeTable, f.tableBlocks}} {
		if place.block < f.firstData || place.block+place.blocks > f.blocks || place.block+place.blocks < place.block {
			return group{}, &fs.DamageError{What: what, At: at, Why: fmt.Sprintf("the %s is said to be in block %d, of %d", place.word, place.block, f.blocks)}
		}
	}
	if g.unused > f.inodesPerGroup {
		return group{}, &fs.DamageError{What: what, At: at, Why: fmt.Sprintf("%d of %d inodes were never used", g.unused, f.inodesPerGroup)}
	}
	return g, nil
}

func (f *FS) groupCsum(n uint64, d record) uint16 {
	number := binary.LittleEndian.AppendUint32(nil, uint32(n))
	if f.hasCsum() {
		return uint16(checksumBut(checksum(f.seed, number), d, 0x1e, 2))
	}
	csum := checksum16(checksum16(^uint16(0), f.uuid[:]), number)
	csum = checksum16(csum, d[:0x1e])
	if f.incompat&incompat64Bit != 0 {
		csum = checksum16(csum, d[0x20:])
	}
	return csum
}

// inodeBitmap is the bitmap of a group's inodes, verified.
func (f *FS) inodeBitmap(g group) (record, error) {
	return f.bitmap(g, "inode", g.inodeBitmap, f.inodesPerGroup/8, g.inodeCsum, g.wideInodeMapCsum)
}

// blockBitmap is the bitmap of a group's blocks, or clusters, verified.
func (f *FS) blockBitmap(g group) (record, error) {
	return f.bitmap(g, "block", g.blockBitmap, f.perGroup/f.cluster/8, g.blockCsum, g.wideBlockBitmapCsum)
}

func (f *FS) bitmap(g group, word string, block, size uint64, want uint32, wide bool) (record, error) {
	what := fmt.Sprintf("%s bitmap of group %d", word, g.number)
	if g.copied {
		return nil, &fs.DamageError{What: what, At: int64(block) * f.blockSize, Why: "the group's descriptor is damaged, which has the checksum"}
	}
	b, err := f.dev.block(block, what)
	if err != nil {
		return nil, err
	}
	b = b[:size]
	got := checksum(f.seed, b)
	if !wide {
		got &= 0xffff
	}
	if f.hasCsum() && got != want {
		return nil, &fs.DamageError{What: what, At: int64(block) * f.blockSize, Why: fmt.Sprintf("the checksum is 0x%08x, expected 0x%08x", got, want)}
	}
	return b, nil
}

func bit(b record, n uint64) bool { return b[n/8]>>(n%8)&1 != 0 }
