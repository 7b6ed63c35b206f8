package volume_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// bitmap is md's, of so many sectors, in regions of so many bytes, with nothing set.
func bitmap(sectors uint64, region uint32) []byte {
	b := make([]byte, extent)
	copy(b, "bitm")
	binary.LittleEndian.PutUint64(b[40:], sectors)
	binary.LittleEndian.PutUint32(b[52:], region)
	return b
}

// TestMarks: of a volume of which a segment is a RAID1, what is going to be written is marked in all bitmaps, and
// nothing else, until it is written; where that cannot be, the volume is refused.
func TestMarks(t *testing.T) {
	usual := bitmap(10*extent/512, extent/2)
	other := bitmap(10*extent/512, extent)
	small := bitmap(9*extent/512, extent/2)
	for _, c := range []struct {
		name    string
		super   map[int]uint64
		bitmaps [3][]byte
		refused string
	}{
		{"well", nil, [3][]byte{usual, usual, usual}, ""},
		{"never active", map[int]uint64{0: 0}, [3][]byte{usual, usual, usual}, "vg0/v was never active"},
		{"no bitmap", nil, [3][]byte{usual, usual, make([]byte, extent)}, "vg0/i2 has no bitmap, or another one"},
		{"another bitmap", nil, [3][]byte{usual, other, usual}, "vg0/i1 has no bitmap, or another one"},
		{"too few regions", nil, [3][]byte{small, small, small}, "vg0/v keeps 18 regions on record, and has 20"},
		{"too many", nil, [3][]byte{bitmap(1<<30, 512), bitmap(1<<30, 512), bitmap(1<<30, 512)}, "vg0/m0 is too small for the record"},
		{"not in sync", map[int]uint64{40: 0}, [3][]byte{usual, usual, usual}, "vg0/v is not in sync"},
	} {
		t.Run(c.name, func(t *testing.T) {
			paths := arrayDisks(t, segment(0, 3, `type = "striped" stripes = ["pv0", 200]`)+";"+segment(3, 10, raid1))
			var before [][]byte
			for i, path := range paths {
				change := map[int]uint64{48: 1, 52: 0, 56: 0}
				for at, v := range c.super {
					change[at] = v
				}
				putExtent(t, path, 50, superblock(i, 3, change))
				putExtent(t, path, 51, c.bitmaps[i])
				before = append(before, readFile(t, path))
			}
			v, _ := find(t, "vg0/v", paths)
			err := v.RefuseWriting()
			if _, oerr := v.OpenWritable(); (oerr == nil) != (err == nil) || oerr != nil && oerr.Error() != err.Error() {
				t.Errorf("%v, opened: %v", err, oerr)
			}
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%v, want %s", err, c.refused)
				}
				return
			}
			marks := v.Marks()
			if err != nil || len(marks) != 1 {
				t.Fatal(err, marks)
			}
			err = marks.Begin(func(use func(offset, length int64)) error {
				use(0, 3*extent)
				use(3*extent+extent, 1)
				use(13*extent-1, 1)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, path := range paths {
				if got := pieceOf(t, paths, i, 51, 1)[256:][:4]; !bytes.Equal(got, []byte{1 << 2, 0, 1 << 3, 0}) {
					t.Errorf("%s: %x", path, got)
				}
			}
			if err := marks.End(); err != nil {
				t.Fatal(err)
			}
			after := [][]byte{readFile(t, paths[0]), readFile(t, paths[1]), readFile(t, paths[2])}
			if !slices.EqualFunc(before, after, bytes.Equal) {
				t.Error("it is not as it was")
			}
		})
	}
}
