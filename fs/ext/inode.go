package ext

import (
	"fmt"
	"iter"
	"math"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// inode is an inode, whose checksum was verified.
type inode struct {
	f      *FS
	number fs.Ino
	at     int64  // its slot on the volume
	slot   record // all of it
	attr   fs.Attr
	seed   uint32 // of the checksums of its blocks
	flags  uint32
}

// The flags of an inode that matter to whoever reads it.
const (
	flagEncrypted = 0x800
	flagIndex     = 0x1000
	flagHuge      = 0x40000
	flagExtents   = 0x80000
	flagEAInode   = 0x200000
	flagInline    = 0x10000000
)

func (i *inode) name() string { return fmt.Sprintf("inode %d", i.number) }

func (i *inode) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: i.name(), At: at, Why: fmt.Sprintf(format, args...)}
}

// place is the group of an inode, and which of its inodes it is.
func (f *FS) place(n fs.Ino) (group, index uint64, err error) {
	if n == 0 || uint64(n) > f.inodes || uint64(n-1)/f.inodesPerGroup >= f.groups {
		return 0, 0, fs.ErrFree
	}
	return uint64(n-1) / f.inodesPerGroup, uint64(n-1) % f.inodesPerGroup, nil
}

// Slot is where an inode lies on the volume.
func (f *FS) Slot(n fs.Ino) (fs.Range, error) {
	number, index, err := f.place(n)
	if err != nil {
		return fs.Range{}, err
	}
	g, _, err := f.group(number)
	if err != nil {
		return fs.Range{}, err
	}
	at := int64(g.inodeTable)*f.blockSize + int64(index)*int64(f.inodeSize)
	return fs.Range{Start: at, End: at + int64(f.inodeSize)}, nil
}

// Inode reads an inode.
func (f *FS) Inode(n fs.Ino) (fs.Inode, error) {
	i, err := f.inode(n)
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (f *FS) inode(n fs.Ino) (*inode, error) {
	number, index, err := f.place(n)
	if err != nil {
		return nil, err
	}
	g, _, err := f.group(number)
	if err != nil {
		return nil, err
	}
	if g.noInodes || index >= f.inodesPerGroup-g.unused {
		return nil, fs.ErrFree
	}
	used, err := f.inodeBitmap(g)
	if err == nil && !bit(used, index) {
		return nil, fs.ErrFree
	}
	in := int64(index) * int64(f.inodeSize)
	block := g.inodeTable + uint64(in/f.blockSize)
	b, err := f.dev.block(block, fmt.Sprintf("inode %d", n))
	if err != nil {
		return nil, err
	}
	slot := b[in%f.blockSize:][:f.inodeSize]
	return f.parseInode(n, int64(block)*f.blockSize+in%f.blockSize, slot, used != nil)
}

// parseInode reads an inode that is in use, if that is known; otherwise its links tell.
func (f *FS) parseInode(n fs.Ino, at int64, slot record, used bool) (*inode, error) {
	i := &inode{f: f, number: n, at: at, slot: slot, flags: slot.u32(0x20)}
	if raw.IsZero(slot) || !used && slot.u16(0x1a) == 0 {
		return nil, fs.ErrFree
	}
	i.seed = checksum32(checksum32(f.seed, uint32(n)), slot.u32(0x64))
	if err := i.checkCsum(); err != nil {
		return nil, err
	}
	if f.inodeSize > 128 && (i.extra() > f.inodeSize-128 || i.extra()%4 != 0) {
		return nil, i.damaged(at, "it has %d more bytes than the first 128", i.extra())
	}
	i.parseAttr()
	if i.attr.Size < 0 {
		return nil, i.damaged(at, "its size is 0x%x", uint64(i.attr.Size))
	}
	if i.attr.Mode == 0 && i.attr.Links == 0 && i.attr.Blocks == 0 {
		return nil, fs.ErrFree // a reserved one that nothing uses
	}
	return i, nil
}

// extra is how many bytes belong to the inode behind the first 128. Others are free for attributes.
func (i *inode) extra() int {
	if len(i.slot) <= 128 {
		return 0
	}
	return int(i.slot.u16(0x80))
}

// has reports whether the inode has a field of so many bytes.
func (i *inode) has(at, size int) bool { return at+size <= 128+i.extra() && at+size <= len(i.slot) }

func (i *inode) checkCsum() error {
	if !i.f.hasCsum() {
		return nil
	}
	got := uint32(i.slot.u16(0x7c))
	sum := checksumBut(i.seed, i.slot[:128], 0x7c, 2)
	switch rest := i.slot[128:]; {
	case i.has(0x82, 2):
		got |= uint32(i.slot.u16(0x82)) << 16
		sum = checksumBut(sum, rest, 2, 2)
	default:
		sum = checksum(sum, rest) & 0xffff
	}
	if got != sum {
		return i.damaged(i.at, "the checksum is 0x%08x, expected 0x%08x", got, sum)
	}
	return nil
}

func (i *inode) parseAttr() {
	r := i.slot
	a := &i.attr
	a.Ino, a.Mode, a.Links = i.number, r.u16(0), uint32(r.u16(0x1a))
	a.Type = types[a.Mode>>12]
	a.UID = uint32(r.u16(2)) | uint32(r.u16(0x78))<<16
	a.GID = uint32(r.u16(0x18)) | uint32(r.u16(0x7a))<<16
	a.Size = int64(r.u32(4))
	if a.Type == fs.TypeFile || i.f.incompat&incompatLargeDir != 0 && a.Type == fs.TypeDirectory {
		a.Size |= int64(uint64(r.u32(0x6c)) << 32)
	}
	a.Blocks = uint64(r.u32(0x1c))
	if i.f.ro&roHugeFile != 0 {
		a.Blocks |= uint64(r.u16(0x74)) << 32
		if i.flags&flagHuge != 0 {
			a.Blocks *= uint64(i.f.blockSize) / 512
		}
	}
	a.Changed, a.Modified, a.Accessed = i.time(0xc, 0x84), i.time(0x10, 0x88), i.time(8, 0x8c)
	if i.has(0x90, 4) {
		a.Created = i.time(0x90, 0x94)
	}
	a.Flags, a.Generation = fs.Flags(i.flags), r.u32(0x64)
	a.Version = uint64(r.u32(0x24))
	if i.has(0x98, 4) {
		a.Version |= uint64(r.u32(0x98)) << 32
	}
	if i.has(0x9c, 4) && i.f.ro&roProject != 0 {
		a.Project = r.u32(0x9c)
	}
	if a.Type == fs.TypeCharDevice || a.Type == fs.TypeBlockDevice {
		a.Major, a.Minor = device(r.u32(0x28), r.u32(0x2c))
	}
}

var types = [16]fs.Type{1: fs.TypeFIFO, 2: fs.TypeCharDevice, 4: fs.TypeDirectory, 6: fs.TypeBlockDevice, 8: fs.TypeFile, 10: fs.TypeSymlink, 12: fs.TypeSocket}

// device is a device's number, in its old form or its new one.
func device(old, wide uint32) (major, minor uint32) {
	if old != 0 {
		return old >> 8 & 0xff, old & 0xff
	}
	return wide >> 8 & 0xfff, wide&0xff | wide>>12&0xfff00
}

// time is a moment: seconds, with two more bits and the nanoseconds in another field.
func (i *inode) time(seconds, more int) fs.Time {
	t := fs.Time{Sec: int64(int32(i.slot.u32(seconds)))}
	if i.has(more, 4) {
		extra := i.slot.u32(more)
		t.Sec += int64(extra&3) << 32
		t.Nsec = extra >> 2
	}
	return t
}

// Reserved reports whether an inode is the file system's own, other than the root directory.
func (f *FS) Reserved(n fs.Ino) bool {
	return n < f.firstInode && n != f.Root() || n == f.orphanFile
}

// Attr are the inode's attributes.
func (i *inode) Attr() fs.Attr { return i.attr }

// tableBytes is how much of an inode table is read at once.
const tableBytes = 64 << 10

// Inodes are the inodes in use.
func (f *FS) Inodes(from fs.Ino) iter.Seq2[fs.Inode, error] {
	return func(yield func(fs.Inode, error) bool) {
		first, _, err := f.place(max(from, 1))
		if err != nil {
			return
		}
		t := table{f: f, from: max(from, 1), yield: yield, buf: make([]byte, max(tableBytes, f.blockSize))}
		for n := first; n < f.groups && t.group(n); n++ {
		}
	}
}

// table goes through inode tables.
type table struct {
	f     *FS
	from  fs.Ino
	yield func(fs.Inode, error) bool
	buf   []byte
}

func (t *table) group(n uint64) bool {
	g, trouble, err := t.f.group(n)
	if trouble != nil && !t.yield(nil, trouble) {
		return false
	}
	if err != nil || g.noInodes {
		return true
	}
	used, err := t.f.inodeBitmap(g)
	if err != nil && trouble == nil && !t.yield(nil, err) {
		return false
	}
	count := t.f.inodesPerGroup - g.unused
	step := uint64(len(t.buf) / t.f.inodeSize)
	for index := uint64(0); index < count; index += step {
		if !t.part(g, used, index, min(index+step, count)) {
			return false
		}
	}
	return true
}

// part is as many inodes of a group as are read at once.
func (t *table) part(g group, used record, index, end uint64) bool {
	first := fs.Ino(g.number*t.f.inodesPerGroup + 1)
	for ; index < end && (first+fs.Ino(index) < t.from || used != nil && !bit(used, index)); index++ {
	}
	if index == end {
		return true
	}
	size := uint64(t.f.inodeSize)
	at := int64(g.inodeTable)*t.f.blockSize + int64(index*size)
	buf := t.buf[:(end-index)*size]
	if err := raw.ReadFull(&t.f.dev, buf, at); err != nil {
		if half := (end - index) / 2; half > 0 { // as few as possible are lost
			return t.part(g, used, index, index+half) && t.part(g, used, index+half, end)
		}
		what := fmt.Sprintf("inodes %d to %d", first+fs.Ino(index), first+fs.Ino(end-1))
		return t.yield(nil, &fs.ReadError{What: what, At: at, Err: err})
	}
	for ; len(buf) > 0; index, at, buf = index+1, at+int64(size), buf[size:] {
		if used != nil && !bit(used, index) {
			continue
		}
		slot := append(record(nil), buf[:size]...)
		i, err := t.f.parseInode(first+fs.Ino(index), at, slot, used != nil)
		if err == fs.ErrFree {
			continue
		}
		if err != nil {
			if !t.yield(nil, err) {
				return false
			}
			continue
		}
		if !t.yield(i, nil) {
			return false
		}
	}
	return true
}

// blocksOf is how many blocks so many bytes need.
func (f *FS) blocksOf(size int64) uint64 {
	if size > math.MaxInt64-f.blockSize {
		return math.MaxInt64 / uint64(f.blockSize)
	}
	return uint64((size + f.blockSize - 1) / f.blockSize)
}
