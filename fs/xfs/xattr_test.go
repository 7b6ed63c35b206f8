package xfs

import "testing"

// TestEntryAtTheEnd has the smallest entries of a leaf at its very end, where an entry of the other kind does not fit.
func TestEntryAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags byte
		entry []byte
		size  int
	}{
		{"a value in the leaf", attrLocal, []byte{0, 1, 1, 'x', 'v', 0, 0, 0}, 5},
		{"no value", attrLocal, []byte{0, 0, 1, 'x'}, 4},
		{"a name that is longer", attrLocal, []byte{0, 0, 2, 'x'}, 0},
		{"a value that is longer", attrLocal, []byte{0, 2, 1, 'x', 'v'}, 0},
		{"no room for lengths", attrLocal, []byte{0, 1}, 0},
		{"a value elsewhere", 0, []byte{0, 0, 0, 9, 0, 0, 16, 0, 1, 'x'}, 10},
		{"a value elsewhere, and no room for its place", 0, []byte{0, 0, 0, 9, 0, 0, 16, 0}, 0},
	} {
		b := append(make(record, 40), c.entry...)
		if size, _ := (&attributes{}).entry(b, 40, c.flags, 0); size != c.size {
			t.Errorf("%s: an entry of %d bytes, expected %d", c.name, size, c.size)
		}
	}
}
