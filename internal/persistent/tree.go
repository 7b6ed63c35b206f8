package persistent

import (
	"encoding/binary"
	"math"
	"sort"
)

// Kinds of nodes.
const (
	innerNode = 1
	leafNode  = 2
)

const nodeHeader = 32

// node is a node that was found to be one.
type node struct {
	block uint64
	inner bool
	size  int // of a value, in bytes
	count int
	keys  []byte
	vals  []byte
}

// mostNodes are kept, which is a megabyte.
const mostNodes = 256

// node is the node in a block. Its keys ascend.
func (s *Store) node(block uint64) (*node, error) {
	s.mu.Lock()
	n := s.nodes[block]
	s.mu.Unlock()
	if n != nil {
		return n, nil
	}
	b, err := s.block(block, nodeXOR, ownNumber)
	if err != nil {
		return nil, err
	}
	if n, err = parseNode(block, b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) >= mostNodes {
		for any := range s.nodes { // the map's order is as good as another
			delete(s.nodes, any)
			break
		}
	}
	s.nodes[block] = n
	return n, nil
}

func parseNode(block uint64, b []byte) (*node, error) {
	u32 := binary.LittleEndian.Uint32
	flags, count, room, size := u32(b[4:]), u32(b[16:]), u32(b[20:]), u32(b[24:])
	switch {
	case flags != innerNode && flags != leafNode:
		return nil, damaged(block, "it has the flags %d, expected %d of an inner node or %d of a leaf", flags, innerNode, leafNode)
	case count > room || uint64(room)*(8+uint64(size)) > BlockSize-nodeHeader:
		return nil, damaged(block, "%d of %d entries with values of %d bytes do not fit", count, room, size)
	case flags == innerNode && (size != 8 || count == 0):
		return nil, damaged(block, "an inner node with %d values of %d bytes", count, size)
	}
	n := &node{block: block, inner: flags == innerNode, size: int(size), count: int(count), keys: b[nodeHeader:], vals: b[nodeHeader+8*room:]}
	for i := 1; i < n.count; i++ {
		if n.key(i-1) >= n.key(i) {
			return nil, damaged(block, "key %d is %d, and the next one %d", i-1, n.key(i-1), n.key(i))
		}
	}
	return n, nil
}

func (n *node) key(i int) uint64   { return binary.LittleEndian.Uint64(n.keys[8*i:]) }
func (n *node) value(i int) []byte { return n.vals[n.size*i:][:n.size] }

// Tree is a B-tree whose values have a size in bytes.
type Tree struct {
	Store     *Store
	Root      uint64
	ValueSize int
}

// deepest is how many nodes a way down may have. Inner nodes of the kernel's have 126 entries or
// more, as soon as there is a second one beside them: eleven would do for 2^64 keys.
const deepest = 16

// Find is the entry of a key, or of the next key behind it that is in the same leaf. Where there is
// none, found is false, and all keys up to at, without it, have none. The error is a
// [*DamageError], or one of reading.
func (t Tree) Find(key uint64) (at uint64, value []byte, found bool, err error) {
	low, high := uint64(0), uint64(math.MaxUint64) // what the keys of a node may be; high is not among them, but at the end
	block := t.Root
	for range deepest {
		n, err := t.Store.node(block)
		if err != nil {
			return 0, nil, false, err
		}
		if err := t.fits(n, low, high); err != nil {
			return 0, nil, false, err
		}
		i := sort.Search(n.count, func(i int) bool { return n.key(i) >= key })
		if !n.inner {
			if i == n.count {
				return high, nil, false, nil
			}
			return n.key(i), n.value(i), true, nil
		}
		if i == n.count || n.key(i) > key {
			i--
		}
		if i < 0 {
			return n.key(0), nil, false, nil
		}
		low = n.key(i)
		if i+1 < n.count {
			high = n.key(i + 1)
		}
		block = binary.LittleEndian.Uint64(n.value(i))
	}
	return 0, nil, false, damaged(t.Root, "the tree that begins there has more than %d levels", deepest)
}

// fits wants the keys of a node to be among those that its parents have for it: so no tree leads
// anywhere twice.
func (t Tree) fits(n *node, low, high uint64) error {
	if !n.inner && n.size != t.ValueSize {
		return damaged(n.block, "its values have %d bytes, expected %d", n.size, t.ValueSize)
	}
	if n.count > 0 && (n.key(0) < low || n.key(n.count-1) >= high && high != math.MaxUint64) {
		return damaged(n.block, "it has the keys %d to %d, expected some from %d on, below %d", n.key(0), n.key(n.count-1), low, high)
	}
	return nil
}

// Number is the value of a key in a tree of numbers.
func (t Tree) Number(key uint64) (value uint64, found bool, err error) {
	at, v, found, err := t.Find(key)
	if err != nil || !found || at != key {
		return 0, false, err
	}
	return binary.LittleEndian.Uint64(v), true, nil
}

// NumberTree is a tree whose values are numbers of eight bytes.
func (s *Store) NumberTree(root uint64) Tree { return Tree{s, root, 8} }
