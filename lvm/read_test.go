package lvm_test

import (
	"hash/crc32"
	"math/bits"
	"strings"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// commented is a text with a comment of 64 letters a.
func commented(seqno int) string {
	return text("vg0", seqno, whole()) + "# " + letters + "\n"
}

var letters = strings.Repeat("a", 64)

// sum is the checksum of a text. LVM begins its own with another number, which makes no
// difference between texts of one size.
func sum(text string) uint32 { return crc32.ChecksumIEEE([]byte(text + "\x00")) }

// alike is a text with letters of its comment in the other case, so that it has the checksum of
// another text of that size.
func alike(t *testing.T, text, other string) string {
	t.Helper()
	first := strings.Index(text, letters)
	with := func(capitals uint64) string {
		b := []byte(text)
		for i := range letters {
			if capitals>>i&1 != 0 {
				b[first+i] = 'A'
			}
		}
		return string(b)
	}
	// The same letter changes the same bits of the checksum, whatever the others are.
	type change struct {
		sum      uint32
		capitals uint64
	}
	var basis []change
	reduced := func(c change) change {
		for _, x := range basis {
			if c.sum>>(bits.Len32(x.sum)-1)&1 != 0 {
				c = change{c.sum ^ x.sum, c.capitals ^ x.capitals}
			}
		}
		return c
	}
	for i := range letters {
		if c := reduced(change{sum(with(1<<i)) ^ sum(text), 1 << i}); c.sum != 0 {
			basis = append(basis, c)
		}
	}
	made := with(reduced(change{sum: sum(text) ^ sum(other)}).capitals)
	if made == other || len(made) != len(other) || sum(made) != sum(other) {
		t.Fatalf("%d bytes with the checksum %#x, want %d with %#x", len(made), sum(made), len(other), sum(other))
	}
	return made
}

// TestSameChecksum: two texts that have the same size and checksum are not taken for one.
func TestSameChecksum(t *testing.T) {
	read := func(first, second string) *lvm.Groups {
		v := pvimage.Volume{UUID: uuid, Size: 4 << 20, Label: 1, Areas: []pvimage.Area{
			{Offset: 4096, Size: 65536, Start: 512, Text: first}, {Offset: 2 << 20, Size: 65536, Start: 512, Text: second},
		}}
		return lvm.Read(found(t, v.Image()))
	}
	one := commented(7)
	if g := read(one, alike(t, commented(8), one)); len(g.Unread()) > 0 || g.All[0].Seqno != 8 {
		t.Errorf("seqno %d, %v", g.All[0].Seqno, g.Unread())
	}
	moved := strings.Replace(one, `["pv0", 25]`, `["pv0", 65]`, 1)
	if g := read(one, alike(t, moved, one)); len(g.Unread()) != 1 || !strings.HasSuffix(g.Unread()[0].Err.Error(), "has other metadata than another copy, with the same seqno 7") {
		t.Errorf("%v", g.Unread())
	}
	if g := read(one, one); len(g.Unread()) > 0 || len(g.All) != 1 {
		t.Errorf("%v", g.Unread())
	}
}
