package ext

import (
	"bytes"
	"fmt"
	"math/bits"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// Where the superblock is, and how large.
const (
	superAt   = 1024
	superSize = 1024
)

// stateErrors is the bit of the state that says that there were errors.
const stateErrors = 0x2

// super is the superblock, with what follows from it. All of it was checked against the rest and the volume.
type super struct {
	compat, incompat, ro uint32

	inodes, blocks, freeClusters uint64
	firstData                    uint64 // the first block of group 0
	blockSize                    int64
	cluster                      uint64 // blocks of a cluster
	perGroup                     uint64 // blocks
	inodesPerGroup               uint64
	tableBlocks                  uint64 // of a group
	allGroups, groups            uint64 // as many as it has; those that can be read
	inodeSize, descSize          int
	reservedGDT                  uint64
	firstMetaGroup               uint64 // of blocks of descriptors
	backupGroups                 [2]uint32
	firstInode                   fs.Ino
	group                        uint64 // of which this is the copy

	uuid                   [16]byte
	label                  string
	seed                   uint32 // of checksums
	journal, orphanFile    fs.Ino
	journalUUID            bool // the journal is a device
	lastOrphan             fs.Ino
	mmp                    uint64
	notes                  []string
	at                     int64
	blocksOnVolume, length uint64 // of the volume: blocks, bytes
}

func (s *super) hasCsum() bool      { return s.ro&roMetadataCsum != 0 }
func (s *super) hasGroupCsum() bool { return s.ro&(roMetadataCsum|roGroupCsum) != 0 }

func (s *super) damaged(format string, args ...any) error {
	return &fs.DamageError{What: "superblock", At: s.at, Why: fmt.Sprintf(format, args...)}
}

// readSuper reads the superblock at a place. The error is fs.ErrNone where there is nothing like it.
func readSuper(v fs.Volume, at int64) (*super, record, error) {
	r := make(record, superSize)
	if v.Size() < at+superSize {
		return nil, nil, fs.ErrNone
	}
	if err := raw.ReadFull(v, r, at); err != nil {
		return nil, nil, &fs.ReadError{What: "superblock", At: at, Err: err}
	}
	s, err := parseSuper(r, v.Size(), at)
	return s, r, err
}

func parseSuper(r record, volume, at int64) (*super, error) {
	if r.u16(0x38) != 0xef53 {
		return nil, fs.ErrNone
	}
	s := &super{compat: r.u32(0x5c), incompat: r.u32(0x60), ro: r.u32(0x64), at: at, length: uint64(volume)}
	if got, want := r.u32(0x3fc), checksum(^uint32(0), r[:0x3fc]); s.hasCsum() && got != want {
		return nil, s.damaged("the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	if kind := r[0x175]; s.hasCsum() && kind != 1 {
		return nil, s.damaged("the kind of checksums is %d, expected 1", kind)
	}
	if unknown := s.incompat &^ supported; unknown != 0 {
		return nil, &fs.UnsupportedError{Features: named(unknown, incompatNames, "incompatible feature")}
	}
	s.parseNames(r)
	for _, step := range []func(record) error{s.parseBlocks, s.parseInodes, s.parseGroups} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *super) parseNames(r record) {
	copy(s.uuid[:], r[0x68:])
	name, _, _ := bytes.Cut(r[0x78:0x88], []byte{0})
	s.label = string(name)
	if s.seed = checksum(^uint32(0), s.uuid[:]); s.incompat&incompatCsumSeed != 0 {
		s.seed = r.u32(0x270)
	}
	s.group = uint64(r.u16(0x5a))
	if state := r.u16(0x3a); state&stateErrors != 0 {
		s.notes = append(s.notes, "The kernel, or a check, has found errors in the file system.")
	}
	s.lastOrphan = fs.Ino(r.u32(0xe8))
	if s.compat&compatJournal != 0 {
		s.journal = fs.Ino(r.u32(0xe0))
		s.journalUUID = s.journal == 0
	}
	if s.compat&compatOrphanFile != 0 {
		s.orphanFile = fs.Ino(r.u32(0x280))
	}
	if s.incompat&incompatMMP != 0 {
		s.mmp = r.u64(0x168)
	}
	s.backupGroups = [2]uint32{r.u32(0x24c), r.u32(0x250)}
	s.reservedGDT = uint64(r.u16(0xce))
}

func (s *super) parseBlocks(r record) error {
	s.blocks, s.freeClusters = uint64(r.u32(0x4)), uint64(r.u32(0xc))
	if s.incompat&incompat64Bit != 0 {
		s.blocks, s.freeClusters = r.split(0x4, 0x150), r.split(0xc, 0x158)
	}
	s.firstData = uint64(r.u32(0x14))
	blockLog, clusterLog := r.u32(0x18), r.u32(0x1c)
	if blockLog > 6 {
		return s.damaged("a block has 2^%d bytes", uint64(blockLog)+10)
	}
	s.blockSize, s.cluster = 1024<<blockLog, 1
	if s.ro&roBigalloc != 0 {
		if clusterLog < blockLog || clusterLog > 30-10 {
			return s.damaged("a cluster has 2^%d bytes, a block 2^%d", uint64(clusterLog)+10, blockLog+10)
		}
		s.cluster = 1 << (clusterLog - blockLog)
	}
	first := uint64(0)
	if s.blockSize == 1024 && s.cluster == 1 {
		first = 1
	}
	if s.firstData != first {
		return s.damaged("the first block is %d, expected %d", s.firstData, first)
	}
	if s.blocks <= s.firstData || s.blocks > 1<<48 {
		return s.damaged("it counts %d blocks", s.blocks)
	}
	s.blocksOnVolume = s.length / uint64(s.blockSize)
	if s.blocks > s.blocksOnVolume {
		s.notes = append(s.notes, fmt.Sprintf("The volume ends before the file system: it has %d of %d blocks.", s.blocksOnVolume, s.blocks))
	}
	s.perGroup = uint64(r.u32(0x20))
	perGroup := s.perGroup / s.cluster
	if perGroup == 0 || perGroup > uint64(s.blockSize)*8 || perGroup%8 != 0 || s.perGroup%s.cluster != 0 {
		return s.damaged("a group has %d blocks", s.perGroup)
	}
	return nil
}

func (s *super) parseInodes(r record) error {
	s.inodes, s.inodesPerGroup = uint64(r.u32(0)), uint64(r.u32(0x28))
	s.inodeSize, s.firstInode = 128, 11
	if r.u32(0x4c) > 0 { // not the first revision
		s.inodeSize, s.firstInode = int(r.u16(0x58)), fs.Ino(r.u32(0x54))
	}
	if s.inodeSize < 128 || int64(s.inodeSize) > s.blockSize || bits.OnesCount(uint(s.inodeSize)) != 1 {
		return s.damaged("an inode has %d bytes", s.inodeSize)
	}
	if s.firstInode < 11 {
		return s.damaged("the first inode that is not reserved is %d", s.firstInode)
	}
	perBlock := uint64(s.blockSize) / uint64(s.inodeSize)
	if s.inodesPerGroup < perBlock || s.inodesPerGroup > uint64(s.blockSize)*8 || s.inodesPerGroup%8 != 0 {
		return s.damaged("a group has %d inodes", s.inodesPerGroup)
	}
	s.tableBlocks = raw.RoundUp(s.inodesPerGroup, perBlock) / perBlock
	return nil
}

func (s *super) parseGroups(r record) error {
	s.descSize = 32
	if s.incompat&incompat64Bit != 0 {
		s.descSize = int(r.u16(0xfe))
		if s.descSize < 64 || s.descSize > 1024 || bits.OnesCount(uint(s.descSize)) != 1 {
			return s.damaged("a group descriptor has %d bytes", s.descSize)
		}
	}
	s.allGroups = (s.blocks - s.firstData + s.perGroup - 1) / s.perGroup
	if s.inodes != s.allGroups*s.inodesPerGroup {
		return s.damaged("it counts %d inodes, but has %d groups of %d", s.inodes, s.allGroups, s.inodesPerGroup)
	}
	if s.tableBlocks >= s.perGroup {
		return s.damaged("a group has %d blocks, and its inode table %d", s.perGroup, s.tableBlocks)
	}
	// All tables and descriptors fit the volume, so that what loops over them ends in the time of reading it.
	most := s.length/(s.tableBlocks*uint64(s.blockSize)) + 1
	s.groups = min(s.allGroups, most)
	if s.incompat&incompatMetaBG != 0 {
		s.firstMetaGroup = uint64(r.u32(0x104))
	}
	return nil
}

// descPerBlock is how many group descriptors a block has.
func (s *super) descPerBlock() uint64 { return uint64(s.blockSize) / uint64(s.descSize) }

// gdtBlocks is how many blocks of descriptors follow each copy of the superblock.
func (s *super) gdtBlocks() uint64 {
	n := (s.allGroups + s.descPerBlock() - 1) / s.descPerBlock()
	if s.incompat&incompatMetaBG != 0 {
		n = min(n, s.firstMetaGroup)
	}
	return n
}

// groupStart is the first block of a group.
func (s *super) groupStart(group uint64) uint64 { return s.firstData + group*s.perGroup }

// hasSuper reports whether a group begins with a copy of the superblock.
func (s *super) hasSuper(group uint64) bool {
	switch {
	case group == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return group == uint64(s.backupGroups[0]) || group == uint64(s.backupGroups[1])
	case group == 1 || s.ro&roSparseSuper == 0:
		return true
	}
	return isPower(group, 3) || isPower(group, 5) || isPower(group, 7)
}

func isPower(n, of uint64) bool {
	for n > 1 && n%of == 0 {
		n /= of
	}
	return n == 1
}

// superBlock is the block of a group's copy of the superblock: the very first lies at byte 1024, even in block 0.
func (s *super) superBlock(group uint64) uint64 {
	if group == 0 {
		return uint64(superAt / s.blockSize)
	}
	return s.groupStart(group)
}

// info is what a superblock says of the file system.
func (s *super) info() fs.Info {
	i := fs.Info{Type: "ext2", Label: s.label, UUID: s.uuid, BlockSize: s.blockSize, Size: int64(s.blocks) * s.blockSize, Inodes: s.inodes}
	i.Free = int64(min(s.freeClusters, s.blocks/s.cluster) * s.cluster * uint64(s.blockSize))
	switch {
	case s.incompat&incompatOfExt4 != 0 || s.ro&roOfExt4 != 0:
		i.Type = "ext4"
	case s.compat&compatJournal != 0:
		i.Type = "ext3"
	}
	i.Features = append(i.Features, named(s.compat, compatNames, "compatible feature")...)
	i.Features = append(i.Features, named(s.incompat, incompatNames, "incompatible feature")...)
	i.Features = append(i.Features, named(s.ro, roNames, "read-only feature")...)
	i.Notes = s.notes
	return i
}
