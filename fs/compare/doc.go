// Package compare tells which files differ between two file systems that began as one: two sides of a volume, of which
// it is known in which bytes they may differ. It knows no snapshots.
//
// # What is read
//
// Inodes whose slots have bytes that may differ, and are not equal; of those that differ the maps of their blocks; and
// directories that lead to their names. Content is not read, but for what an inode has in itself. Where no directory that has
// changed has the name of an inode, directories are searched from the root on, those of one side alone: a directory that is
// the same on both sides has the same names.
//
// An inode is one file on both sides only if its type, its generation and the time of its creation are the same; otherwise
// one file was deleted, and another one created. An inode without links, which an open file keeps, is none: it has no name,
// and recovery deletes it.
//
// # What is told
//
// Of each file what has become of it ([Kind]), its names, and how many of the bytes that may differ are its own on either
// side: what bounds these bytes is larger than a block sometimes, so that a neighbour's may be among them. What no file owns
// is told by its use. The sums of both are all bytes that may differ.
//
// Directories are told of where they were created, deleted or renamed, or have other attributes. That their entries are
// others shows in the files; their blocks are summed up as directories'.
package compare
