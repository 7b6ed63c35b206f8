package xfs

import (
	"fmt"

	"dmcow/fs"
)

// The headers of a group, by the sector that they have in it.
const (
	spaceSector    = 1 // AGF
	inodesSector   = 2 // AGI
	freelistSector = 3 // AGFL
)

// root is where a tree of a group begins.
type root struct {
	block uint64
	level int // of the root; -1 for a tree that there is not
}

// space is what the header of a group says of its free space.
type space struct {
	byBlock, bySize, owners, counts root
	freeFirst, freeLast, freeCount  uint32 // of the list of blocks for these trees
}

// inodes is what the header of a group says of its inodes.
type inodes struct {
	all, free root
	unlinked  record
}

// head reads a header of a group: its magic number, and where its checksum and its UUID are. sequence is where it has
// the number of the group.
func (f *FS) head(group uint64, sector int, name string, magic uint32, sequence int, k seal) (record, error) {
	at := f.groupAt(group) + int64(sector)*f.sector
	what := fmt.Sprintf("%s of group %d", name, group)
	r, err := f.dev.read(at, int(f.sector), what)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case f.version5:
		why = f.checkSeal(r, at, k)
	}
	if why == "" && r.u32(0) != magic {
		why = fmt.Sprintf("its magic number is 0x%08x", r.u32(0))
	}
	if why == "" && uint64(r.u32(sequence)) != group {
		why = fmt.Sprintf("it is meant for group %d", r.u32(sequence))
	}
	if why != "" {
		return nil, &fs.DamageError{What: what, At: at, Why: why}
	}
	return r, nil
}

// space reads the header of free space.
func (f *FS) space(group uint64) (space, error) {
	r, err := f.head(group, spaceSector, "header of free space", 0x58414746, 8, seal{crc: 216, uuid: 64, block: -1, owner: -1})
	if err != nil {
		return space{}, err
	}
	none := root{level: -1}
	s := space{byBlock: rootOf(r, 16, 28), bySize: rootOf(r, 20, 32), owners: none, counts: none}
	s.freeFirst, s.freeLast, s.freeCount = r.u32(40), r.u32(44), r.u32(48)
	if f.ro&roRmapbt != 0 {
		s.owners = rootOf(r, 24, 36)
	}
	if f.ro&roReflink != 0 {
		s.counts = rootOf(r, 88, 92)
	}
	return s, nil
}

func rootOf(r record, block, levels int) root {
	return root{uint64(r.u32(block)), int(int64(min(r.u32(levels), 1<<16)) - 1)}
}

// inodes reads the header of inodes.
func (f *FS) inodeTrees(group uint64) (inodes, error) {
	r, err := f.head(group, inodesSector, "header of inodes", 0x58414749, 8, seal{crc: 312, uuid: 296, block: -1, owner: -1})
	if err != nil {
		return inodes{}, err
	}
	i := inodes{all: rootOf(r, 20, 24), free: root{level: -1}, unlinked: r[40:296]}
	if f.ro&roFinobt != 0 {
		i.free = rootOf(r, 328, 332)
	}
	return i, nil
}

// freelist are the blocks that are kept for the trees of free space.
func (f *FS) freelist(group uint64, s space) (list []uint64, err error) {
	what := fmt.Sprintf("free list of group %d", group)
	at := f.groupAt(group) + freelistSector*f.sector
	r, first := record(nil), 0
	if f.version5 {
		first = 36
		r, err = f.head(group, freelistSector, "free list", 0x5841464c, 4, seal{crc: 32, uuid: 8, block: -1, owner: -1})
	} else {
		r, err = f.dev.read(at, int(f.sector), what)
	}
	if err != nil {
		return nil, err
	}
	r = r[first:]
	size := uint32(len(r) / 4)
	if s.freeCount == 0 {
		return nil, nil
	}
	if s.freeFirst >= size || s.freeLast >= size || s.freeCount > size {
		return nil, &fs.DamageError{What: what, At: at, Why: fmt.Sprintf("it has %d blocks from %d to %d, of %d", s.freeCount, s.freeFirst, s.freeLast, size)}
	}
	for n := range s.freeCount {
		if b := uint64(r.u32(int((s.freeFirst + n) % size * 4))); b < f.groupSize(group) {
			list = append(list, b)
		}
	}
	return list, nil
}
