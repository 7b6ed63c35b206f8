package xfs

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// chunkInodes is how many inodes have a record together.
const chunkInodes = 64

// chunk is 64 inodes, of which some may not be there (sparse inodes).
type chunk struct {
	first uint64 // in its group
	holes uint16 // a bit for each four inodes
	free  uint64 // a bit for each inode
}

// has reports whether an inode of the chunk is there.
func (c chunk) has(n uint64) bool { return c.holes>>(n/4)&1 == 0 }

// last is the last inode that is there.
func (c chunk) last() uint64 { return c.first + uint64(4*bits.Len16(^c.holes)) - 1 }

// used reports whether an inode of the chunk is in use.
func (c chunk) used(n uint64) bool { return c.has(n) && c.free>>n&1 == 0 }

// parts are the inodes that are there, in parts that lie one behind the other.
func (c chunk) parts() iter.Seq2[uint64, uint64] {
	return func(yield func(first, end uint64) bool) {
		for n := uint64(0); n < chunkInodes; {
			if !c.has(n) {
				n += 4
				continue
			}
			first := n
			for ; n < chunkInodes && c.has(n); n += 4 {
			}
			if !yield(first, n) {
				return
			}
		}
	}
}

// chunkError is damage that costs inodes, by their numbers in the group: those from one on.
type chunkError struct {
	first uint64
	error
}

func (e *chunkError) Unwrap() error { return e.error }

// chunks are the chunks of a group, from the one on that has an inode, or would be behind it. Errors are chunkErrors.
func (f *FS) chunks(group, from uint64) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		h, err := f.inodeTrees(group)
		if err != nil {
			yield(chunk{}, &chunkError{0, err})
			return
		}
		t := groupTree{FS: f, treeKind: inodeTree, group: group, from: from, to: endOfKeys}
		end := uint64(0)
		t.use = func(r record, at int64) bool {
			c := f.parseChunk(r)
			if c.first < end || c.first>>f.inodeLog < f.headBlocks() || c.first%min(chunkInodes, f.inodesPerBlock) != 0 || c.last()>>f.inodeLog >= f.groupSize(group) {
				return yield(chunk{}, &chunkError{c.first, t.damaged(at, "it has inodes from %d on", c.first)})
			}
			end = c.first + chunkInodes
			return end <= from || yield(c, nil)
		}
		t.fail = func(lo, _ uint64, err error) bool { return yield(chunk{}, &chunkError{lo, err}) }
		_ = t.walk(h.all)
	}
}

func (f *FS) parseChunk(r record) chunk {
	c := chunk{first: uint64(r.u32(0)), free: r.u64(8)}
	if f.incompat&incompatSparse != 0 {
		c.holes = r.u16(4)
	}
	return c
}

// chunk is the chunk of an inode. The error is fs.ErrFree if there is none.
func (f *FS) chunk(group, index uint64) (chunk, error) {
	for c, err := range f.chunks(group, index) {
		if bad := (*chunkError)(nil); errors.As(err, &bad) && bad.first <= index || err == nil && index >= c.first && c.has(index-c.first) {
			return c, err
		}
		break
	}
	return chunk{}, fs.ErrFree
}

// Slot is where an inode lies on the volume.
func (f *FS) Slot(n fs.Ino) (fs.Range, error) {
	group, index, err := f.place(n)
	if err != nil {
		return fs.Range{}, err
	}
	at := f.slot(group, index)
	return fs.Range{Start: at, End: at + int64(f.inodeSize)}, nil
}

// Inodes are the inodes in use.
func (f *FS) Inodes(from fs.Ino) iter.Seq2[fs.Inode, error] {
	return func(yield func(fs.Inode, error) bool) {
		low := f.blockLog + f.inodeLog
		first := uint64(from) & (1<<low - 1)
		for group := uint64(from) >> low; group < f.groups; group++ {
			for c, err := range f.chunks(group, first) {
				if err != nil {
					if !yield(nil, err) {
						return
					}
					continue
				}
				for n, end := range c.parts() {
					if !f.part(group, c, n, end, first, yield) {
						return
					}
				}
			}
			first = 0
		}
	}
}

// part tells of the inodes of a part of a chunk that are in use.
func (f *FS) part(group uint64, c chunk, n, end, from uint64, yield func(fs.Inode, error) bool) bool {
	for ; n < end && (c.first+n < from || !c.used(n)); n++ {
	}
	if n == end {
		return true
	}
	at, size := f.slot(group, c.first+n), f.inodeSize
	buf := make(record, int(end-n)*size) // not kept: it is read once
	if err := raw.ReadFull(&f.dev, buf, at); err != nil {
		if half := (end - n) / 2; half > 0 { // as few as possible are lost
			return f.part(group, c, n, n+half, from, yield) && f.part(group, c, n+half, end, from, yield)
		}
		what := fmt.Sprintf("inodes %d to %d", f.number(group, c.first+n), f.number(group, c.first+end-1))
		return yield(nil, &fs.ReadError{What: what, At: at, Err: err})
	}
	for ; n < end; n, at, buf = n+1, at+int64(size), buf[size:] {
		if !c.used(n) {
			continue
		}
		i, err := f.parseInode(f.number(group, c.first+n), at, buf[:size])
		switch {
		case err == fs.ErrFree:
		case err != nil:
			if !yield(nil, err) {
				return false
			}
		case !yield(i, nil):
			return false
		}
	}
	return true
}

// Orphans are the inodes that recovery would delete: those in the lists of the groups' headers.
func (f *FS) Orphans() iter.Seq2[fs.Ino, error] {
	return func(yield func(fs.Ino, error) bool) {
		for group := range f.groups {
			h, err := f.inodeTrees(group)
			if err != nil {
				if !yield(0, err) {
					return
				}
				continue
			}
			seen := map[uint64]bool{}
			for n := 0; n < len(h.unlinked); n += 4 {
				if !f.unlinked(group, uint64(h.unlinked.u32(n)), seen, yield) {
					return
				}
			}
		}
	}
}

// nullIndex ends a list.
const nullIndex = 1<<32 - 1

// unlinked tells of a list of inodes, each of which has the number of the next.
func (f *FS) unlinked(group, index uint64, seen map[uint64]bool, yield func(fs.Ino, error) bool) bool {
	for index != nullIndex {
		n := f.number(group, index)
		if seen[index] {
			at := f.groupAt(group) + inodesSector*f.sector
			return yield(0, &fs.DamageError{What: fmt.Sprintf("list of orphans of group %d", group), At: at, Why: fmt.Sprintf("inode %d is there twice", n)})
		}
		seen[index] = true
		i, err := f.inode(n)
		if err != nil || index>>(f.blockLog+f.inodeLog) > 0 {
			if err == nil {
				err = fs.ErrFree
			}
			return yield(n, fmt.Errorf("list of orphans of group %d: inode %d: %w", group, n, err))
		}
		if !yield(n, nil) {
			return false
		}
		index = uint64(i.slot.u32(96))
	}
	return true
}
