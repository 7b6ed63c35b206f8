package xfs

import (
	"fmt"
	"sort"

	"dmcow/fs"
)

// treeKind is a kind of tree that a group has.
type treeKind struct {
	name           string
	magic4, magic5 uint32
	key, record    int  // bytes; a key begins with the number by which it is sorted
	overlap        bool // a node has two keys for each pointer: the lowest and the highest of what is below it
	unsorted       bool // by another number than the first
}

var (
	byBlockTree = treeKind{name: "tree of free space", magic4: 0x41425442, magic5: 0x41423342, key: 8, record: 8}
	bySizeTree  = treeKind{name: "tree of free space by size", magic4: 0x41425443, magic5: 0x41423343, key: 8, record: 8, unsorted: true}
	inodeTree   = treeKind{name: "tree of inodes", magic4: 0x49414254, magic5: 0x49414233, key: 4, record: 16}
	freeTree    = treeKind{name: "tree of free inodes", magic4: 0x46494254, magic5: 0x46494233, key: 4, record: 16}
	ownerTree   = treeKind{name: "tree of owners", magic5: 0x524d4233, key: 20, record: 24, overlap: true}
	countTree   = treeKind{name: "tree of shared blocks", magic5: 0x52334643, key: 4, record: 12}
)

// maxLevel is the highest level of a tree's root: no tree needs as many, even where a node has few entries.
const maxLevel = 12

// groupTree goes through a tree of a group. A node's numbers lie between its neighbours', so that no block is in it
// twice; and it has no more blocks than the group.
type groupTree struct {
	*FS
	treeKind
	group    uint64
	from, to uint64 // the numbers that are wanted
	blocks   uint64 // that were read
	// use is called with each record, fail with the numbers that damage costs: they report whether to go on. If there is
	// block, it is called with each block instead of use; leaves are not read then.
	use   func(r record, at int64) bool
	block func(n uint64)
	fail  func(lo, hi uint64, err error) bool
}

// endOfKeys is behind the last number.
const endOfKeys = 1 << 32

// walk goes through the whole tree.
func (t *groupTree) walk(r root) bool {
	if r.level < 0 || r.level > maxLevel {
		return t.fail(0, endOfKeys, t.damaged(-1, "it is said to have %d levels", r.level+1))
	}
	return t.node(r.block, r.level, 0, endOfKeys)
}

func (t *groupTree) what() string { return fmt.Sprintf("%s of group %d", t.name, t.group) }

func (t *groupTree) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: t.what(), At: at, Why: fmt.Sprintf(format, args...)}
}

func (t *groupTree) headSize() int {
	if t.version5 {
		return 56
	}
	return 16
}

// node goes through a node whose numbers are from lo on, below hi.
func (t *groupTree) node(n uint64, level int, lo, hi uint64) bool {
	if n < t.headBlocks() || n >= t.groupSize(t.group) {
		return t.fail(lo, hi, t.damaged(-1, "a node is said to be in block %d, of %d", n, t.groupSize(t.group)))
	}
	if t.blocks++; t.blocks > t.groupSize(t.group) {
		_ = t.fail(lo, hi, t.damaged(-1, "it has more blocks than the group"))
		return false
	}
	if t.block != nil {
		if t.block(n); level == 0 {
			return true
		}
	}
	at := t.groupAt(t.group) + int64(n)*t.blockSize
	b, err := t.dev.read(at, int(t.blockSize), t.what())
	if err != nil {
		return t.fail(lo, hi, err)
	}
	if why := t.checkNode(b, at, level, lo, hi); why != "" {
		return t.fail(lo, hi, t.damaged(at, "%s", why))
	}
	if level > 0 {
		return t.children(b, level, hi)
	}
	return t.records(b, at)
}

// sizes are how many bytes an entry has in front, and behind.
func (t *groupTree) sizes(level int) (front, behind int) {
	switch {
	case level == 0:
		return t.record, 0
	case t.overlap:
		return 2 * t.key, 4
	}
	return t.key, 4
}

// checkNode returns what is wrong with a node.
func (t *groupTree) checkNode(b record, at int64, level int, lo, hi uint64) string {
	magic := t.magic4
	if t.version5 {
		magic = t.magic5
		if why := t.checkSeal(b, at, seal{crc: 52, uuid: 32, block: 16, owner: -1}); why != "" {
			return why
		}
		if owner := uint64(b.u32(48)); owner != t.group {
			return fmt.Sprintf("it belongs to group %d", owner)
		}
	}
	front, behind := t.sizes(level)
	count := int(b.u16(6))
	switch {
	case b.u32(0) != magic || magic == 0:
		return fmt.Sprintf("its magic number is 0x%08x", b.u32(0))
	case int(b.u16(4)) != level:
		return fmt.Sprintf("its level is %d, expected %d", b.u16(4), level)
	case count > (len(b)-t.headSize())/(front+behind):
		return fmt.Sprintf("it has %d entries", count)
	case count == 0 && (level > 0 || lo > 0 || hi < endOfKeys):
		return "it has no entries"
	case t.unsorted:
		return ""
	}
	next := lo
	for n := range count {
		key := uint64(b.u32(t.headSize() + n*front))
		if key < next || key >= hi && !(t.overlap && key == hi) {
			return fmt.Sprintf("entry %d begins with %d, expected %d to %d", n, key, next, hi)
		}
		if next = key + 1; t.overlap {
			next = key
		}
	}
	return ""
}

// first is the first entry of a node that can have the numbers that are wanted.
func (t *groupTree) first(b record, front int) int {
	if t.unsorted || t.overlap {
		return 0
	}
	n := sort.Search(int(b.u16(6)), func(n int) bool { return uint64(b.u32(t.headSize()+n*front)) > t.from })
	return max(n-1, 0)
}

func (t *groupTree) children(b record, level int, hi uint64) bool {
	front, behind := t.sizes(level)
	count, room := int(b.u16(6)), (len(b)-t.headSize())/(front+behind)
	pointers := b[t.headSize()+room*front:]
	for n := t.first(b, front); n < count; n++ {
		key := b[t.headSize()+n*front:]
		lo, end := uint64(key.u32(0)), hi
		if n+1 < count {
			end = uint64(key.u32(front))
		}
		if !t.unsorted && lo > t.to {
			return true
		}
		if t.overlap && uint64(key.u32(t.key)) < t.from {
			continue
		}
		if t.unsorted {
			lo, end = 1, endOfKeys // it is not empty, which is all that is known
		}
		if !t.node(uint64(pointers.u32(4*n)), level-1, lo, end) {
			return false
		}
	}
	return true
}

func (t *groupTree) records(b record, at int64) bool {
	for n := t.first(b, t.record); n < int(b.u16(6)); n++ {
		in := t.headSize() + n*t.record
		r := b[in : in+t.record]
		if !t.unsorted && uint64(r.u32(0)) > t.to {
			return true
		}
		if !t.use(r, at+int64(in)) {
			return false
		}
	}
	return true
}
