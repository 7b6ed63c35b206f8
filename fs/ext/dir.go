package ext

import (
	"fmt"
	"iter"
	"strings"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// directory goes through the blocks of a directory.
type directory struct {
	*inode
	yield func(fs.Entry, error) bool
}

// entry is a directory entry as it lies in a block.
type entry struct {
	ino  fs.Ino
	name record
	kind byte
	size int // up to the next one
}

// Entries are the entries of a directory. Its blocks are read in their order: those that hold the index of hashes look
// like blocks without entries.
func (i *inode) Entries() iter.Seq2[fs.Entry, error] {
	return func(yield func(fs.Entry, error) bool) {
		d := directory{i, yield}
		if i.attr.Type != fs.TypeDirectory {
			yield(fs.Entry{}, fs.ErrNotDirectory)
			return
		}
		if i.flags&flagInline != 0 {
			d.inline()
			return
		}
		for r, err := range i.runs(0, false) {
			if r.logical >= i.f.blocksOf(i.attr.Size) {
				return
			}
			if err != nil {
				if !yield(fs.Entry{}, err) {
					return
				}
				continue
			}
			for n := uint64(0); n < r.count && r.logical+n < i.f.blocksOf(i.attr.Size); n++ {
				if !d.block(r.logical+n, r.physical+n) {
					return
				}
			}
		}
	}
}

func (d *directory) what() string { return fmt.Sprintf("directory %d", d.number) }

func (d *directory) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: d.what(), At: at, Why: fmt.Sprintf(format, args...)}
}

func (d *directory) block(logical, physical uint64) bool {
	b, err := d.read(physical)
	if err != nil {
		return d.yield(fs.Entry{}, err)
	}
	at := int64(physical) * d.f.blockSize
	skip := 0
	if logical == 0 {
		if skip, _, err = d.dots(b, at); err != nil && !d.yield(fs.Entry{}, err) {
			return false
		}
	}
	return d.entries(b, skip, at)
}

// read reads a block of a directory, and verifies its checksum.
func (d *directory) read(physical uint64) (record, error) {
	b := make(record, d.f.blockSize)
	at := int64(physical) * d.f.blockSize
	if err := raw.ReadFull(&d.f.dev, b, at); err != nil {
		return nil, &fs.ReadError{What: d.what(), At: at, Err: err}
	}
	if !d.f.hasCsum() {
		return b, nil
	}
	var got, want uint32
	if start := indexStart(b, d.flags); start > 0 {
		room, count := int(b.u16(start)), int(b.u16(start+2))
		if start+8*room+8 > len(b) || count > room {
			return nil, d.damaged(at, "its index has %d entries, and room for %d", count, room)
		}
		tail := start + 8*room
		got = b.u32(tail + 4)
		want = checksumBut(checksum(d.seed, b[:start+8*count]), b[tail:tail+8], 4, 4)
	} else {
		tail := b[len(b)-12:]
		if tail.u32(0) != 0 || tail.u16(4) != 12 || tail.u16(6) != 0xde00 {
			return nil, d.damaged(at, "it has no checksum")
		}
		got, want = tail.u32(8), checksum(d.seed, b[:len(b)-12])
	}
	if got != want {
		return nil, d.damaged(at, "the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	return b, nil
}

// indexStart is where a block has an index of hashes: behind "..", or behind an entry that fills the block. It is 0 for a
// block that has entries.
func indexStart(b record, flags uint32) int {
	if flags&flagIndex == 0 {
		return 0
	}
	size := recordSize(b.u16(4), len(b))
	if b.u32(0) == 0 && b[6] == 0 && size == len(b) {
		return 8
	}
	if size == 12 && recordSize(b.u16(16), len(b)) == len(b)-12 && b.u32(24) == 0 && b[29] == 8 {
		return 32
	}
	return 0
}

// recordSize is the size of an entry, of which two bits stand for 65536 and more.
func recordSize(n uint16, block int) int {
	switch {
	case block < 65536:
		return int(n)
	case n == 65535 || n == 0:
		return block
	}
	return int(n)&^3 | int(n)&3<<16
}

// dots are the two entries that each directory begins with.
func (d *directory) dots(b record, at int64) (end int, parent fs.Ino, err error) {
	for _, want := range []string{".", ".."} {
		e, why := d.entry(b[end:], len(b))
		if why == "" && string(e.name) != want {
			why = fmt.Sprintf("it begins with %q, expected %q", e.name, want)
		}
		if why == "" && want == "." && e.ino != d.number {
			why = fmt.Sprintf(`its "." is inode %d`, e.ino)
		}
		if why != "" {
			return end, 0, d.damaged(at+int64(end), "%s", why)
		}
		end, parent = end+e.size, e.ino
	}
	return end, parent, nil
}

// entry reads the entry that b begins with, or says what is wrong.
func (d *directory) entry(b record, block int) (e entry, why string) {
	if len(b) < 8 {
		return e, fmt.Sprintf("an entry has %d bytes", len(b))
	}
	e = entry{ino: fs.Ino(b.u32(0)), kind: b[7], size: recordSize(b.u16(4), block)}
	length := int(b[6])
	if d.f.incompat&incompatFileType == 0 {
		e.kind = 0
	}
	if e.size < 8 || e.size%4 != 0 || e.size > len(b) || length > e.size-8 {
		return e, fmt.Sprintf("an entry has %d bytes, its name %d, and %d are left", e.size, length, len(b))
	}
	e.name = b[8 : 8+length]
	return e, ""
}

// entries tells of the entries in a part of a block, from one on.
func (d *directory) entries(b record, from int, at int64) bool {
	for from < len(b) {
		e, why := d.entry(b[from:], int(d.f.blockSize))
		if why != "" { // and nobody knows where the next one begins
			return d.yield(fs.Entry{}, d.damaged(at+int64(from), "%s", why))
		}
		if e.ino != 0 {
			why = d.checkEntry(e)
		}
		switch {
		case why != "":
			if !d.yield(fs.Entry{}, d.damaged(at+int64(from), "%s", why)) {
				return false
			}
		case e.ino != 0:
			if !d.yield(d.result(e), nil) {
				return false
			}
		}
		from += e.size
	}
	return true
}

// checkEntry says what is wrong with an entry that is in use.
func (d *directory) checkEntry(e entry) string {
	n := string(e.name)
	switch {
	case uint64(e.ino) > d.f.inodes:
		return fmt.Sprintf("an entry has inode %d, of %d", e.ino, d.f.inodes)
	case n == "":
		return "a name is empty"
	case n == "." || n == "..":
		return fmt.Sprintf("it has %q again", n)
	case d.flags&flagEncrypted == 0 && strings.ContainsAny(n, "/\x00"):
		return fmt.Sprintf("the name %q cannot be one", n)
	}
	return ""
}

// kinds are the types of entries.
var kinds = []fs.Type{fs.TypeUnknown, fs.TypeFile, fs.TypeDirectory, fs.TypeCharDevice, fs.TypeBlockDevice, fs.TypeFIFO, fs.TypeSocket, fs.TypeSymlink}

func (d *directory) result(e entry) fs.Entry {
	r := fs.Entry{Name: string(e.name), Ino: e.ino}
	if int(e.kind) < len(kinds) {
		r.Type = kinds[e.kind]
	}
	if d.flags&flagEncrypted != 0 {
		r.Name, r.Encrypted = fmt.Sprintf("#%d", e.ino), true
	}
	return r
}

// inline tells of the entries of a small directory, which begin behind the number of "..", and go on in an attribute.
func (d *directory) inline() {
	first := d.slot[0x28+4 : 0x28+inlineBytes]
	if !d.entries(first, 0, d.at+0x28+4) || d.attr.Size <= inlineBytes {
		return
	}
	value, in, err := d.inlineRest()
	if err == nil && int64(len(value)) < d.attr.Size-inlineBytes {
		err = d.damaged(d.at, "its size is %d, and it has %d bytes in itself", d.attr.Size, inlineBytes+len(value))
	}
	if err != nil {
		d.yield(fs.Entry{}, err)
		return
	}
	_ = d.entries(value[:d.attr.Size-inlineBytes], 0, d.at+in)
}

// Parent is the inode of "..".
func (i *inode) Parent() (fs.Ino, error) {
	if i.attr.Type != fs.TypeDirectory {
		return 0, fs.ErrNotDirectory
	}
	d := directory{inode: i}
	if i.flags&flagInline != 0 {
		return d.parent(fs.Ino(i.slot.u32(0x28)), i.at+0x28)
	}
	for r, err := range i.runs(0, false) {
		if err != nil {
			return 0, err
		}
		if r.logical > 0 {
			break
		}
		b, err := d.read(r.physical)
		if err != nil {
			return 0, err
		}
		at := int64(r.physical) * i.f.blockSize
		_, parent, err := d.dots(b, at)
		if err != nil {
			return 0, err
		}
		return d.parent(parent, at)
	}
	return 0, d.damaged(i.at, "it has no first block")
}

func (d *directory) parent(n fs.Ino, at int64) (fs.Ino, error) {
	if n == 0 || uint64(n) > d.f.inodes {
		return 0, d.damaged(at, `its ".." is inode %d, of %d`, n, d.f.inodes)
	}
	return n, nil
}
