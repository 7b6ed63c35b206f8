package xfs_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
)

// counting is a volume that counts what is read.
type counting struct {
	fs.Volume
	read int64
}

func (c *counting) ReadAt(p []byte, offset int64) (int, error) {
	c.read += int64(len(p))
	return c.Volume.ReadAt(p, offset)
}

// words are numbers of 64 bits.
func words(all ...uint64) (b []byte) {
	for _, n := range all {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// mapNode is a node of an inode's tree, without checksum: its keys and pointers, or its extents.
func mapNode(level, count uint16, keys, pointers []uint64) []byte {
	b := make([]byte, 512)
	copy(b, "BMAP")
	binary.BigEndian.PutUint16(b[4:], level)
	binary.BigEndian.PutUint16(b[6:], count)
	copy(b[8:], words(1<<64-1, 1<<64-1))
	copy(b[24:], words(keys...))
	copy(b[24+(512-24)/16*8:], words(pointers...))
	return b
}

// TestHostile has volumes made to keep a reader busy: trees that lead back into themselves, directories that have the same
// blocks again and again. No pass over all of it reads more than some times the volume.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func(free uint64) (level uint16, nodes [][]byte) // the first one is below the inode
		damage string
	}{
		{"a node that is its own child", func(free uint64) (uint16, [][]byte) {
			return 4, [][]byte{mapNode(3, 2, []uint64{0, 1000}, []uint64{free, free})}
		}, "its level is 3, expected 2"},
		{"two nodes for the same blocks", func(free uint64) (uint16, [][]byte) {
			return 2, [][]byte{mapNode(1, 2, []uint64{0, 1000}, []uint64{free + 1, free + 1}), mapNode(0, 1, []uint64{5 << 9, free<<21 | 8}, nil)}
		}, "an extent has the blocks from 5 to 13, expected 1000"},
		{"a directory of the same blocks", func(free uint64) (uint16, [][]byte) {
			var extents []uint64
			for n := range uint64(30) {
				extents = append(extents, n*20000<<9, free<<21|20000)
			}
			return 1, [][]byte{mapNode(0, 30, extents, nil)}
		}, "more blocks than the file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			content := image(t, "v4")
			f := opened(t, content)
			dir, err := fs.Resolve(f, "/many", false)
			if err != nil {
				t.Fatal(err)
			}
			free := uint64(0)
			for p := range f.Layout(whole(f)) {
				if p.Use == fs.Free && p.Start < int64(f.Info().Size/2) && p.Len() > 20000*512 {
					free = uint64(p.Start / 512) // in the first group, where its number is its place
				}
			}
			level, nodes := c.make(free)
			slot, err := f.Slot(dir.Attr().Ino)
			if err != nil || free == 0 {
				t.Fatal(free, err)
			}
			hostile(content[slot.Start:slot.End], level, free)
			for n, node := range nodes {
				copy(content[(free+uint64(n))*512:], node)
			}
			compareHostile(t, content, c.damage)
		})
	}
}

// hostile gives an inode of version 4 a tree.
func hostile(slot []byte, level uint16, block uint64) {
	slot[5], slot[82] = 3, 0
	clear(slot[100:])
	binary.BigEndian.PutUint64(slot[56:], 1<<34)
	binary.BigEndian.PutUint16(slot[100:], level)
	binary.BigEndian.PutUint16(slot[102:], 1)
	copy(slot[104+(len(slot)-104)/16*8:], words(block))
}

func compareHostile(t *testing.T, content []byte, want string) {
	t.Helper()
	v := &counting{Volume: inMemory(content)}
	f, err := xfs.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for i, err := range f.Inodes(0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range i.Extents() {
			damage := (*fs.DamageError)(nil)
			found = found || errors.As(err, &damage) && strings.Contains(err.Error(), want)
		}
		for range i.Entries() {
		}
	}
	if !found {
		t.Errorf("nothing says that %q", want)
	}
	if limit := int64(len(content)) * 4; v.read > limit {
		t.Errorf("%d bytes were read, of %d", v.read, len(content))
	}
}
