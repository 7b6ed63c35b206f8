package xfs

import (
	"iter"

	"dmcow/fs"
)

// The owners in the tree of owners that are not inodes have the highest bit.
const notInode = 1 << 63

// The flags in the offset of a record of the tree of owners.
const (
	ownsAttributes = 1 << 63
	ownsTree       = 1 << 62
	ownsUnwritten  = 1 << 61
	ownsOffset     = 1<<54 - 1
)

// Owners tells who owns each byte of the set.
//
// Where there is a tree of owners (rmapbt), it tells. It can be trusted where the log is clean: the kernel changes it in the
// transactions that change the inodes' own trees, and recovery brings both to the same moment; its blocks have checksums.
// As long as the log was not replayed, its blocks and those of inodes may be of different moments, and what inodes say is
// what is read of them, so that inodes are gone through then; and so they are if any of the blocks that are needed is damaged.
func (f *FS) Owners(set fs.Set) iter.Seq2[fs.Piece, error] {
	if f.ro&roRmapbt == 0 || f.recovery != fs.Clean {
		return fs.WalkOwners(f, set)
	}
	return func(yield func(fs.Piece, error) bool) {
		o := owners{FS: f, yield: yield, uses: map[fs.Ino]fs.Use{}}
		for p, err := range f.Layout(set) {
			switch {
			case err != nil || p.Use != fs.Allocated:
				if !yield(p, err) {
					return
				}
			case len(o.open) > 0 && o.open[len(o.open)-1].End == p.Start:
				o.open[len(o.open)-1].End = p.End
			default:
				o.open = append(o.open, p.Range)
			}
		}
		if len(o.open) == 0 {
			return
		}
		if !o.isGood() {
			for p, err := range fs.WalkOwners(f, o.open) {
				if !yield(p, err) {
					return
				}
			}
			return
		}
		_ = o.all()
	}
}

// owners goes through the trees of owners.
type owners struct {
	*FS
	yield func(fs.Piece, error) bool
	open  fs.Ranges // allocated bytes of the set
	uses  map[fs.Ino]fs.Use
	done  int64 // what lies before it has an owner, or was told to have none
}

// groups are those that have allocated bytes of the set, with the first and the last block.
func (o *owners) parts() iter.Seq2[uint64, [2]uint64] {
	return func(yield func(uint64, [2]uint64) bool) {
		group, from, to, have := uint64(0), uint64(0), uint64(0), false
		for _, r := range o.open {
			for r.Len() > 0 {
				block := uint64(r.Start / o.blockSize)
				n := block / o.groupBlocks
				end := min(r.End, o.groupAt(n+1))
				last := uint64((end-1)/o.blockSize) % o.groupBlocks
				if have && n != group {
					if !yield(group, [2]uint64{from, to}) {
						return
					}
					have = false
				}
				if !have {
					group, from, have = n, block%o.groupBlocks, true
				}
				to, r.Start = last, end
			}
		}
		if have {
			yield(group, [2]uint64{from, to})
		}
	}
}

// isGood reports whether all of the trees that is needed can be read.
func (o *owners) isGood() bool {
	for group, part := range o.parts() {
		s, err := o.space(group)
		if err != nil || group >= o.groups {
			return false
		}
		good := true
		t := groupTree{FS: o.FS, treeKind: ownerTree, group: group, from: part[0], to: part[1]}
		t.use = func(record, int64) bool { return true }
		t.fail = func(uint64, uint64, error) bool { good = false; return false }
		if !t.walk(s.owners) || !good {
			return false
		}
	}
	return true
}

func (o *owners) all() bool {
	for group, part := range o.parts() {
		s, err := o.space(group)
		if err != nil {
			return o.yield(fs.Piece{}, err)
		}
		t := groupTree{FS: o.FS, treeKind: ownerTree, group: group, from: part[0], to: part[1]}
		t.use = func(r record, _ int64) bool { return o.record(group, r) }
		t.fail = func(_, _ uint64, err error) bool { return o.yield(fs.Piece{}, err) }
		if !t.walk(s.owners) {
			return false
		}
	}
	return o.unowned(o.open[len(o.open)-1].End)
}

// record tells of what a record says. They are in the order of the volume, and what the file system owns itself is in
// Layout.
func (o *owners) record(group uint64, r record) bool {
	owner, offset := r.u64(8), r.u64(16)
	if owner >= notInode {
		return true
	}
	start := o.groupAt(group) + int64(r.u32(0))*o.blockSize
	end := min(start+int64(r.u32(4))*o.blockSize, o.groupAt(group)+int64(o.groupSize(group))*o.blockSize)
	if end <= start || !o.unowned(start) {
		return end <= start
	}
	p := fs.Piece{Ino: fs.Ino(owner), Use: o.use(fs.Ino(owner), offset), Offset: int64(o.bytesOf(offset & ownsOffset))}
	if offset&ownsTree != 0 {
		p.Offset = 0
	}
	if !o.own(p, start, fs.Range{Start: start, End: min(end, o.done)}, true) || !o.own(p, start, fs.Range{Start: max(start, o.done), End: end}, false) {
		return false
	}
	o.done = max(o.done, end)
	return true
}

func (o *owners) own(p fs.Piece, start int64, r fs.Range, again bool) bool {
	return fs.Parts(o.open, r, func(part fs.Range) bool {
		q := p
		q.Range, q.Again = part, again
		q.Offset += part.Start - start
		return o.yield(q, nil)
	})
}

// unowned tells of what lies before a place and has no owner.
func (o *owners) unowned(end int64) bool {
	r := fs.Range{Start: o.done, End: end}
	o.done = max(o.done, end)
	return fs.Parts(o.open, r, func(part fs.Range) bool {
		return o.yield(fs.Piece{Range: part, Use: fs.Unowned}, nil)
	})
}

// maxUses is how many inodes' uses are kept.
const maxUses = 1 << 16

// use is what an inode has its blocks for.
func (o *owners) use(n fs.Ino, offset uint64) fs.Use {
	switch {
	case offset&ownsTree != 0:
		return fs.Tree
	case offset&ownsAttributes != 0:
		return fs.Attributes
	case offset&ownsUnwritten != 0:
		return fs.Unwritten
	}
	if use, ok := o.uses[n]; ok {
		return use
	}
	use := fs.Data
	if i, err := o.inode(n); err == nil {
		use = i.use()
	}
	if len(o.uses) >= maxUses {
		clear(o.uses)
	}
	o.uses[n] = use
	return use
}
