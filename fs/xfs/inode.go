package xfs

import (
	"fmt"

	"dmcow/fs"
)

// inode is an inode, whose checksum was verified.
type inode struct {
	f      *FS
	number fs.Ino
	at     int64  // its slot on the volume
	slot   record // all of it
	attr   fs.Attr
	flags  uint16
	flags2 uint64
	data   fork // its content
	xattr  fork // its attributes
}

// The flags of an inode that matter to whoever reads it.
const (
	flagRealtime = 0x1

	flag2DAX         = 0x1
	flag2Reflink     = 0x2
	flag2BigTime     = 0x8
	flag2LargeCounts = 0x10
)

// The forms that a fork can have.
const (
	formDevice = iota
	formLocal
	formExtents
	formTree
)

// fork is one of the two parts of an inode behind its fields: its content, or its attributes.
type fork struct {
	form    int
	room    record
	at      int64  // on the volume
	extents uint64 // it is said to have
	use     fs.Use
}

func (i *inode) name() string { return fmt.Sprintf("inode %d", i.number) }

func (i *inode) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: i.name(), At: at, Why: fmt.Sprintf(format, args...)}
}

// Inode reads an inode.
func (f *FS) Inode(n fs.Ino) (fs.Inode, error) {
	i, err := f.inode(n)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// inode reads an inode that is in use. Where the tree of inodes is damaged, the inode itself says whether it is.
func (f *FS) inode(n fs.Ino) (*inode, error) {
	group, index, err := f.place(n)
	if err != nil {
		return nil, err
	}
	c, errChunk := f.chunk(group, index)
	if errChunk == fs.ErrFree || errChunk == nil && !c.used(index-c.first) {
		return nil, fs.ErrFree
	}
	at := f.slot(group, index)
	in := at % f.blockSize
	b, err := f.dev.read(at-in, int(f.blockSize), fmt.Sprintf("inode %d", n))
	if err != nil {
		return nil, err
	}
	i, err := f.parseInode(n, at, b[in:][:f.inodeSize])
	if err != nil && err != fs.ErrFree && errChunk != nil {
		return nil, errChunk
	}
	return i, err
}

func (f *FS) parseInode(n fs.Ino, at int64, slot record) (*inode, error) {
	i := &inode{f: f, number: n, at: at, slot: slot}
	if why := i.check(); why != "" {
		return nil, i.damaged(at, "%s", why)
	}
	if slot.u16(2) == 0 {
		return nil, fs.ErrFree
	}
	i.parseAttr()
	if i.attr.Size < 0 || i.attr.Type == fs.TypeUnknown {
		return nil, i.damaged(at, "its mode is 0%o, its size 0x%x", i.attr.Mode, uint64(i.attr.Size))
	}
	if why := i.parseForks(); why != "" {
		return nil, i.damaged(at, "%s", why)
	}
	return i, nil
}

// check returns what is wrong with the slot.
func (i *inode) check() string {
	version := i.slot[4]
	if i.f.version5 {
		if why := i.f.checkSeal(i.slot, i.at, seal{crc: 100, uuid: 160, block: -1, owner: -1}); why != "" {
			return why
		}
		if n := i.slot.u64(152); n != uint64(i.number) {
			return fmt.Sprintf("it has the number %d", n)
		}
	}
	if magic := i.slot.u16(0); magic != 0x494e {
		return fmt.Sprintf("its magic number is 0x%04x", magic)
	}
	if i.f.version5 != (version == 3) || version == 0 || version > 3 {
		return fmt.Sprintf("its version is %d", version)
	}
	return ""
}

var types = [16]fs.Type{1: fs.TypeFIFO, 2: fs.TypeCharDevice, 4: fs.TypeDirectory, 6: fs.TypeBlockDevice, 8: fs.TypeFile, 10: fs.TypeSymlink, 12: fs.TypeSocket}

func (i *inode) parseAttr() {
	r := i.slot
	a := &i.attr
	a.Ino, a.Mode, a.UID, a.GID = i.number, r.u16(2), r.u32(8), r.u32(12)
	a.Type = types[a.Mode>>12]
	if r[4] == 1 {
		a.Links = uint32(r.u16(6))
	} else {
		a.Links, a.Project = r.u32(16), uint32(r.u16(20))|uint32(r.u16(22))<<16
	}
	a.Size, a.Blocks = int64(r.u64(56)), r.u64(64)*uint64(i.f.blockSize/512)
	i.flags, a.Generation = r.u16(90), r.u32(92)
	if r[4] == 3 {
		i.flags2, a.Version = r.u64(120), r.u64(104)
		a.Created = i.time(144)
	}
	a.Accessed, a.Modified, a.Changed = i.time(32), i.time(40), i.time(48)
	a.Flags = flagsOf(i.flags, i.flags2)
}

// flagsOf are the flags in the numbers that all file systems use.
func flagsOf(flags uint16, flags2 uint64) (all fs.Flags) {
	for _, pair := range []struct {
		flag uint16
		is   fs.Flags
	}{
		{0x8, fs.FlagImmutable}, {0x10, fs.FlagAppendOnly}, {0x20, fs.FlagSync}, {0x40, fs.FlagNoAtime}, {0x80, fs.FlagNoDump}, {0x200, fs.FlagProject},
	} {
		if flags&pair.flag != 0 {
			all |= pair.is
		}
	}
	if flags2&flag2DAX != 0 {
		all |= fs.FlagDAX
	}
	return all
}

// time is a moment: seconds and nanoseconds, or nanoseconds since 2^31 seconds before 1970 (bigtime).
func (i *inode) time(at int) fs.Time {
	if i.flags2&flag2BigTime != 0 {
		t := i.slot.u64(at)
		return fs.Time{Sec: int64(t/1e9) - 1<<31, Nsec: uint32(t % 1e9)}
	}
	return fs.Time{Sec: int64(int32(i.slot.u32(at))), Nsec: i.slot.u32(at + 4)}
}

// Attr are the inode's attributes.
func (i *inode) Attr() fs.Attr { return i.attr }

// parseForks finds the two forks, and returns what is wrong with them.
func (i *inode) parseForks() string {
	start := 100
	if i.slot[4] == 3 {
		start = 176
	}
	room := i.slot[start:]
	i.data = fork{form: int(i.slot[5]), room: room, at: i.at + int64(start), extents: uint64(i.slot.u32(76)), use: fs.Data}
	count := uint64(i.slot.u16(80))
	if i.flags2&flag2LargeCounts != 0 {
		i.data.extents, count = i.slot.u64(24), uint64(i.slot.u32(76))
	}
	if cut := 8 * int(i.slot[82]); cut > 0 {
		if cut >= len(room) {
			return fmt.Sprintf("its attributes begin at byte %d of %d", cut, len(room))
		}
		i.data.room = room[:cut]
		i.xattr = fork{form: int(i.slot[83]), room: room[cut:], at: i.data.at + int64(cut), extents: count, use: fs.Attributes}
	}
	special := i.attr.Type != fs.TypeFile && i.attr.Type != fs.TypeDirectory && i.attr.Type != fs.TypeSymlink
	switch form := i.data.form; {
	case special != (form == formDevice), form > formTree, form == formLocal && i.attr.Type == fs.TypeFile:
		return fmt.Sprintf("the form of its content is %d", form)
	}
	if i.attr.Type == fs.TypeCharDevice || i.attr.Type == fs.TypeBlockDevice {
		n := i.data.room.u32(0)
		i.attr.Major, i.attr.Minor = n>>18&0x3fff, n&0x3ffff
	}
	return ""
}
