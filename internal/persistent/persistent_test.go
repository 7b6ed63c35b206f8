package persistent_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/persistent"
	"dmcow/internal/persistent/pdimage"
)

type entries = []pdimage.Entry

// store is what is in an image.
func store(m *pdimage.Image) *persistent.Store {
	return persistent.New(bytes.NewReader(m.Bytes), int64(len(m.Bytes)))
}

// twoLevels is a tree with its root in block 1, of the keys 10, 20, ... 90.
func twoLevels() *pdimage.Image {
	m := pdimage.New(6)
	m.Tree(1, false, entries{{10, 2}, {40, 3}, {70, 4}}...)
	m.Tree(2, true, entries{{10, 1}, {20, 2}, {30, 3}}...)
	m.Tree(3, true, entries{{40, 4}, {60, 6}}...)
	m.Tree(4, true, entries{{80, 8}, {90, 9}}...) // 70 was removed
	return m
}

// TestFind: a key is found, or the next one in its leaf, or how far there is nothing.
func TestFind(t *testing.T) {
	tree := store(twoLevels()).NumberTree(1)
	for _, c := range []struct {
		key, at uint64
		value   uint64 // 0 where there is nothing before at
	}{
		{0, 10, 0}, {9, 10, 0}, {10, 10, 1}, {11, 20, 2}, {30, 30, 3}, {31, 40, 0}, {39, 40, 0}, {40, 40, 4}, {41, 60, 6},
		{61, 70, 0}, {70, 80, 8}, {81, 90, 9}, {91, math.MaxUint64, 0}, {math.MaxUint64, math.MaxUint64, 0},
	} {
		at, v, found, err := tree.Find(c.key)
		if err != nil || at != c.at || found != (c.value != 0) || found && binary.LittleEndian.Uint64(v) != c.value {
			t.Errorf("key %d: %d %v %t, %v; want %+v", c.key, at, v, found, err, c)
		}
		n, found, err := tree.Number(c.key)
		if there := c.at == c.key && c.value != 0; err != nil || found != there || found && n != c.value {
			t.Errorf("number of key %d: %d %t, %v", c.key, n, found, err)
		}
	}
}

// TestDamage: whatever is wrong with a block is found out, and named.
func TestDamage(t *testing.T) {
	le := binary.LittleEndian
	reseal := func(m *pdimage.Image, n, at int, v uint32) {
		le.PutUint32(m.Block(n)[at:], v)
		m.Seal(n, pdimage.Node)
	}
	for _, c := range []struct {
		name   string
		damage func(*pdimage.Image)
		want   string
	}{
		{"a bit", func(m *pdimage.Image) { m.Block(3)[4000] ^= 1 }, "block 3 of the metadata is damaged: the checksum is"},
		{"zeros", func(m *pdimage.Image) { clear(m.Block(3)) }, "block 3 of the metadata is damaged: it is all zeros"},
		{"another's place", func(m *pdimage.Image) { copy(m.Block(3), m.Block(2)) }, "it says that it is block 2"},
		{"flags", func(m *pdimage.Image) { reseal(m, 3, 4, 3) }, "flags 3"},
		{"too many", func(m *pdimage.Image) { reseal(m, 3, 16, 253) }, "253 of 252 entries"},
		{"no room", func(m *pdimage.Image) { reseal(m, 3, 20, 255) }, "2 of 255 entries"},
		{"overflow", func(m *pdimage.Image) { reseal(m, 3, 24, 1<<31); reseal(m, 3, 20, 1<<31) }, "do not fit"},
		{"empty inner node", func(m *pdimage.Image) { m.Tree(1, false) }, "block 1 of the metadata is damaged: an inner node with 0 values"},
		{"values of another size", func(m *pdimage.Image) { reseal(m, 3, 24, 4) }, "its values have 4 bytes"},
		{"not in order", func(m *pdimage.Image) { m.Tree(3, true, entries{{60, 6}, {40, 4}}...) }, "key 0 is 60, and the next one 40"},
		{"twice", func(m *pdimage.Image) { m.Tree(3, true, entries{{40, 4}, {40, 5}}...) }, "key 0 is 40, and the next one 40"},
		{"below its place", func(m *pdimage.Image) { m.Tree(3, true, entries{{30, 4}, {50, 5}}...) }, "expected some from 40 on, below 70"},
		{"behind its place", func(m *pdimage.Image) { m.Tree(3, true, entries{{40, 4}, {70, 5}}...) }, "expected some from 40 on, below 70"},
		{"loop", func(m *pdimage.Image) { m.Tree(3, false, entries{{40, 3}}...) }, "more than 16 levels"},
		{"behind the end", func(m *pdimage.Image) { m.Tree(1, false, entries{{40, 6}}...) }, "block 6 of the metadata is damaged: the metadata ends before"},
		{"far behind the end", func(m *pdimage.Image) { m.Tree(1, false, entries{{40, 1 << 63}}...) }, "the metadata ends before"},
	} {
		m := twoLevels()
		c.damage(m)
		_, _, found, err := store(m).NumberTree(1).Find(50)
		if found || !persistent.IsDamage(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %t, %v; want %s", c.name, found, err, c.want)
		}
	}
}

// TestManyNodes: more nodes than are kept can be asked, in any order.
func TestManyNodes(t *testing.T) {
	const leaves = 1000
	m := pdimage.New(leaves + 10)
	var roots entries
	for first := 0; first < leaves; first += 250 {
		var inner entries
		for i := first; i < first+250; i++ {
			inner = append(inner, pdimage.Entry{uint64(i), uint64(i + 10)})
			m.Tree(i+10, true, pdimage.Entry{uint64(i), uint64(i * i)})
		}
		n := 2 + first/250
		m.Tree(n, false, inner...)
		roots = append(roots, pdimage.Entry{uint64(first), uint64(n)})
	}
	m.Tree(1, false, roots...)
	tree := store(m).NumberTree(1)
	for i := range uint64(3 * leaves) {
		key := i * 7919 % leaves
		if v, found, err := tree.Number(key); !found || v != key*key || err != nil {
			t.Fatalf("key %d: %d %t, %v", key, v, found, err)
		}
	}
}

// array is an array of so many numbers, each three times its place, with its tree in block 1.
func array(count int) *pdimage.Image {
	var all []uint64
	for i := range count {
		all = append(all, uint64(3*i))
	}
	m := pdimage.New(3 + count/509)
	var tree entries
	for part := range slices.Chunk(all, 509) {
		n := len(tree) + 2
		m.Values(n, part...)
		tree = append(tree, pdimage.Entry{uint64(len(tree)), uint64(n)})
	}
	m.Tree(1, true, tree...)
	return m
}

func numbers(m *pdimage.Image, count uint64) (all []uint64, err error) {
	err = store(m).Numbers(1, count, func(i, v uint64) error {
		if i != uint64(len(all)) {
			return fmt.Errorf("number %d behind %d of them", i, len(all))
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// TestNumbers: an array's numbers come in order, as many as are asked for.
func TestNumbers(t *testing.T) {
	for _, count := range []int{0, 1, 508, 509, 510, 1018, 1019} {
		all, err := numbers(array(count), uint64(count))
		if err != nil || len(all) != count || slices.ContainsFunc(all, func(v uint64) bool { return v%3 != 0 }) || count > 0 && all[count-1] != uint64(3*count-3) {
			t.Errorf("%d numbers: %d, %v", count, len(all), err)
		}
	}
	enough := errors.New("enough")
	if err := store(array(10)).Numbers(1, 10, func(i, _ uint64) error {
		if i == 3 {
			return enough
		}
		return nil
	}); err != enough {
		t.Error(err)
	}
}

// TestNumbersDamage: an array that is not as long as it should be, or not of numbers, is damaged.
func TestNumbersDamage(t *testing.T) {
	for _, c := range []struct {
		count  uint64
		damage func(*pdimage.Image)
		want   string
	}{
		{601, func(*pdimage.Image) {}, "91 of 509 values of 8 bytes, expected 92"},
		{1100, func(m *pdimage.Image) { m.Values(3, make([]uint64, 509)...) }, "has no values from 1018 on"},
		{600, func(m *pdimage.Image) { m.Block(2)[12] = 4; m.Seal(2, pdimage.Array) }, "values of 4 bytes"},
		{600, func(m *pdimage.Image) { m.Seal(2, pdimage.Node) }, "block 2 of the metadata is damaged: the checksum is"},
		{600, func(m *pdimage.Image) { copy(m.Block(2), m.Block(3)) }, "it says that it is block 3"},
		{math.MaxUint64, func(*pdimage.Image) {}, "does not fit in metadata of 4 blocks"},
	} {
		m := array(600)
		c.damage(m)
		if _, err := numbers(m, c.count); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v, want %s", c.count, err, c.want)
		}
	}
}

// FuzzTree: whatever the blocks of a tree are, all of its keys can be gone through, and each key
// found leads on.
func FuzzTree(f *testing.F) {
	f.Add(twoLevels().Bytes, uint16(0), []byte(nil), uint64(0))
	f.Add(twoLevels().Bytes, uint16(3*4096+4), []byte{1}, uint64(50))
	f.Add(array(600).Bytes, uint16(0), []byte(nil), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte, key uint64) {
		if int(at)+len(patch) <= len(b) {
			copy(b[at:], patch)
		}
		m := &pdimage.Image{Bytes: b}
		m.SealAll(0)
		s := store(m)
		tree := s.NumberTree(1)
		for range 1000 {
			next, v, found, err := tree.Find(key)
			if err != nil {
				break
			}
			if next < key || found && len(v) != 8 || !found && next == key && key != math.MaxUint64 {
				t.Fatalf("behind key %d: %d, %v %t", key, next, v, found)
			}
			if next == math.MaxUint64 {
				break
			}
			key = next
			if found {
				key++
			}
		}
		count := 0
		_ = s.Numbers(1, key%10000, func(_, _ uint64) error { count++; return nil })
		if uint64(count) > key%10000 {
			t.Errorf("%d numbers", count)
		}
	})
}
