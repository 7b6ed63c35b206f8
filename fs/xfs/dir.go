package xfs

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
	yield  func(fs.Entry, error) bool
	parent fs.Ino // of ".."
	dots   int    // of "." and "..", how many there were
}

// indexAt is the offset at which the index of a directory begins, which finds the block of a name by its hash. Names are
// found without.
const indexAt = 32 << 30

// Entries are the entries of a directory.
func (i *inode) Entries() iter.Seq2[fs.Entry, error] {
	return func(yield func(fs.Entry, error) bool) {
		d := directory{inode: i, yield: yield}
		if i.attr.Type != fs.TypeDirectory {
			yield(fs.Entry{}, fs.ErrNotDirectory)
			return
		}
		_ = d.all()
	}
}

// Parent is the inode of "..".
func (i *inode) Parent() (fs.Ino, error) {
	if i.attr.Type != fs.TypeDirectory {
		return 0, fs.ErrNotDirectory
	}
	var first error
	d := directory{inode: i}
	d.yield = func(_ fs.Entry, err error) bool {
		if err != nil && first == nil {
			first = err
		}
		return d.parent == 0 && first == nil
	}
	_ = d.all()
	switch {
	case d.parent == 0 && first == nil:
		return 0, d.damaged(i.at, `it does not have ".."`)
	case d.parent == 0:
		return 0, first
	}
	if _, _, err := i.f.place(d.parent); err != nil {
		return 0, d.damaged(i.at, `its ".." is inode %d`, d.parent)
	}
	return d.parent, nil
}

func (d *directory) what() string { return fmt.Sprintf("directory %d", d.number) }

func (d *directory) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: d.what(), At: at, Why: fmt.Sprintf(format, args...)}
}

func (d *directory) all() bool {
	if d.data.form == formLocal {
		return d.short()
	}
	blocks := uint64(1) << d.f.directoryLog
	var pieces []run // of a block, if it does not lie in one piece
	have := uint64(0)
	for r, err := range d.runs(&d.data, 0, false) {
		if err != nil {
			pieces, have = nil, 0
			if !d.yield(fs.Entry{}, err) {
				return false
			}
			continue
		}
		for r.count > 0 && r.logical < indexAt/uint64(d.f.blockSize) {
			in := r.logical % blocks
			if in != have || have > 0 && pieces[0].logical+have != r.logical {
				if !d.torn(pieces, r) {
					return false
				}
				if pieces, have = nil, 0; in != 0 {
					skip := min(blocks-in, r.count)
					r.logical, r.physical, r.count = r.logical+skip, r.physical+skip, r.count-skip
					continue
				}
			}
			part := r
			part.count = min(blocks-in, r.count)
			pieces, have = append(pieces, part), have+part.count
			r.logical, r.physical, r.count = r.logical+part.count, r.physical+part.count, r.count-part.count
			if have == blocks {
				if !d.block(pieces) {
					return false
				}
				pieces, have = pieces[:0], 0
			}
		}
	}
	return len(pieces) == 0 || d.torn(pieces, run{})
}

// torn tells of a block of which a part is missing.
func (d *directory) torn(pieces []run, next run) bool {
	r := next
	if len(pieces) > 0 {
		r = pieces[0]
	}
	return d.yield(fs.Entry{}, d.damaged(int64(r.physical)*d.f.blockSize, "it has a part only of the block at offset %d", d.f.bytesOf(r.logical)))
}

// The magic numbers of blocks with entries: those that are alone in their directory, and others.
const (
	aloneMagic4, manyMagic4 = 0x58443242, 0x58443244
	aloneMagic5, manyMagic5 = 0x58444233, 0x58444433
)

// block tells of the entries of a block.
func (d *directory) block(pieces []run) bool {
	b := make(record, d.f.blockSize<<d.f.directoryLog)
	at := int64(pieces[0].physical) * d.f.blockSize
	done := int64(0)
	place := func(in int) int64 { // of a byte of the block
		for _, p := range pieces {
			if size := int64(p.count) * d.f.blockSize; int64(in) < size {
				return int64(p.physical)*d.f.blockSize + int64(in)
			} else {
				in -= int(size)
			}
		}
		return at
	}
	for _, p := range pieces {
		n := int64(p.count) * d.f.blockSize
		if err := raw.ReadFull(&d.f.dev, b[done:done+n], int64(p.physical)*d.f.blockSize); err != nil {
			return d.yield(fs.Entry{}, &fs.ReadError{What: d.what(), At: int64(p.physical) * d.f.blockSize, Err: err})
		}
		done += n
	}
	start, end, why := d.checkBlock(b, at)
	if why != "" {
		return d.yield(fs.Entry{}, d.damaged(at, "%s", why))
	}
	return d.entries(b, start, end, pieces[0].logical == 0, place)
}

// checkBlock finds where the entries of a block are, or says what is wrong.
func (d *directory) checkBlock(b record, at int64) (start, end int, why string) {
	alone, many := uint32(aloneMagic4), uint32(manyMagic4)
	start, end = 16, len(b)
	if d.f.version5 {
		alone, many, start = aloneMagic5, manyMagic5, 64
		if why := d.f.checkSeal(b, at, seal{crc: 4, uuid: 24, block: 8, owner: 40, belongs: uint64(d.number)}); why != "" {
			return 0, 0, why
		}
	}
	switch b.u32(0) {
	case many:
	case alone:
		count := int64(b.u32(len(b) - 8)) // of hashes, which are behind the entries
		if end = len(b) - 8; count > int64(end-start)/8 {
			return 0, 0, fmt.Sprintf("it has %d hashes", count)
		}
		end -= 8 * int(count)
	default:
		return 0, 0, fmt.Sprintf("its magic number is 0x%08x", b.u32(0))
	}
	return start, end, ""
}

// entries tells of the entries from one place to another.
func (d *directory) entries(b record, from, end int, first bool, place func(int) int64) bool {
	for from < end {
		size, e, why := d.entry(b[:end], from)
		if why != "" {
			return d.yield(fs.Entry{}, d.damaged(place(from), "%s", why))
		}
		if e.Ino != 0 && !d.tell(e, place(from), first) {
			return false
		}
		from += size
	}
	return true
}

// entry reads the entry or the free space at a place, or says what is wrong.
func (d *directory) entry(b record, at int) (size int, e fs.Entry, why string) {
	left := len(b) - at
	if left < 8 {
		return 0, e, fmt.Sprintf("an entry has %d bytes", left)
	}
	if b.u16(at) == 0xffff {
		size = int(b.u16(at + 2))
		if size < 8 || size%8 != 0 || size > left || int(b.u16(at+size-2)) != at {
			return 0, e, fmt.Sprintf("free space has %d bytes, and %d are left", size, left)
		}
		return size, e, ""
	}
	if left < 16 {
		return 0, e, fmt.Sprintf("an entry has %d bytes", left)
	}
	name, kind := int(b[at+8]), 0
	if d.f.hasFileType() {
		kind = 1
	}
	size = (9 + name + kind + 2 + 7) &^ 7
	if name == 0 || size > left || int(b.u16(at+size-2)) != at {
		return 0, e, fmt.Sprintf("an entry has a name of %d bytes, and %d are left", name, left)
	}
	e = fs.Entry{Ino: fs.Ino(b.u64(at)), Name: string(b[at+9 : at+9+name])}
	if kind > 0 {
		e.Type = typeOf(b[at+9+name])
	}
	if e.Ino == 0 {
		return 0, e, "an entry has inode 0"
	}
	return size, e, ""
}

// kinds are the types of entries. What overlays leave for a file that is not there is a device.
var kinds = []fs.Type{
	fs.TypeUnknown, fs.TypeFile, fs.TypeDirectory, fs.TypeCharDevice, fs.TypeBlockDevice, fs.TypeFIFO, fs.TypeSocket, fs.TypeSymlink, fs.TypeCharDevice,
}

func typeOf(kind byte) fs.Type {
	if int(kind) < len(kinds) {
		return kinds[kind]
	}
	return fs.TypeUnknown
}

// tell tells of an entry. The first block begins with "." and "..".
func (d *directory) tell(e fs.Entry, at int64, first bool) bool {
	if want := []string{".", "..", ""}[d.dots]; first && want != "" {
		if e.Name != want || want == "." && e.Ino != d.number {
			d.dots = 2
			if !d.yield(fs.Entry{}, d.damaged(at, "it begins with %q, inode %d, expected %q", e.Name, e.Ino, want)) {
				return false
			}
		} else {
			if d.dots++; want == ".." {
				d.parent = e.Ino
			}
			return true
		}
	}
	why := checkName(e.Name)
	if _, _, err := d.f.place(e.Ino); why == "" && err != nil {
		why = fmt.Sprintf("%q is inode %d", e.Name, e.Ino)
	}
	if why != "" {
		return d.yield(fs.Entry{}, d.damaged(at, "%s", why))
	}
	return d.yield(e, nil)
}

// checkName says what is wrong with a name.
func checkName(n string) string {
	switch {
	case n == "":
		return "a name is empty"
	case n == "." || n == "..":
		return fmt.Sprintf("it has %q again", n)
	case strings.ContainsAny(n, "/\x00"):
		return fmt.Sprintf("the name %q cannot be one", n)
	}
	return ""
}

// short tells of the entries of a directory that is in its inode.
func (d *directory) short() bool {
	size := d.attr.Size
	if size > int64(len(d.data.room)) || size < 6 {
		return d.yield(fs.Entry{}, d.damaged(d.data.at, "it has %d bytes in its inode, of %d", size, len(d.data.room)))
	}
	b := d.data.room[:size]
	count, wide := int(b[0]), 4
	if b[1] > 0 { // as many numbers need 8 bytes, so that all have them
		count, wide = max(count, int(b[1])), 8
	}
	if 2+wide > len(b) {
		return d.yield(fs.Entry{}, d.damaged(d.data.at, "it has %d bytes in its inode", len(b)))
	}
	d.parent, d.dots = number(b[2:], wide), 2
	at := 2 + wide
	for range count {
		next, e, why := d.shortEntry(b, at, wide)
		if why != "" {
			return d.yield(fs.Entry{}, d.damaged(d.data.at+int64(at), "%s", why))
		}
		if !d.tell(e, d.data.at+int64(at), false) {
			return false
		}
		at = next
	}
	return true
}

func number(b record, size int) fs.Ino {
	if size == 8 {
		return fs.Ino(b.u64(0))
	}
	return fs.Ino(b.u32(0))
}

func (d *directory) shortEntry(b record, at, wide int) (next int, e fs.Entry, why string) {
	if at+3 > len(b) {
		return 0, e, fmt.Sprintf("an entry has %d bytes", len(b)-at)
	}
	name := at + 3
	in := name + int(b[at])
	kind := 0
	if d.f.hasFileType() {
		kind = 1
	}
	if next = in + kind + wide; next > len(b) {
		return 0, e, fmt.Sprintf("an entry has a name of %d bytes, and %d are left", b[at], len(b)-at)
	}
	e = fs.Entry{Name: string(b[name:in]), Ino: number(b[in+kind:], wide)}
	if kind > 0 {
		e.Type = typeOf(b[in])
	}
	return next, e, ""
}
