package ext

import (
	"fmt"
	"iter"

	"dmcow/fs"
	"dmcow/internal/bitmap"
)

// run is consecutive blocks of an inode. With an error, its logical blocks are those that the error costs.
type run struct {
	logical, physical, count uint64
	use                      fs.Use
}

// endOfBlocks is behind the last logical block that an inode can have.
const endOfBlocks = 1 << 32

// runs are the blocks of an inode from a logical block on, in their order, joined where they lie one behind the other;
// with the blocks of its trees in between, if those are wanted.
func (i *inode) runs(from uint64, trees bool) iter.Seq2[run, error] {
	return func(yield func(run, error) bool) {
		w := mapping{inode: i, from: from, trees: trees, yield: yield, left: i.f.blocks}
		if i.f.ro&roSharedBlocks != 0 {
			w.left *= 64
		}
		switch {
		case i.flags&flagInline != 0:
		case i.attr.Type == fs.TypeSymlink && i.isFast():
		case i.attr.Type != fs.TypeFile && i.attr.Type != fs.TypeDirectory && i.attr.Type != fs.TypeSymlink && i.number >= i.f.firstInode:
		case i.flags&flagExtents != 0:
			_ = w.extents(i.slot[0x28:0x64], -1, 0, endOfBlocks, i.at+0x28) && w.flush()
		default:
			_ = w.indirect() && w.flush()
		}
	}
}

// mapping goes through the tree that maps an inode's blocks.
type mapping struct {
	*inode
	from  uint64
	trees bool
	yield func(run, error) bool
	left  uint64       // blocks that the inode can have, yet
	next  run          // to be told, when it is known to end
	seen  bitmap.Paged // indirect blocks
}

// add tells of blocks, and joins them to those before.
func (w *mapping) add(r run) bool {
	if r.logical+r.count <= w.from {
		return true
	}
	if r.count > w.left {
		_ = w.flush() && w.fail(r.logical, endOfBlocks, w.at, "it has more blocks than the file system")
		return false
	}
	w.left -= r.count
	n := &w.next
	if n.count > 0 && n.use == r.use && n.logical+n.count == r.logical && n.physical+n.count == r.physical {
		n.count += r.count
		return true
	}
	if !w.flush() {
		return false
	}
	w.next = r
	return true
}

func (w *mapping) flush() bool {
	r := w.next
	w.next = run{}
	return r.count == 0 || w.yield(r, nil)
}

// fail tells of damage that costs the logical blocks from lo to hi.
func (w *mapping) fail(lo, hi uint64, at int64, format string, args ...any) bool {
	return w.cost(lo, hi, &fs.DamageError{What: "tree of " + w.name(), At: at, Why: fmt.Sprintf(format, args...)})
}

func (w *mapping) cost(lo, hi uint64, err error) bool {
	return w.flush() && (hi <= w.from || w.yield(run{logical: lo, count: hi - lo}, err))
}

// tree tells of a block of the tree itself.
func (w *mapping) tree(block uint64) bool {
	if !w.trees {
		return true
	}
	return w.flush() && w.yield(run{physical: block, count: 1, use: fs.Tree}, nil)
}

func (w *mapping) outside(block, count uint64) bool {
	return block < w.f.firstData || block+count > w.f.blocks || block+count < block
}

// maxDepth is that of a tree of extents: more than enough for all blocks that a file can have.
const maxDepth = 5

// extents goes through a node for the logical blocks from lo to hi. depth is what it must be, -1 for the root.
func (w *mapping) extents(node record, depth int, lo, hi uint64, at int64) bool {
	if why := checkNode(node, depth, lo, hi); why != "" {
		return w.fail(lo, hi, at, "%s", why)
	}
	depth = int(node.u16(6))
	count := int(node.u16(2))
	for n := range count {
		e := node[12+12*n:][:12]
		if depth == 0 {
			if !w.extent(e, at+12+12*int64(n)) {
				return false
			}
			continue
		}
		first, end := uint64(e.u32(0)), hi
		if n+1 < count {
			end = uint64(node.u32(24 + 12*n))
		}
		if end > w.from && !w.child(uint64(e.u32(4))|uint64(e.u16(8))<<32, depth-1, first, end) {
			return false
		}
	}
	return true
}

func (w *mapping) child(block uint64, depth int, lo, hi uint64) bool {
	what := "tree of " + w.name()
	if w.outside(block, 1) {
		return w.fail(lo, hi, -1, "a node is said to be in block %d, of %d", block, w.f.blocks)
	}
	node, err := w.f.dev.block(block, what)
	if err != nil {
		return w.cost(lo, hi, err)
	}
	at := int64(block) * w.f.blockSize
	if w.f.hasCsum() {
		tail := 12 + 12*int(node.u16(4))
		if tail+4 > len(node) {
			return w.fail(lo, hi, at, "it has room for %d entries", node.u16(4))
		}
		if got, want := node.u32(tail), checksum(w.seed, node[:tail]); got != want {
			return w.fail(lo, hi, at, "the checksum is 0x%08x, expected 0x%08x", got, want)
		}
	}
	return w.tree(block) && w.extents(node, depth, lo, hi, at)
}

// checkNode checks a whole node, as the kernel does before it uses any of it: so no block can be in a tree twice. It
// returns what is wrong.
func checkNode(node record, depth int, lo, hi uint64) string {
	if magic := node.u16(0); magic != 0xf30a {
		return fmt.Sprintf("its magic number is 0x%04x", magic)
	}
	count, room, is := int(node.u16(2)), int(node.u16(4)), int(node.u16(6))
	switch root := depth < 0; {
	case is > maxDepth || !root && is != depth:
		return fmt.Sprintf("its depth is %d", is)
	case room > (len(node)-12)/12 || count > room:
		return fmt.Sprintf("it has %d entries, and room for %d", count, room)
	case count == 0 && (!root || is > 0):
		return "it has no entries"
	}
	next := lo
	for n := range count {
		e := node[12+12*n:]
		first := uint64(e.u32(0))
		if first < next || n == 0 && depth >= 0 && first != lo {
			return fmt.Sprintf("entry %d begins with block %d, expected %d or more", n, first, next)
		}
		next = first + 1
		if is == 0 {
			length, _ := extentLength(e)
			next = first + length
			if length == 0 || next > hi {
				return fmt.Sprintf("entry %d has the blocks from %d to %d, of %d", n, first, next, hi)
			}
		}
	}
	if next > hi {
		return fmt.Sprintf("its last entry begins with block %d, of %d", next-1, hi)
	}
	return ""
}

// extentLength is how many blocks an extent has. More than 2^15 says that it was not written yet.
func extentLength(e record) (length uint64, written bool) {
	if length = uint64(e.u16(4)); length > 1<<15 {
		return length - 1<<15, false
	}
	return length, true
}

func (w *mapping) extent(e record, at int64) bool {
	length, written := extentLength(e)
	r := run{uint64(e.u32(0)), uint64(e.u32(8)) | uint64(e.u16(6))<<32, length, fs.Data}
	if !written {
		r.use = fs.Unwritten
	}
	if w.outside(r.physical, r.count) {
		return w.fail(r.logical, r.logical+r.count, at, "an extent is said to be in blocks %d to %d, of %d", r.physical, r.physical+r.count, w.f.blocks)
	}
	return w.add(r)
}

// directBlocks is how many blocks an inode names itself, before its three trees of indirect blocks.
const directBlocks = 12

func (w *mapping) indirect() bool {
	logical := uint64(0)
	for n := range directBlocks + 3 {
		level := max(0, n-directBlocks+1)
		if !w.pointer(uint64(w.slot.u32(0x28+4*n)), level, logical, w.at+0x28+4*int64(n)) {
			return false
		}
		logical += w.span(level)
	}
	return true
}

// span is how many logical blocks a pointer leads to.
func (w *mapping) span(level int) uint64 {
	n := uint64(1)
	for range level {
		n *= uint64(w.f.blockSize) / 4
	}
	return n
}

// pointer goes on to a block of data, or of pointers.
func (w *mapping) pointer(block uint64, level int, logical uint64, at int64) bool {
	span := w.span(level)
	if block == 0 || logical+span <= w.from {
		return true
	}
	if w.outside(block, 1) {
		return w.fail(logical, logical+span, at, "a block is said to be block %d, of %d", block, w.f.blocks)
	}
	if level == 0 {
		return w.add(run{logical, block, 1, fs.Data})
	}
	if w.seen.Has(block) {
		return w.fail(logical, logical+span, at, "indirect block %d is there twice", block)
	}
	w.seen.Add(block, 1)
	node, err := w.f.dev.block(block, "indirect block of "+w.name())
	if err != nil {
		return w.cost(logical, logical+span, err)
	}
	if !w.tree(block) {
		return false
	}
	at = int64(block) * w.f.blockSize
	for n := 0; n < len(node); n += 4 {
		if !w.pointer(uint64(node.u32(n)), level-1, logical, at+int64(n)) {
			return false
		}
		logical += span / (uint64(w.f.blockSize) / 4)
	}
	return true
}
