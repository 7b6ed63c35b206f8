package compare

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"dmcow/fs"
)

// Kind is what has become of a file.
type Kind uint8

// The kinds. A file that several hold for is of the first of them.
const (
	Created Kind = iota + 1
	Deleted
	Changed    // its content, size or target
	Renamed    // it has other names
	Linked     // it has more names, or less
	Attributes // mode, owner, flags, times or extended attributes
	Accessed   // the time of access alone
)

var kinds = [...]string{Created: "created", Deleted: "deleted", Changed: "changed", Renamed: "renamed", Linked: "linked", Attributes: "attributes", Accessed: "accessed"}

func (k Kind) String() string { return kinds[k] }

// Differs are the attributes in which the two sides of a file differ.
type Differs uint8

// The attributes.
const (
	Mode Differs = 1 << iota
	Owner
	Modified
	Flags
	Xattrs
)

var differs = []string{"mode", "owner", "modified", "flags", "xattrs"}

// Words are the names of the attributes.
func (d Differs) Words() (all []string) {
	for n, word := range differs {
		if d>>n&1 != 0 {
			all = append(all, word)
		}
	}
	return all
}

// File is a file that differs.
type File struct {
	Kind    Kind
	Differs Differs
	Type    fs.Type
	Ino     fs.Ino
	Bytes   int64       // how many of the bytes that may differ are its own
	Size    [2]int64    // on the sides that have it, else -1
	Paths   [2][]string // each with a slash before it; none if no directory that can be read has it
}

// Path is the first of its names, on the new side if it has some there.
func (f *File) Path() string {
	for _, s := range []Side{New, Old} {
		if len(f.Paths[s]) > 0 {
			return f.Paths[s][0]
		}
	}
	return ""
}

// found is a file that differs, before its names are known.
type found struct {
	file   File
	counts [2]uint32  // how many names it has
	up     [2]fs.Ino  // of a directory
	links  [2][]place // its names
}

type place struct {
	dir  fs.Ino
	name string
}

// compare compares an inode on the side, or both sides, that have it. It reports whether to go on.
func (c *comparison) compare(both [2]fs.Inode) bool {
	switch {
	case both[Old] == nil && both[New] == nil:
		return true
	case both[Old] == nil || both[New] == nil:
		return c.alone(both)
	}
	a, b := both[Old].Attr(), both[New].Attr()
	if a.Type != b.Type || a.Generation != b.Generation || a.Created != b.Created {
		return c.alone([2]fs.Inode{Old: both[Old]}) && c.alone([2]fs.Inode{New: both[New]})
	}
	own, ok := c.extents(both)
	if !ok {
		return false
	}
	d := differing(a, b)
	same, err := sameXattrs(both)
	if err != nil && !c.trouble(New, err) {
		return false
	}
	if !same {
		d |= Xattrs
	}
	different, err := c.contentDiffers(both, own)
	if err != nil && !c.trouble(New, err) {
		return false
	}
	k := Kind(0)
	switch {
	case different || err != nil:
		k = Changed
	case d != 0 || a.Changed != b.Changed:
		k = Attributes
	case a.Type == fs.TypeDirectory: // its entries may differ
	case a.Accessed == b.Accessed:
		return true
	default:
		if c.result.Accessed++; !c.Accessed {
			return true
		}
		k = Accessed
	}
	return c.add(both, k, d, own)
}

// alone is an inode that one side has.
func (c *comparison) alone(both [2]fs.Inode) bool {
	own, ok := c.extents(both)
	k := Created
	if both[New] == nil {
		k = Deleted
	}
	return ok && c.add(both, k, 0, own)
}

// owned is what an inode has of the bytes that may differ.
type owned struct {
	bytes   int64
	data    bool // of these or the journal's, some are content
	special bool // it is the file system's own
}

// extents finds that.
func (c *comparison) extents(both [2]fs.Inode) (o owned, ok bool) {
	c.parts = c.parts[:0]
	directory := false
	for s, i := range both {
		if i == nil {
			continue
		}
		directory = i.Attr().Type == fs.TypeDirectory
		reserved := c.isReserved(Side(s), i.Attr().Ino)
		o.special = o.special || reserved
		for e, err := range i.Extents() {
			if err != nil {
				if !c.trouble(Side(s), err) {
					return o, false
				}
				continue
			}
			special := reserved || e.Use == fs.Other || e.Use == fs.Journal
			o.special = o.special || special
			if e.Use == fs.Data || e.Use == fs.Symlink {
				o.data = o.data || !fs.Parts(c.set, e.Range, func(fs.Range) bool { return false })
			}
			fs.Parts(c.Changed, e.Range, func(r fs.Range) bool {
				c.parts = append(c.parts, r)
				switch {
				case special:
					c.take(e.Use, r)
				case directory:
					c.take(fs.Directory, r)
				default:
					c.cover(r)
				}
				return true
			})
		}
	}
	slices.SortFunc(c.parts, func(a, b fs.Range) int { return cmp.Compare(a.Start, b.Start) })
	end := int64(0)
	for _, r := range c.parts {
		o.bytes += max(r.End-max(r.Start, end), 0)
		end = max(end, r.End)
	}
	return o, true
}

// isReserved reports whether an inode is the file system's own, if that shows in its number.
func (c *comparison) isReserved(s Side, n fs.Ino) bool {
	f, ok := c.Sides[s].(interface{ Reserved(fs.Ino) bool })
	return ok && f.Reserved(n)
}

// take sums up what no file owns.
func (c *comparison) take(use fs.Use, r fs.Range) {
	c.uncovered(r, func(part fs.Range) { c.result.Rest[use] += part.Len() })
	c.cover(r)
}

// add notes a file that differs. Of a directory only its names may.
func (c *comparison) add(both [2]fs.Inode, k Kind, d Differs, own owned) bool {
	if own.special {
		return true
	}
	x := found{file: File{Kind: k, Differs: d, Bytes: own.bytes, Size: [2]int64{-1, -1}}}
	for s, i := range both {
		if i == nil {
			continue
		}
		a := i.Attr()
		x.file.Ino, x.file.Type, x.file.Size[s], x.counts[s] = a.Ino, a.Type, a.Size, a.Links
		if a.Type != fs.TypeDirectory {
			continue
		}
		c.dirs.Add(uint64(a.Ino), 1)
		var err error
		if x.up[s], err = i.Parent(); err != nil && !c.trouble(Side(s), err) {
			return false
		}
		if k == Changed || k == Attributes && d&^Modified == 0 {
			x.file.Kind = 0 // unless its name differs
		}
	}
	c.found = append(c.found, x)
	return true
}

// differing are the attributes that differ.
func differing(a, b fs.Attr) (d Differs) {
	for n, same := range []bool{
		a.Mode == b.Mode, a.UID == b.UID && a.GID == b.GID && a.Project == b.Project, a.Modified == b.Modified, a.Flags&shown == b.Flags&shown,
	} {
		if !same {
			d |= 1 << n
		}
	}
	return d
}

// shown are the flags that somebody has set: others say how an inode is kept.
const shown = fs.FlagSync | fs.FlagImmutable | fs.FlagAppendOnly | fs.FlagNoDump | fs.FlagNoAtime | fs.FlagEncrypted | fs.FlagVerity | fs.FlagDAX | fs.FlagProject | fs.FlagCasefold

// contentDiffers reports whether an inode's content, which is not compared, differs by what is known of it.
func (c *comparison) contentDiffers(both [2]fs.Inode, own owned) (bool, error) {
	a, b := both[Old].Attr(), both[New].Attr()
	switch a.Type {
	case fs.TypeDirectory:
		return false, nil
	case fs.TypeSymlink:
		x, err := both[Old].Target()
		if err != nil {
			return false, err
		}
		y, err := both[New].Target()
		return x != y, err
	case fs.TypeFile:
		if a.Size != b.Size || own.data {
			return true, nil
		}
		return c.mapsDiffer(both)
	}
	return a.Major != b.Major || a.Minor != b.Minor, nil
}

// mapsDiffer reports whether the content of two files lies in different places, or in the inodes and is different.
func (c *comparison) mapsDiffer(both [2]fs.Inode) (differ bool, err error) {
	next, stop := pull(both[New].Data())
	defer stop()
	for e, err := range both[Old].Data() {
		if err != nil {
			return false, err
		}
		f, err, ok := next()
		if err != nil {
			return false, err
		}
		if !ok || e.Inline != f.Inline || e.Offset != f.Offset || e.Len() != f.Len() || !e.Inline && e.Range != f.Range {
			return true, nil
		}
		if e.Inline {
			if differ, err := inlineDiffers(both, e); differ || err != nil {
				return differ, err
			}
		}
	}
	_, err, ok := next()
	return ok && err == nil, err
}

// mostInline is how much content an inode can have in itself.
const mostInline = 64 << 10

func inlineDiffers(both [2]fs.Inode, e fs.Extent) (bool, error) {
	var p [2][]byte
	for s, i := range both {
		p[s] = make([]byte, min(e.Len(), mostInline))
		if n, err := i.ReadAt(p[s], e.Offset); err != nil && err != io.EOF {
			return false, err
		} else {
			p[s] = p[s][:n]
		}
	}
	return !bytes.Equal(p[Old], p[New]), nil
}

func sameXattrs(both [2]fs.Inode) (bool, error) {
	var all [2][]fs.Xattr
	for s, i := range both {
		for x, err := range i.Xattrs() {
			if err != nil {
				return true, err
			}
			all[s] = append(all[s], x)
		}
		slices.SortFunc(all[s], func(a, b fs.Xattr) int { return cmp.Compare(a.Name, b.Name) })
	}
	return slices.EqualFunc(all[Old], all[New], func(a, b fs.Xattr) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }), nil
}
