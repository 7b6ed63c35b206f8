package xfs

import (
	"bytes"
	"fmt"
	"math/bits"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// superMagic begins a superblock: "XFSB".
const superMagic = 0x58465342

// The least and the most that sectors and blocks have.
const (
	minSector, maxSector = 512, 32 << 10
	minBlock, maxBlock   = 512, 64 << 10
	minGroup             = 64 // blocks
)

// nullInode is the number that stands for none.
const nullInode = 1<<64 - 1

// super is the superblock, with what follows from it. All of it was checked against the rest and the volume.
type super struct {
	version5                  bool
	v4, more                  uint32 // the features of version 4, and those of their second word
	compat, ro, incompat, log uint32

	blockSize           int64
	blocks              uint64
	groupBlocks         uint64
	allGroups, groups   uint64 // as many as it has; those that can be read
	sector              int64
	inodeSize           int
	blockLog, inodeLog  uint // bits of the number of a block in its group; of an inode in its block
	inodesPerBlock      uint64
	directoryLog        uint // blocks of a directory's block
	logStart, logBlocks uint64
	logSector           int64
	realtime            uint64 // blocks
	inodes, free        uint64
	root                fs.Ino
	special             [5]uint64 // inodes: bitmap and summary of the realtime device, quotas
	uuid, metaUUID      [16]byte
	label               string
	notes               []string
	at                  int64
	length              uint64 // of the volume, in bytes
}

func (s *super) damaged(format string, args ...any) error {
	return &fs.DamageError{What: "superblock", At: s.at, Why: fmt.Sprintf(format, args...)}
}

// readSuper reads the superblock at a place. The error is fs.ErrNone where there is nothing like it. The record is what
// could be read of it.
func readSuper(v fs.Volume, at int64) (*super, record, error) {
	if v.Size() < at+minSector {
		return nil, nil, fs.ErrNone
	}
	r := make(record, minSector)
	if err := raw.ReadFull(v, r, at); err != nil {
		return nil, nil, &fs.ReadError{What: "superblock", At: at, Err: err}
	}
	if size := int64(r.u16(102)); size > minSector && size <= maxSector && size&(size-1) == 0 && at+size <= v.Size() {
		r = make(record, size)
		if err := raw.ReadFull(v, r, at); err != nil {
			return nil, nil, &fs.ReadError{What: "superblock", At: at, Err: err}
		}
	}
	s, err := parseSuper(r, v.Size(), at)
	return s, r, err
}

func parseSuper(r record, volume, at int64) (*super, error) {
	if r.u32(0) != superMagic {
		return nil, fs.ErrNone
	}
	s := &super{at: at, length: uint64(volume), v4: uint32(r.u16(100)) &^ 0xf, more: r.u32(200)}
	switch version := r.u16(100) & 0xf; version {
	case 5:
		s.version5 = true
	case 4:
		if r.u32(224) != 0 {
			return nil, s.damaged("its version is 4, and it has a checksum")
		}
	default:
		if r.u32(224) != 0 || version == 0 || version > 5 {
			return nil, s.damaged("its version is %d", version)
		}
		return nil, &fs.UnsupportedError{Features: []string{fmt.Sprintf("version %d of the superblock", version)}}
	}
	if err := s.checkCsum(r); err != nil {
		return nil, err
	}
	if err := s.checkFeatures(r); err != nil {
		return nil, err
	}
	s.parseNames(r)
	for _, step := range []func(record) error{s.parseSizes, s.parseGroups, s.parseInodes, s.parseLog} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *super) checkCsum(r record) error {
	if !s.version5 {
		return nil
	}
	if int(r.u16(102)) != len(r) {
		return s.damaged("a sector has %d bytes", r.u16(102))
	}
	if got, want := r.stored(224), checksum(r, 224); got != want {
		return s.damaged("the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	return nil
}

func (s *super) checkFeatures(r record) error {
	if s.version5 {
		s.compat, s.ro, s.incompat, s.log = r.u32(208), r.u32(212), r.u32(216), r.u32(220)
		if unknown := s.incompat &^ supported; unknown != 0 {
			return &fs.UnsupportedError{Features: named(unknown, incompatNames, "incompatible feature")}
		}
		return nil
	}
	if s.v4&v4More == 0 {
		s.more = 0
	} else if s.more == 0 {
		s.more = r.u32(204) // where some kernels wrote it
	}
	unknown := named(s.more&^okMore, moreNames, "feature")
	if s.v4&v4Shared != 0 {
		unknown = append(unknown, "shared")
	}
	if s.v4&v4DirV2 == 0 {
		unknown = append(unknown, "directories of version 1")
	}
	if s.v4&v4ExtFlag == 0 {
		unknown = append(unknown, "extents without a flag")
	}
	if len(unknown) > 0 {
		return &fs.UnsupportedError{Features: unknown}
	}
	return nil
}

func (s *super) hasFileType() bool {
	if s.version5 {
		return s.incompat&incompatFileType != 0
	}
	return s.more&moreFileType != 0
}

func (s *super) parseNames(r record) {
	copy(s.uuid[:], r[32:])
	s.metaUUID = s.uuid
	if s.incompat&incompatMetaUUID != 0 {
		copy(s.metaUUID[:], r[248:])
	}
	name, _, _ := bytes.Cut(r[108:120], []byte{0})
	s.label = string(name)
	s.inodes, s.free = r.u64(128), r.u64(144)
	s.realtime = r.u64(16)
	s.root = fs.Ino(r.u64(56))
	s.special = [5]uint64{r.u64(64), r.u64(72)}
	if s.version5 || s.v4&v4Quota != 0 {
		s.special[2], s.special[3] = r.u64(160), r.u64(168)
	}
	if s.version5 {
		s.special[4] = r.u64(232)
	}
	if s.incompat&incompatNeedsRepair != 0 {
		s.notes = append(s.notes, "The file system is marked as one that xfs_repair has to repair: the kernel does not mount it before.")
	}
	if r[126] != 0 {
		s.notes = append(s.notes, "mkfs.xfs did not finish this file system.")
	}
}

// isPower reports whether n is 2 to the power of log, from least to most.
func isPower(n int64, log byte, least, most int64) bool {
	return n >= least && n <= most && bits.OnesCount64(uint64(n)) == 1 && bits.TrailingZeros64(uint64(n)) == int(log)
}

func (s *super) parseSizes(r record) error {
	s.blockSize, s.sector, s.inodeSize = int64(r.u32(4)), int64(r.u16(102)), int(r.u16(104))
	switch {
	case !isPower(s.blockSize, r[120], minBlock, maxBlock):
		return s.damaged("a block has %d bytes, and 2^%d", s.blockSize, r[120])
	case !isPower(s.sector, r[121], minSector, min(maxSector, s.blockSize)):
		return s.damaged("a sector has %d bytes, and 2^%d", s.sector, r[121])
	case !isPower(int64(s.inodeSize), r[122], 256, min(2048, s.blockSize)):
		return s.damaged("an inode has %d bytes, and 2^%d", s.inodeSize, r[122])
	case r[192] > 16 || s.blockSize<<r[192] > maxBlock:
		return s.damaged("a block of directories has 2^%d blocks", r[192])
	}
	s.directoryLog = uint(r[192])
	s.inodesPerBlock, s.inodeLog = uint64(r.u16(106)), uint(r[123])
	if s.inodesPerBlock != uint64(s.blockSize)/uint64(s.inodeSize) || s.inodesPerBlock != 1<<s.inodeLog {
		return s.damaged("a block has %d inodes, and 2^%d", s.inodesPerBlock, s.inodeLog)
	}
	return nil
}

func (s *super) parseGroups(r record) error {
	s.blocks, s.groupBlocks, s.allGroups = r.u64(8), uint64(r.u32(84)), uint64(r.u32(88))
	s.blockLog = uint(r[124])
	// Four headers have their sectors before all else.
	if s.groupBlocks < minGroup || s.groupBlocks > 1<<31 || bits.Len64(s.groupBlocks-1) != int(s.blockLog) || int64(s.groupBlocks)*s.blockSize > 1<<40 {
		return s.damaged("a group has %d blocks, and its numbers %d bits", s.groupBlocks, s.blockLog)
	}
	if s.allGroups == 0 || s.blocks > s.allGroups*s.groupBlocks || s.blocks <= (s.allGroups-1)*s.groupBlocks || s.blocks > 1<<62/uint64(s.blockSize) {
		return s.damaged("it counts %d blocks, but has %d groups of %d", s.blocks, s.allGroups, s.groupBlocks)
	}
	if s.blockLog+s.inodeLog > 32 {
		return s.damaged("an inode's number in its group has %d bits", s.blockLog+s.inodeLog)
	}
	on := s.length / uint64(s.blockSize)
	if s.blocks > on {
		s.notes = append(s.notes, fmt.Sprintf("The volume ends before the file system: it has %d of %d blocks.", on, s.blocks))
	}
	// All groups that are looked at begin on the volume, so that what loops over them ends in the time of reading it.
	s.groups = min(s.allGroups, (on+s.groupBlocks-1)/s.groupBlocks)
	if s.groups == 0 {
		return s.damaged("the volume has no whole block")
	}
	return nil
}

func (s *super) parseInodes(record) error {
	if s.root != nullInode {
		if _, _, err := s.place(s.root); err != nil {
			return s.damaged("the root directory is inode %d", s.root)
		}
	}
	return nil
}

func (s *super) parseLog(r record) error {
	s.logBlocks, s.logSector = uint64(r.u32(96)), 512
	if s.version5 || s.v4&v4Sector != 0 {
		if size := int64(r.u16(194)); size > 0 {
			s.logSector = size
		}
	}
	if s.logSector < 512 || s.logSector > maxSector || s.logSector&(s.logSector-1) != 0 {
		return s.damaged("a sector of the log has %d bytes", s.logSector)
	}
	start := r.u64(48)
	if start == 0 {
		return nil
	}
	block, ok := s.linear(start)
	if !ok || s.logBlocks == 0 || s.logBlocks > s.blocks-block || block%s.groupBlocks+s.logBlocks > s.groupBlocks {
		return s.damaged("the log has %d blocks from %d on", s.logBlocks, start)
	}
	s.logStart = block
	return nil
}

// linear is the block of the volume that a block's number stands for: its high bits are the group.
func (s *super) linear(n uint64) (uint64, bool) {
	group, block := n>>s.blockLog, n&(1<<s.blockLog-1)
	at := group*s.groupBlocks + block
	return at, group < s.allGroups && block < s.groupBlocks && at < s.blocks
}

// groupSize is how many blocks a group has.
func (s *super) groupSize(group uint64) uint64 {
	return min(s.groupBlocks, s.blocks-group*s.groupBlocks)
}

// groupAt is where a group begins on the volume.
func (s *super) groupAt(group uint64) int64 { return int64(group*s.groupBlocks) * s.blockSize }

// headBlocks are the blocks that the four sectors of headers take at the beginning of a group.
func (s *super) headBlocks() uint64 { return uint64((4*s.sector + s.blockSize - 1) / s.blockSize) }

// place is the group of an inode, and its number there.
func (s *super) place(n fs.Ino) (group, index uint64, err error) {
	bits := s.blockLog + s.inodeLog
	group, index = uint64(n)>>bits, uint64(n)&(1<<bits-1)
	if group >= s.groups || index>>s.inodeLog >= s.groupSize(group) || index>>s.inodeLog < s.headBlocks() {
		return 0, 0, fs.ErrFree
	}
	return group, index, nil
}

// number is the whole number of an inode.
func (s *super) number(group, index uint64) fs.Ino {
	return fs.Ino(group<<(s.blockLog+s.inodeLog) | index)
}

// slot is where an inode of a group lies: blocks are full of inodes.
func (s *super) slot(group, index uint64) int64 {
	return s.groupAt(group) + int64(index)*int64(s.inodeSize)
}

// info is what a superblock says of the file system.
func (s *super) info() fs.Info {
	i := fs.Info{Type: "xfs", Label: s.label, UUID: s.uuid, BlockSize: s.blockSize, Size: int64(s.blocks) * s.blockSize, Inodes: s.inodes}
	i.Free = int64(min(s.free, s.blocks)) * s.blockSize
	if s.version5 {
		i.Features = append([]string{"crc"}, named(s.compat, nil, "compatible feature")...)
		i.Features = append(i.Features, named(s.incompat, incompatNames, "incompatible feature")...)
		i.Features = append(i.Features, named(s.ro, roNames, "read-only feature")...)
	} else {
		i.Features = append(named(s.v4&^(v4DirV2|v4More), v4Names, "feature"), named(s.more, moreNames, "feature")...)
	}
	if s.realtime > 0 {
		i.Features = append(i.Features, "realtime")
	}
	i.Notes = s.notes
	return i
}
