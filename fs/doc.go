// Package fs is what file systems have in common: names, inodes, and which bytes of a volume belong to which inode. It knows
// no snapshots. Package fs/ext implements it for ext2, ext3 and ext4, and others can for theirs.
//
// # Reading
//
// A [FileSystem] reads a volume, an io.ReaderAt of a known size, and never writes. It sees the volume as it is after
// recovery: where the journal has to be replayed, and can be, the replayed blocks are read in place of the volume's own.
// [FileSystem.Replayed] names them, and [FileSystem.ReadAt] reads the volume with them. Whoever compares two sides by the
// bytes in which their volumes differ adds the replayed ranges of both.
//
// Names are bytes, in a Go string. An [Entry] never has a name that is empty, "." or "..", or has a slash or a zero byte: a
// directory that says so is damaged there.
//
// # Damage
//
// What is on the volume is not to be believed. Damage is a [*DamageError], which says what is damaged, where, and why; it costs
// that object, and no other. Iterators yield damage in between and go on. A checksum is verified wherever the format has
// one. Nothing is allocated because a field on the volume asks for it, and every loop ends: the metadata and the data of
// an inode cannot be more than the volume has bytes, and no block is read twice on the way through a tree.
//
// # Owners
//
// There are two ways from bytes of the volume to what owns them:
//
//   - [FileSystem.Layout] tells what follows from the geometry and from the maps of free space: free space, inode tables
//     with their inodes, the journal, other metadata. What belongs to some file or directory is only [Allocated]. It
//     reads little, whatever the size of the volume.
//   - [Owners] also finds the inodes, for which it goes through all of them, with the trees that map their blocks.
//
// So what differs between two sides takes the first way: the inodes whose slots lie in changed ranges ([InodesIn]), compared
// slot by slot; then [Inode.Extents] of those that differ. A file whose data has changed has another time of modification in
// its slot. What keeps the space of a store takes the second.
//
// # Paths
//
// Inodes do not know their names. [Names] finds them, in directories that are likely to have them first, and otherwise in
// the whole tree; it reads directories, and of inodes only those of directories. [Path] goes up from a directory, by
// "..", and reads each directory on the way. For few inodes that is little, and memory holds just the names that are wanted.
package fs
