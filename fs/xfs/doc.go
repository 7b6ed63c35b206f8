// Package xfs reads XFS: names, content, attributes, and which bytes of the volume belong to what. It only reads, and knows no
// snapshots.
//
// # Own code
//
// github.com/masahiro331/go-xfs-filesystem reads names and data of XFS. It is not used here, because it exports no
// extents, and panics in places. What is read here is some twenty structures.
//
// # Format
//
// A volume is blocks of 512 bytes to 64 KiB, in allocation groups of the same size. Integers are big-endian, checksums
// little-endian. The number of a block has its group in the high bits and its place there in the low ones; so has the number of
// an inode, which says where it lies. Each group begins with four sectors:
//
//	superblock     "XFSB"   xfs_dsb    that of the first group counts; the others are copies
//	free space     "XAGF"   xfs_agf    the roots of the trees of free space, of owners, of shared blocks
//	inodes         "XAGI"   xfs_agi    the roots of the trees of inodes; 64 lists of orphans
//	free list      "XAFL"   xfs_agfl   blocks that are kept for the trees
//
// A group's trees have nodes of one block (xfs_btree_block): free space by block and by size, all inodes and those that have a
// free one, owners (rmapbt), shared blocks (reflink). The tree of inodes has a record for each 64 inodes, some of which may
// not be there (sparse).
//
// An inode (xfs_dinode) is followed by two forks: its content, and its attributes. A fork has its content itself, or its extents,
// or the root of a tree of extents (xfs_bmbt_rec). Directories are blocks of entries, up to an offset of 32 GiB; behind are an
// index of hashes and, at 64 GiB, one of free space. Names are found without these, so that they are not read. Attributes
// are in leaves, below nodes if there are several; a large value has blocks of its own.
//
// # Checksums
//
// In version 5 all that is read here has a CRC-32C, and the UUID of the file system, its own place, and in most cases its owner,
// which are verified before anything in it is used: superblock, headers of groups, nodes, inodes, blocks of directories and of
// attributes, values and targets of symbolic links. Content never has one, nor has anything in version 4; what can be seen to be
// wrong there is damage, too. What does not fit costs that object:
//
//   - the superblock: a copy is read (Info.Notes say so), which may not know the counts of free space and inodes;
//   - the header of free space, or a node of that tree: the blocks that it knows count as allocated;
//   - the header of inodes, or a node of that tree: an inode itself says whether it is in use, but lists of all inodes
//     lack those;
//   - a node of an inode's tree: the part of the content that it maps, and no more.
//
// # Log
//
// The log is not replayed. Where it has changes, Info.Recovery is Needed and a note says that files are read as far as written
// back. It is clean if its last record is that of an unmount. A frozen file system, as a snapshot of a volume in use
// has it, wrote everything back, and then the superblock alone, twice: that is seen, too, and counts as clean, with a note.
//
// # Not read
//
// Files on a realtime device (their attributes are); metadata directories and zones, which came with Linux 6.13 and 6.15;
// directories of version 1. Unknown incompatible features are refused by name. The tree of shared blocks is not needed: an
// inode says that its blocks may be others', too.
package xfs
