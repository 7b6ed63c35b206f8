package fs

import "sort"

// Range is a range of bytes of a volume.
type Range struct{ Start, End int64 } // without the byte at End

// Len is how many bytes it has.
func (r Range) Len() int64 { return r.End - r.Start }

// Both are the bytes that are in both ranges: none if the length is not positive.
func (r Range) Both(o Range) Range { return Range{max(r.Start, o.Start), min(r.End, o.End)} }

// Set is a set of bytes of a volume.
type Set interface {
	// Next is the first range of the set that ends behind an offset. It may begin before it. The ranges that Next leads to
	// are in their order, and do not overlap.
	Next(offset int64) (Range, bool)
}

// Ranges are a Set: in their order, none empty, without an overlap.
type Ranges []Range

// Next finds a range in the time of a binary search.
func (s Ranges) Next(offset int64) (Range, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].End > offset })
	if i == len(s) {
		return Range{}, false
	}
	return s[i], true
}

// Parts calls use with the parts of r that are in the set, in their order, until it returns false.
func Parts(s Set, r Range, use func(Range) bool) bool {
	for r.Len() > 0 {
		next, ok := s.Next(r.Start)
		part := next.Both(r)
		if !ok || part.Len() <= 0 {
			return true
		}
		if !use(part) {
			return false
		}
		r.Start = part.End
	}
	return true
}

// Use is what bytes of a volume are used for.
type Use uint8

// The uses. Those from Data to Other belong to an inode.
const (
	Outside    Use = iota // the volume goes on where the file system ends
	Boot                  // the space for a boot loader
	Free                  // no inode owns it
	Superblock            // and its copies
	Groups                // group descriptors; headers of allocation groups
	SpaceMap              // what tells which blocks are free, or owned
	InodeMap              // what tells which inodes are free
	InodeTable            // inodes
	Journal               // that of the file system
	Allocated             // some inode owns it, and it was not looked for
	Unowned               // it is allocated, and no inode that can be read owns it
	Data                  // content of a regular file
	Unwritten             // the same, allocated in advance
	Directory             // entries
	Symlink               // where a symbolic link leads
	Tree                  // what maps the blocks of an inode: extents, indirect blocks
	Attributes            // extended attributes
	Other                 // the file system's own inodes: quotas, space to grow
)

var uses = [...]string{
	"outside the file system", "boot loader", "free space", "superblock", "group descriptors", "block bitmap", "inode bitmap", "inode table",
	"journal", "allocated", "unowned", "data", "unwritten data", "directory", "symbolic link", "mapping", "extended attributes", "other",
}

func (u Use) String() string {
	if int(u) < len(uses) {
		return uses[u]
	}
	return "unknown"
}

// Piece is a range of the volume, and its use.
type Piece struct {
	Range
	Use Use
	// First and Count are the inodes that have a part of their slot there, for InodeTable.
	First Ino
	Count uint64
	// Ino is the inode that owns it, if that is known, and Offset where in its content this is.
	Ino    Ino
	Offset int64
	// Again is set by [Owners] for another owner of bytes that have had their piece.
	Again bool
}
