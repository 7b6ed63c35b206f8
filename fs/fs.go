package fs

import (
	"io"
	"iter"
	"time"
)

// Ino is the number of an inode.
type Ino uint64

// Volume is what has a file system in it. It must allow concurrent calls.
type Volume interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// FileSystem is a file system. It may be used by several goroutines at once.
type FileSystem interface {
	// Info is what is known of the file system as a whole.
	Info() Info
	// Root is the inode of the root directory.
	Root() Ino
	// Inode reads an inode. The error is ErrFree (also for a number that the file system does not have), a [*DamageError], or
	// one of reading.
	Inode(Ino) (Inode, error)
	// Inodes are the inodes in use, in the order of their numbers, from one on. An error costs the inodes that it
	// names, or those of a part of the inode table.
	Inodes(from Ino) iter.Seq2[Inode, error]
	// Slot is where an inode lies on the volume, used or free.
	Slot(Ino) (Range, error)
	// ReadAt reads the volume as the file system sees it, with the replayed blocks of the journal in place.
	ReadAt(p []byte, offset int64) (int, error)
	// Replayed are the ranges of the volume that are read from the journal, in their order.
	Replayed() iter.Seq[Range]
	// Layout tells what all bytes of the set are used for, in their order and without a gap. Errors are told besides: each
	// byte has its piece all the same.
	Layout(Set) iter.Seq2[Piece, error]
	// Orphans are the inodes that recovery would delete, if they have no links, or cut at their size.
	Orphans() iter.Seq2[Ino, error]
}

// Inode is an inode as it was read. It is for one goroutine at a time.
type Inode interface {
	Attr() Attr
	// ReadAt reads the content of a regular file; what it has no blocks for is zero. The error is io.EOF at the file's end,
	// ErrNotFile, ErrEncrypted, a [*DamageError] or one of reading; then n bytes before it are good.
	ReadAt(p []byte, offset int64) (n int, err error)
	// Data are the parts of the content that are not holes, in their order and up to the size. Content that is kept in the
	// inode itself is a part of its own. What is allocated and not written yet is a hole. With an error, Offset and Len of
	// the extent are the part of the content that it costs.
	Data() iter.Seq2[Extent, error]
	// Extents are all blocks that the inode owns: its data, also behind the size or not written yet, and its metadata. What
	// lies in the inode's own slot is not among them.
	Extents() iter.Seq2[Extent, error]
	// Target is where a symbolic link leads.
	Target() (string, error)
	// Entries are the entries of a directory, in no order, without "." and "..".
	Entries() iter.Seq2[Entry, error]
	// Parent is the inode of "..".
	Parent() (Ino, error)
	// Xattrs are the extended attributes, with values as getxattr(2) would give them to root.
	Xattrs() iter.Seq2[Xattr, error]
}

// Type is the kind of an inode.
type Type uint8

// The types.
const (
	TypeUnknown Type = iota
	TypeFile
	TypeDirectory
	TypeSymlink
	TypeCharDevice
	TypeBlockDevice
	TypeFIFO
	TypeSocket
)

// Attr are the attributes of an inode. Two can be compared with ==.
type Attr struct {
	Ino        Ino
	Type       Type
	Mode       uint16 // as st_mode has it, with the type
	UID, GID   uint32
	Project    uint32
	Links      uint32
	Size       int64
	Blocks     uint64 // of 512 bytes, as the inode counts them
	Accessed   Time
	Modified   Time
	Changed    Time
	Created    Time // zero where the file system does not keep it
	Major      uint32
	Minor      uint32
	Flags      Flags
	Generation uint32
	Version    uint64 // counts changes, where the file system does that
}

// Time is a moment: seconds since 1970, and nanoseconds.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Time is the same moment for package time.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// Flags are those of an inode, with the numbers that FS_IOC_GETFLAGS and chattr(1) have.
type Flags uint32

// The flags that matter to whoever reads or copies.
const (
	FlagSync       Flags = 0x8
	FlagImmutable  Flags = 0x10
	FlagAppendOnly Flags = 0x20
	FlagNoDump     Flags = 0x40
	FlagNoAtime    Flags = 0x80
	FlagEncrypted  Flags = 0x800
	FlagVerity     Flags = 0x100000
	FlagDAX        Flags = 0x2000000
	FlagInline     Flags = 0x10000000
	FlagProject    Flags = 0x20000000
	FlagCasefold   Flags = 0x40000000
)

// Entry is a name in a directory.
type Entry struct {
	Name string // see the package comment; "#" and the inode's number if Encrypted
	Ino  Ino
	Type Type // TypeUnknown where the directory does not say
	// Encrypted is set for a name that nobody can read without its key.
	Encrypted bool
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string // with its namespace: "user.mime_type"
	Value []byte
}

// Extent is a range of the volume that belongs to an inode.
type Extent struct {
	Range
	Use Use // Data, Unwritten, Tree, Directory, Symlink, Attributes or Other
	// Offset is that of the content which lies there, for Data, Unwritten, Directory and Symlink.
	Offset int64
	// Shared is set for what may belong to other inodes, too.
	Shared bool
	// Inline is set for content in the inode itself: then Range is a part of its slot.
	Inline bool
}

// Info is what is known of a file system as a whole.
type Info struct {
	Type      string // as mount(8) calls it
	Label     string
	UUID      [16]byte
	BlockSize int64
	Size      int64 // of the file system, in bytes: the volume can be larger
	Inodes    uint64
	Free      int64 // bytes, as the file system last wrote it down
	Features  []string
	Recovery  Recovery
	// Notes say, each in a sentence, what a reader should know: which copy of the superblock is used, what of the journal
	// could not be replayed.
	Notes []string
}

// Recovery is what the journal asked for.
type Recovery uint8

// What can have become of it.
const (
	Clean    Recovery = iota // nothing was to be done
	Replayed                 // the journal was replayed, in memory
	Partly                   // so it was, but for what a note says
	Needed                   // it was not replayed: what is read is as far as it was written back
)
