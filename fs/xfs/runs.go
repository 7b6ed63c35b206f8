package xfs

import (
	"fmt"
	"iter"

	"dmcow/fs"
)

// run is consecutive blocks of an inode. With an error, its logical blocks are those that the error costs.
type run struct {
	logical, physical, count uint64 // physical is the block of the volume
	use                      fs.Use
}

// endOfBlocks is behind the last logical block that an inode can have.
const endOfBlocks = 1 << 54

// runs are the blocks of a fork from a logical block on, in their order, joined where they lie one behind the other;
// with the blocks of its tree in between, if those are wanted.
func (i *inode) runs(k *fork, from uint64, trees bool) iter.Seq2[run, error] {
	return func(yield func(run, error) bool) {
		m := mapping{inode: i, fork: k, from: from, trees: trees, yield: yield, left: i.f.blocks}
		if k.use == fs.Data && i.attr.Type == fs.TypeFile && i.flags2&flag2Reflink != 0 { // it may have the same blocks many times
			m.left = endOfBlocks
		}
		switch k.form {
		case formExtents:
			_ = m.extents() && m.flush()
		case formTree:
			_ = m.root() && m.flush()
		}
	}
}

// mapping goes through what maps a fork's blocks.
type mapping struct {
	*inode
	*fork
	from   uint64
	trees  bool
	yield  func(run, error) bool
	left   uint64 // blocks that the inode can have, yet
	blocks uint64 // of the tree, that were read
	next   run    // to be told, when it is known to end
}

// add tells of blocks, and joins them to those before.
func (m *mapping) add(r run) bool {
	if r.logical+r.count <= m.from {
		return true
	}
	if r.count > m.left {
		_ = m.flush() && m.fail(r.logical, endOfBlocks, m.inode.at, "it has more blocks than the file system")
		return false
	}
	m.left -= r.count
	n := &m.next
	if n.count > 0 && n.use == r.use && n.logical+n.count == r.logical && n.physical+n.count == r.physical {
		n.count += r.count
		return true
	}
	if !m.flush() {
		return false
	}
	m.next = r
	return true
}

func (m *mapping) flush() bool {
	r := m.next
	m.next = run{}
	return r.count == 0 || m.yield(r, nil)
}

func (m *mapping) what() string {
	if m.fork.use == fs.Attributes {
		return "tree of the attributes of " + m.name()
	}
	return "tree of " + m.name()
}

// fail tells of damage that costs the logical blocks from lo to hi.
func (m *mapping) fail(lo, hi uint64, at int64, format string, args ...any) bool {
	return m.cost(lo, hi, &fs.DamageError{What: m.what(), At: at, Why: fmt.Sprintf(format, args...)})
}

func (m *mapping) cost(lo, hi uint64, err error) bool {
	return m.flush() && (hi <= m.from || m.yield(run{logical: lo, count: hi - lo}, err))
}

// extents goes through the extents that are in the inode itself.
func (m *mapping) extents() bool {
	if m.fork.extents > uint64(len(m.room)/16) {
		return m.fail(0, endOfBlocks, m.fork.at, "it has %d extents, and room for %d", m.fork.extents, len(m.room)/16)
	}
	return m.records(m.room[:16*m.fork.extents], m.fork.at, 0, endOfBlocks)
}

// records goes through extents for the logical blocks from lo to hi.
func (m *mapping) records(list record, at int64, lo, hi uint64) bool {
	next := lo
	for ; len(list) > 0; list, at = list[16:], at+16 {
		first, start, count, unwritten := extent(list)
		if count == 0 || first < next || first+count > hi {
			return m.fail(next, hi, at, "an extent has the blocks from %d to %d, expected %d to %d", first, first+count, next, hi)
		}
		next = first + count
		r := run{logical: first, count: count, use: m.fork.use}
		if unwritten {
			r.use = fs.Unwritten
		}
		if m.isRealtime() {
			continue
		}
		block, ok := m.f.linear(start)
		if !ok || block%m.f.groupBlocks+count > m.f.groupSize(block/m.f.groupBlocks) || block%m.f.groupBlocks < m.f.headBlocks() {
			if !m.fail(first, next, at, "an extent is said to have %d blocks from %d on", count, start) {
				return false
			}
			continue
		}
		if r.physical = block; !m.add(r) {
			return false
		}
	}
	return true
}

// isRealtime reports whether the blocks are on the realtime device.
func (m *mapping) isRealtime() bool {
	return m.fork.use == fs.Data && m.inode.isRealtime()
}

func (i *inode) isRealtime() bool { return i.attr.Type == fs.TypeFile && i.flags&flagRealtime != 0 }

// extent reads an extent of 128 bits: a flag, 54 bits of the logical block, 52 of the block, 21 of their count.
func extent(r record) (logical, block, count uint64, unwritten bool) {
	hi, lo := r.u64(0), r.u64(8)
	return hi >> 9 & (endOfBlocks - 1), hi&0x1ff<<43&(1<<52-1) | lo>>21, lo & (1<<21 - 1), hi>>63 != 0
}

// root is the node of a tree that is in the inode: it has a short header.
func (m *mapping) root() bool {
	level, count, room := int(m.room.u16(0)), int(m.room.u16(2)), (len(m.room)-4)/16
	if level == 0 || level > maxLevel || count == 0 || count > room {
		return m.fail(0, endOfBlocks, m.fork.at, "its root has level %d, %d entries, and room for %d", level, count, room)
	}
	return m.children(m.room[4:4+8*count], m.room[4+8*room:], level, 0, endOfBlocks, m.fork.at)
}

// children goes through the nodes below one.
func (m *mapping) children(keys, pointers record, level int, lo, hi uint64, at int64) bool {
	count := len(keys) / 8
	next := lo
	for n := range count {
		if key := keys.u64(8 * n); key < next || key >= hi {
			return m.fail(lo, hi, at, "entry %d begins with block %d, expected %d to %d", n, key, next, hi)
		}
		next = keys.u64(8*n) + 1
	}
	for n := range count {
		first, end := keys.u64(8*n), hi
		if n+1 < count {
			end = keys.u64(8*n + 8)
		}
		if n == 0 {
			first = lo
		}
		if (end > m.from || m.trees) && !m.child(pointers.u64(8*n), level-1, first, end) {
			return false
		}
	}
	return true
}

func (m *mapping) child(pointer uint64, level int, lo, hi uint64) bool {
	n, ok := m.f.linear(pointer)
	if !ok || n%m.f.groupBlocks < m.f.headBlocks() {
		return m.fail(lo, hi, -1, "a node is said to be in block %d", pointer)
	}
	if m.blocks++; m.blocks > m.f.blocks {
		_ = m.fail(lo, hi, -1, "it has more blocks than the file system")
		return false
	}
	at := int64(n) * m.f.blockSize
	b, err := m.f.dev.read(at, int(m.f.blockSize), m.what())
	if err != nil {
		return m.cost(lo, hi, err)
	}
	head, why := m.checkNode(b, at, level)
	if why != "" {
		return m.fail(lo, hi, at, "%s", why)
	}
	if m.trees && !(m.flush() && m.yield(run{physical: n, count: 1, use: fs.Tree}, nil)) {
		return false
	}
	count, room := int(b.u16(6)), (len(b)-head)/16
	if level > 0 {
		return m.children(b[head:head+8*count], b[head+8*room:], level, lo, hi, at)
	}
	return m.records(b[head:head+16*count], at+int64(head), lo, hi)
}

// checkNode returns what is wrong with a node, or how large its header is.
func (m *mapping) checkNode(b record, at int64, level int) (head int, why string) {
	head, magic := 24, uint32(0x424d4150)
	if m.f.version5 {
		head, magic = 72, 0x424d4133
		if why := m.f.checkSeal(b, at, seal{crc: 64, uuid: 40, block: 24, owner: 56, belongs: uint64(m.number)}); why != "" {
			return 0, why
		}
	}
	count := int(b.u16(6))
	switch {
	case b.u32(0) != magic:
		return 0, fmt.Sprintf("its magic number is 0x%08x", b.u32(0))
	case int(b.u16(4)) != level:
		return 0, fmt.Sprintf("its level is %d, expected %d", b.u16(4), level)
	case count == 0 || count > (len(b)-head)/16:
		return 0, fmt.Sprintf("it has %d entries", count)
	}
	return head, ""
}
