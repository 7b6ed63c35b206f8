package ext

import (
	"fmt"
	"math/bits"
)

// The features that matter here, with the kernel's numbers.
const (
	compatJournal      = 0x4
	compatResizeInode  = 0x10
	compatSparseSuper2 = 0x200
	compatFastCommit   = 0x400
	compatOrphanFile   = 0x1000

	incompatFileType   = 0x2
	incompatRecover    = 0x4
	incompatJournalDev = 0x8
	incompatMetaBG     = 0x10
	incompat64Bit      = 0x80
	incompatMMP        = 0x100
	incompatEAInode    = 0x400
	incompatCsumSeed   = 0x2000
	incompatLargeDir   = 0x4000
	incompatInline     = 0x8000

	roSparseSuper  = 0x1
	roHugeFile     = 0x8
	roGroupCsum    = 0x10
	roBigalloc     = 0x200
	roMetadataCsum = 0x400
	roProject      = 0x2000
	roSharedBlocks = 0x4000
)

// names of the features, as mke2fs calls them, by their bit.
var (
	compatNames = map[int]string{
		0: "dir_prealloc", 1: "imagic_inodes", 2: "has_journal", 3: "ext_attr", 4: "resize_inode", 5: "dir_index", 6: "lazy_bg",
		7: "exclude_inode", 8: "exclude_bitmap", 9: "sparse_super2", 10: "fast_commit", 11: "stable_inodes", 12: "orphan_file",
	}
	incompatNames = map[int]string{
		0: "compression", 1: "filetype", 2: "needs_recovery", 3: "journal_dev", 4: "meta_bg", 6: "extent", 7: "64bit", 8: "mmp",
		9: "flex_bg", 10: "ea_inode", 12: "dirdata", 13: "metadata_csum_seed", 14: "large_dir", 15: "inline_data", 16: "encrypt", 17: "casefold",
	}
	roNames = map[int]string{
		0: "sparse_super", 1: "large_file", 2: "btree_dir", 3: "huge_file", 4: "uninit_bg", 5: "dir_nlink", 6: "extra_isize",
		7: "has_snapshot", 8: "quota", 9: "bigalloc", 10: "metadata_csum", 11: "replica", 12: "read-only", 13: "project",
		14: "shared_blocks", 15: "verity", 16: "orphan_present",
	}
)

// supported are the incompatible features that are read. Others change what lies where: compression and dirdata, and
// whatever is newer than this.
const supported = incompatFileType | incompatRecover | incompatMetaBG | 0x40 | incompat64Bit | incompatMMP | 0x200 | incompatEAInode |
	incompatCsumSeed | incompatLargeDir | incompatInline | 0x10000 | 0x20000

// ofExt4 are the features that neither ext2 nor ext3 have.
const (
	incompatOfExt4 = ^uint32(incompatFileType | incompatRecover | incompatMetaBG | incompatJournalDev)
	roOfExt4       = ^uint32(roSparseSuper | 0x2 | 0x4)
)

// named lists features; the word is for those without a name.
func named(features uint32, names map[int]string, word string) (all []string) {
	for ; features != 0; features &= features - 1 {
		bit := bits.TrailingZeros32(features)
		name, ok := names[bit]
		if !ok {
			name = fmt.Sprintf("%s 0x%x", word, uint32(1)<<bit)
		}
		all = append(all, name)
	}
	return all
}
