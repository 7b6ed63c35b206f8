// Package ext reads ext2, ext3 and ext4: names, content, attributes, which bytes of the volume belong to what, and what a
// journal has that was not written back. It only reads, and knows no snapshots.
//
// # Own code
//
// github.com/diskfs/go-diskfs (1.9.4) reads names and data of ext4. It is not used here, because it tells no extents,
// verifies few checksums, replays no journal, and believes what damaged volumes say; its structures are not exported, so that
// nothing can be added. What is read here is some twenty structures.
//
// # Format
//
// A volume is blocks of 1 to 64 KiB, in groups. Integers are little-endian, those of the journal big-endian. The superblock
// is at byte 1024; copies of it begin some groups, followed by the group descriptors ([FS.Layout] knows where). A group
// descriptor says where the group's bitmaps and its inode table are, which may be in another group (flex_bg).
//
//	superblock     byte 1024, 1024 bytes            ext4_super_block
//	descriptors    32 bytes a group, 64 with 64bit   ext4_group_desc
//	bitmaps        a bit for each block or cluster; one for each inode
//	inode table    128 bytes an inode, or more       ext4_inode
//
// An inode has 60 bytes for one of these: the root of a tree of extents (ext4_extent_header), 15 pointers to blocks
// and blocks of pointers, the target of a short symbolic link, or the beginning of its content (inline_data), whose rest is
// an extended attribute. Directories are blocks of entries (ext4_dir_entry_2); those of an index of hashes look like blocks
// without entries, so directories are read from front to end, whatever index they have.
//
// # Checksums
//
// With metadata_csum, all that is read here has one (CRC-32C, beginning with the file system's UUID or a seed), which is
// verified before anything in it is used: superblock, group descriptors, bitmaps, inodes, nodes of extents, blocks of
// directories and their indexes, blocks of attributes, values that have an inode of their own, the file of orphans, and the
// journal's blocks. Indirect blocks and content never have one. The exception is an attribute in the inode, which the inode's
// checksum covers. What does not fit costs that object:
//
//   - a superblock: the first copy that is good is read (Info.Notes say so);
//   - a group descriptor: a copy says where bitmaps and inodes are, and nothing is known of free space in the group;
//   - a bitmap of inodes: whether an inode is in use is seen in its links;
//   - a bitmap of blocks: all of the group counts as allocated;
//   - a node or an indirect block: the part of the content that it maps, and no more.
//
// Without the flag of metadata_csum itself, which damage may have cleared, a superblock that still has the kind of checksums is
// compared with a copy.
//
// # Journal
//
// Where recovery is needed, the journal is replayed as fs/jbd2/recovery.c does it: transactions that were committed, without
// the blocks that were revoked later. Only the places of their blocks are kept, and reads go there (blocks.ReadAt). Fast
// commits describe what was done, not blocks; they are not replayed, and Info.Notes say so. Nor is what comes after the
// journal: orphans are neither deleted nor cut ([FS.Orphans]).
//
// # Not read
//
// Names and content of encrypted files; external journals; compression, which Linux never had; Lustre's dirdata. Unknown
// incompatible features are refused by name.
package ext
