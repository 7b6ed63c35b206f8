package ext

import (
	"iter"
	"math"
	"slices"
	"sort"

	"dmcow/fs"
)

// statics are the places of what is not found by arithmetic: bitmaps and inode tables, which may lie in any group, and
// the journal.
type statics struct {
	all []static // in their order
	err []error
}

// static is blocks with one use. Those of several groups that lie one behind the other are one.
type static struct {
	first, count uint64
	use          fs.Use
	group        uint64 // the first one
	each         uint64 // blocks that a group has of it
}

// findStatics reads all group descriptors.
func (f *FS) findStatics() *statics {
	s := &statics{}
	last := map[fs.Use]int{} // the place in all, by use
	add := func(n static) {
		if k, ok := last[n.use]; ok && n.each > 0 {
			l := &s.all[k]
			if l.first+l.count == n.first && l.group+l.count/l.each == n.group {
				l.count += n.count
				return
			}
		}
		last[n.use] = len(s.all)
		s.all = append(s.all, n)
	}
	for n := range f.groups {
		g, trouble, err := f.group(n)
		if trouble != nil {
			s.err = append(s.err, trouble)
		}
		if err != nil {
			continue
		}
		add(static{g.blockBitmap, 1, fs.SpaceMap, n, 1})
		add(static{g.inodeBitmap, 1, fs.InodeMap, n, 1})
		add(static{g.inodeTable, f.tableBlocks, fs.InodeTable, n, f.tableBlocks})
	}
	if f.mmp > 0 && f.mmp < f.blocks {
		add(static{first: f.mmp, count: 1, use: fs.Other})
	}
	f.addJournal(s)
	slices.SortFunc(s.all, func(a, b static) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return s
}

func (f *FS) addJournal(s *statics) {
	if f.journal == 0 {
		return
	}
	i, err := f.inode(f.journal)
	if err != nil {
		s.err = append(s.err, err)
		return
	}
	for e, err := range i.Extents() {
		if err != nil {
			s.err = append(s.err, err)
			continue
		}
		s.all = append(s.all, static{first: uint64(e.Start / f.blockSize), count: uint64(e.Len() / f.blockSize), use: fs.Journal})
	}
}

// at is what lies in a block, and where the next begins.
func (s *statics) at(block uint64) (found *static, next uint64) {
	k := sort.Search(len(s.all), func(k int) bool { return s.all[k].first > block })
	next = math.MaxUint64
	if k < len(s.all) {
		next = s.all[k].first
	}
	if k > 0 && block-s.all[k-1].first < s.all[k-1].count {
		return &s.all[k-1], next
	}
	return nil, next
}

// Layout tells what the bytes of the set are used for.
func (f *FS) Layout(set fs.Set) iter.Seq2[fs.Piece, error] {
	return func(yield func(fs.Piece, error) bool) {
		l := layout{FS: f, statics: f.statics(), yield: yield}
		for _, err := range l.statics.err {
			if !yield(fs.Piece{}, err) {
				return
			}
		}
		for offset := int64(0); ; {
			r, ok := set.Next(offset)
			if !ok {
				break
			}
			offset = r.End
			for r.Start < r.End {
				p := l.piece(r)
				if !l.add(p) {
					return
				}
				r.Start = p.End
			}
		}
		_ = l.flush()
	}
}

// layout goes through a set of bytes.
type layout struct {
	*FS
	statics *statics
	yield   func(fs.Piece, error) bool
	next    fs.Piece
	errs    []error // to be told
	bitmap  record  // of the group that was looked at last; nil if it cannot be read
	group   group
	known   bool // group and bitmap are
}

// add joins a piece to the one before, if they lie one behind the other and have the same use.
func (l *layout) add(p fs.Piece) bool {
	if len(l.errs) > 0 {
		if !l.flush() {
			return false
		}
		for _, err := range l.errs {
			if !l.yield(fs.Piece{}, err) {
				return false
			}
		}
		l.errs = nil
	}
	if n := &l.next; n.End == p.Start && n.Use == p.Use && n.Len() > 0 && p.Use != fs.InodeTable {
		n.End = p.End
		return true
	}
	if !l.flush() {
		return false
	}
	l.next = p
	return true
}

func (l *layout) flush() bool {
	p := l.next
	l.next = fs.Piece{}
	return p.Len() == 0 || l.yield(p, nil)
}

// piece is what r begins with.
func (l *layout) piece(r fs.Range) fs.Piece {
	block, end := uint64(r.Start/l.blockSize), uint64(0)
	p := fs.Piece{Range: r}
	switch {
	case block >= l.blocks:
		return fs.Piece{Range: r, Use: fs.Outside}
	case r.Start < superAt:
		p.Use = fs.Boot
		p.End = min(r.End, superAt)
		return p
	}
	p.Use, end = l.head(block)
	if p.Use == fs.Allocated {
		found, next := l.statics.at(block)
		if found != nil {
			return l.static(r, found, min(next, found.first+found.count))
		}
		p.Use, end = l.mapped(block, min(next, end, uint64((r.End+l.blockSize-1)/l.blockSize)))
	}
	p.End = min(r.End, int64(end)*l.blockSize)
	return p
}

// head is what a group begins with, and where that ends: the superblock, the descriptors, the space for more of them; else
// Allocated, and where the group ends.
func (l *layout) head(block uint64) (use fs.Use, end uint64) {
	if block == l.superBlock(0) && block < l.firstData+l.cluster { // it may lie before what the first group counts
		return fs.Superblock, block + 1
	}
	group := (block - l.firstData) / l.perGroup
	start := l.groupStart(group)
	if group == 0 {
		start = l.superBlock(0)
	}
	groupEnd := min(l.groupStart(group+1), l.blocks)
	if block < start {
		return fs.Boot, start
	}
	at := block - start
	hasSuper := l.hasSuper(group)
	descriptors, reserved := l.headBlocks(group, hasSuper)
	if hasSuper {
		if at == 0 {
			return fs.Superblock, block + 1
		}
		at--
		start++
	}
	switch {
	case at < descriptors:
		return fs.Groups, min(start+descriptors, groupEnd)
	case at < descriptors+reserved:
		return fs.Other, min(start+descriptors+reserved, groupEnd)
	}
	return fs.Allocated, groupEnd
}

// headBlocks are the blocks of descriptors at the beginning of a group, and those that are kept for more.
func (s *super) headBlocks(group uint64, hasSuper bool) (descriptors, reserved uint64) {
	perBlock := s.descPerBlock()
	if s.incompat&incompatMetaBG != 0 && group/perBlock >= s.firstMetaGroup {
		if in := group % perBlock; in <= 1 || in == perBlock-1 {
			return 1, 0
		}
		return 0, 0
	}
	if !hasSuper {
		return 0, 0
	}
	return s.gdtBlocks(), s.reservedGDT
}

// static is the part of r in a place of its own, up to a block, and of one group if it has inodes.
func (l *layout) static(r fs.Range, s *static, end uint64) fs.Piece {
	p := fs.Piece{Range: r, Use: s.use}
	p.End = min(r.End, int64(end)*l.blockSize)
	if s.use != fs.InodeTable {
		return p
	}
	size := int64(s.each) * l.blockSize
	table := int64(s.first)*l.blockSize + (r.Start-int64(s.first)*l.blockSize)/size*size
	p.End = min(p.End, table+size)
	group := s.group + uint64(table/l.blockSize-int64(s.first))/s.each
	first := uint64(p.Start-table) / uint64(l.inodeSize)
	behind := min(uint64(p.End-table+int64(l.inodeSize)-1)/uint64(l.inodeSize), l.inodesPerGroup)
	if first < behind {
		p.First, p.Count = fs.Ino(group*l.inodesPerGroup+first+1), behind-first
	}
	return p
}

// mapped is what the bitmap says of a block and those behind it, up to end.
func (l *layout) mapped(block, end uint64) (fs.Use, uint64) {
	n := (block - l.firstData) / l.perGroup
	l.find(n)
	switch {
	case l.group.noBlocks:
		return fs.Free, end
	case l.bitmap == nil:
		return fs.Allocated, end
	}
	index := func(b uint64) uint64 { return (b - l.groupStart(n)) / l.cluster }
	kind := func(b uint64) fs.Use {
		switch start := l.groupStart(n) + index(b)*l.cluster; {
		case !bit(l.bitmap, index(b)):
			return fs.Free
		case l.cluster > 1 && l.hasMetadata(start):
			return fs.Other
		}
		return fs.Allocated
	}
	use := kind(block)
	for b := block; b < end; b = l.groupStart(n) + (index(b)+1)*l.cluster {
		if kind(b) != use {
			end = b
			break
		}
	}
	return use, end
}

// hasMetadata reports whether there is metadata of the file system in a cluster: then the rest of it is not for inodes.
func (l *layout) hasMetadata(start uint64) bool {
	found, next := l.statics.at(start)
	use, end := l.head(start)
	return found != nil || next < start+l.cluster || use != fs.Allocated || end < start+l.cluster && end < l.blocks
}

// find reads the bitmap of a group.
func (l *layout) find(n uint64) {
	if l.known && l.group.number == n {
		return
	}
	g, _, err := l.FS.group(n) // that it is damaged was told
	l.group, l.bitmap, l.known = g, nil, true
	l.group.number = n
	if err != nil || g.noBlocks || g.copied {
		return
	}
	if l.bitmap, err = l.blockBitmap(g); err != nil {
		l.errs = append(l.errs, err)
	}
}
