package xfs

import (
	"cmp"
	"iter"
	"slices"
	"sort"

	"dmcow/fs"
)

// Layout tells what the bytes of the set are used for.
func (f *FS) Layout(set fs.Set) iter.Seq2[fs.Piece, error] {
	return func(yield func(fs.Piece, error) bool) {
		l := layout{FS: f, yield: yield}
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
	yield func(fs.Piece, error) bool
	next  fs.Piece
	errs  []error // to be told
	plan  *plan   // of the group that was looked at last
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
	end := int64(l.blocks) * l.blockSize
	if r.Start >= end {
		return fs.Piece{Range: r, Use: fs.Outside}
	}
	r.End = min(r.End, end)
	if uint64(r.Start) >= l.length { // the volume ends before
		return fs.Piece{Range: r, Use: fs.Allocated}
	}
	group := uint64(r.Start/l.blockSize) / l.groupBlocks
	start := l.groupAt(group)
	r.End = min(r.End, start+int64(l.groupSize(group))*l.blockSize)
	if in := r.Start - start; in < int64(l.headBlocks())*l.blockSize {
		return l.head(r, start, in)
	}
	if l.plan == nil || l.plan.group != group {
		l.plan = l.newPlan(group)
		l.errs = append(l.errs, l.plan.errs...)
		l.plan.errs = nil
	}
	p := l.plan.piece(r)
	l.errs = append(l.errs, l.plan.errs...)
	l.plan.errs = nil
	return p
}

// head is a part of a group's headers.
func (l *layout) head(r fs.Range, start, in int64) fs.Piece {
	switch {
	case in < l.sector:
		return fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, start+l.sector)}, Use: fs.Superblock}
	case in >= freelistSector*l.sector && in < (freelistSector+1)*l.sector:
		return fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, start+(freelistSector+1)*l.sector)}, Use: fs.SpaceMap}
	case in < freelistSector*l.sector:
		return fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, start+freelistSector*l.sector)}, Use: fs.Groups}
	}
	return fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, start+int64(l.headBlocks())*l.blockSize)}, Use: fs.Groups}
}

// static is blocks of a group with one use.
type static struct {
	first, count uint64
	use          fs.Use
}

// plan is what lies where in a group: the log, the blocks of its trees, which are all found first; free space and
// inodes, which are looked for where they are asked for.
type plan struct {
	*FS
	group   uint64
	statics []static // in their order
	space   root
	inodes  root
	errs    []error
	told    map[string]bool
	free    static // the last that was looked at: free space from or behind a block; none if it has none
	freeFor uint64
	chunk   chunk // the same, for inodes
	inode   uint64
}

func (f *FS) newPlan(group uint64) *plan {
	p := &plan{FS: f, group: group, space: root{level: -1}, inodes: root{level: -1}, told: map[string]bool{}}
	if f.logStart > 0 && f.logStart/f.groupBlocks == group {
		p.statics = append(p.statics, static{f.logStart % f.groupBlocks, f.logBlocks, fs.Journal})
	}
	if s, err := f.space(group); err != nil {
		p.fail(err)
	} else {
		p.space = s.byBlock
		p.tree(byBlockTree, s.byBlock, fs.SpaceMap)
		p.tree(bySizeTree, s.bySize, fs.SpaceMap)
		p.tree(ownerTree, s.owners, fs.SpaceMap)
		p.tree(countTree, s.counts, fs.SpaceMap)
		list, err := f.freelist(group, s)
		p.fail(err)
		for _, b := range list {
			p.statics = append(p.statics, static{b, 1, fs.SpaceMap})
		}
	}
	if i, err := f.inodeTrees(group); err != nil {
		p.fail(err)
	} else {
		p.inodes = i.all
		p.tree(inodeTree, i.all, fs.InodeMap)
		p.tree(freeTree, i.free, fs.InodeMap)
	}
	slices.SortFunc(p.statics, func(a, b static) int { return cmp.Compare(a.first, b.first) })
	return p
}

// fail keeps an error to be told, once.
func (p *plan) fail(err error) {
	if err != nil && !p.told[err.Error()] {
		p.told[err.Error()] = true
		p.errs = append(p.errs, err)
	}
}

// tree finds the blocks of a tree. Its leaves are not read for that.
func (p *plan) tree(kind treeKind, r root, use fs.Use) {
	if r.level < 0 {
		return
	}
	t := groupTree{FS: p.FS, treeKind: kind, group: p.group, to: endOfKeys}
	t.block = func(n uint64) { p.statics = append(p.statics, static{n, 1, use}) }
	t.fail = func(_, _ uint64, err error) bool {
		p.fail(err)
		return true
	}
	_ = t.walk(r)
}

// at is what lies in a block, and where the next begins.
func (p *plan) at(block uint64) (found *static, next uint64) {
	k := sort.Search(len(p.statics), func(k int) bool { return p.statics[k].first > block })
	next = p.groupSize(p.group)
	if k < len(p.statics) {
		next = p.statics[k].first
	}
	if k > 0 && block-p.statics[k-1].first < p.statics[k-1].count {
		return &p.statics[k-1], next
	}
	return nil, next
}

// piece is what r, which lies in the group, begins with.
func (p *plan) piece(r fs.Range) fs.Piece {
	start := p.groupAt(p.group)
	block := uint64((r.Start - start) / p.blockSize)
	cut := func(use fs.Use, end uint64) fs.Piece {
		return fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, start+int64(end)*p.blockSize)}, Use: use}
	}
	found, next := p.at(block)
	if found != nil {
		return cut(found.use, min(next, found.first+found.count))
	}
	index := uint64(r.Start-start) / uint64(p.inodeSize)
	first, end := p.inodesAt(index)
	if first <= index && first < end {
		return p.table(r, index, end)
	}
	if first < end {
		next = min(next, first>>p.inodeLog)
	}
	free := p.freeAt(block)
	if free.count > 0 && free.first <= block {
		return cut(fs.Free, min(next, free.first+free.count))
	}
	if free.count > 0 {
		next = min(next, free.first)
	}
	return cut(fs.Allocated, max(next, block+1))
}

// table is a part of r that has inodes, up to one.
func (p *plan) table(r fs.Range, index, end uint64) fs.Piece {
	piece := fs.Piece{Range: fs.Range{Start: r.Start, End: min(r.End, p.slot(p.group, end))}, Use: fs.InodeTable, First: p.number(p.group, index)}
	behind := uint64(piece.End-p.groupAt(p.group)+int64(p.inodeSize)-1) / uint64(p.inodeSize)
	piece.Count = behind - index
	return piece
}

// inodesAt are the inodes that lie together at a place, or the next ones; none if there are none.
func (p *plan) inodesAt(index uint64) (first, end uint64) {
	if p.inode > index || p.chunk.last() < index || p.inode == 0 {
		p.inode, p.chunk = index, chunk{first: endOfKeys}
		t := groupTree{FS: p.FS, treeKind: inodeTree, group: p.group, from: index, to: endOfKeys}
		t.use = func(r record, _ int64) bool {
			if c := p.parseChunk(r); c.last() >= index && c.holes < 1<<16-1 {
				p.chunk = c
				return false
			}
			return true
		}
		t.fail = func(_, _ uint64, err error) bool {
			p.fail(err)
			return true
		}
		if p.inodes.level >= 0 {
			_ = t.walk(p.inodes)
		}
	}
	for first, end := range p.chunk.parts() {
		if p.chunk.first+end > index && p.chunk.first < endOfKeys {
			return p.chunk.first + first, p.chunk.first + end
		}
	}
	return 0, 0
}

// freeAt is the free space at a block, or the next.
func (p *plan) freeAt(block uint64) static {
	if p.freeFor <= block && p.free.first+p.free.count > block {
		return p.free
	}
	p.freeFor, p.free = block, static{first: endOfKeys, use: fs.Free}
	t := groupTree{FS: p.FS, treeKind: byBlockTree, group: p.group, from: block, to: endOfKeys}
	t.use = func(r record, _ int64) bool {
		if first, count := uint64(r.u32(0)), uint64(r.u32(4)); first+count > block {
			p.free = static{first, count, fs.Free}
			return false
		}
		return true
	}
	t.fail = func(_, _ uint64, err error) bool {
		p.fail(err)
		return true
	}
	if p.space.level >= 0 {
		_ = t.walk(p.space)
	}
	return p.free
}
