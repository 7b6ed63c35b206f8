package ext

import (
	"encoding/binary"
	"testing"
)

// TestRecordSize: in blocks of 64 KiB, the size of an entry does not fit its field.
func TestRecordSize(t *testing.T) {
	for _, c := range []struct {
		field       uint16
		block, want int
	}{{12, 1024, 12}, {0, 1024, 0}, {65535, 32768, 65535}, {12, 65536, 12}, {65535, 65536, 65536}, {0, 65536, 65536}, {65532, 65536, 65532}} {
		if got := recordSize(c.field, c.block); got != c.want {
			t.Errorf("%d in a block of %d: %d, expected %d", c.field, c.block, got, c.want)
		}
	}
}

// TestIndexStart: blocks of an index look like blocks without entries.
func TestIndexStart(t *testing.T) {
	entry := func(b record, at int, ino uint32, size uint16, name byte) {
		binary.LittleEndian.PutUint32(b[at:], ino)
		binary.LittleEndian.PutUint16(b[at+4:], size)
		b[at+6] = name
	}
	root, inner := make(record, 1024), make(record, 1024)
	entry(root, 0, 2, 12, 1)
	entry(root, 12, 2, 1012, 2)
	root[29] = 8
	entry(inner, 0, 0, 1024, 0)
	leaf, empty := make(record, 1024), make(record, 1024)
	entry(leaf, 0, 2, 12, 1)
	entry(leaf, 12, 2, 12, 2)
	entry(empty, 0, 0, 1012, 0)
	named := append(record(nil), inner...)
	named[6] = 1
	used := append(record(nil), inner...)
	used[0] = 1
	other := append(record(nil), root...)
	other[29] = 9
	for n, c := range []struct {
		b     record
		flags uint32
		want  int
	}{{root, flagIndex, 32}, {inner, flagIndex, 8}, {leaf, flagIndex, 0}, {empty, flagIndex, 0}, {root, 0, 0}, {inner, 0, 0}, {named, flagIndex, 0}, {used, flagIndex, 0}, {other, flagIndex, 0}} {
		if got := indexStart(c.b, c.flags); got != c.want {
			t.Errorf("case %d: %d, expected %d", n, got, c.want)
		}
	}
}

// TestChecksums: known values of the polynomials, for "123456789".
func TestChecksums(t *testing.T) {
	p := []byte("123456789")
	if got := ^checksum(^uint32(0), p); got != 0xe3069283 { // CRC-32C
		t.Errorf("0x%x", got)
	}
	if got := checksum16(0xffff, p); got != 0x4b37 { // CRC-16/MODBUS
		t.Errorf("0x%x", got)
	}
	if got := checksumBE(^uint32(0), p); got != 0x0376e6e7 { // CRC-32/MPEG-2
		t.Errorf("0x%x", got)
	}
}

// TestExtentLength: the longest extent that was written has 2^15 blocks.
func TestExtentLength(t *testing.T) {
	for n, want := range map[uint16]struct {
		length  uint64
		written bool
	}{1: {1, true}, 0x8000: {0x8000, true}, 0x8001: {1, false}, 0xffff: {0x7fff, false}} {
		e := make(record, 12)
		binary.LittleEndian.PutUint16(e[4:], n)
		if length, written := extentLength(e); length != want.length || written != want.written {
			t.Errorf("0x%x: %d, %v", n, length, written)
		}
	}
}

// TestCheckNode: a node of extents is good as a whole, or nothing of it is used.
func TestCheckNode(t *testing.T) {
	node := func(depth uint16, entries ...[2]uint16) record {
		b := make(record, 1024)
		for at, n := range map[int]uint16{0: 0xf30a, 2: uint16(len(entries)), 4: 84, 6: depth} {
			binary.LittleEndian.PutUint16(b[at:], n)
		}
		for n, e := range entries {
			binary.LittleEndian.PutUint32(b[12+12*n:], uint32(e[0]))
			binary.LittleEndian.PutUint16(b[16+12*n:], e[1])
		}
		return b
	}
	magic, room, many := node(0, [2]uint16{10, 5}), node(0, [2]uint16{10, 5}), node(0, [2]uint16{10, 5})
	magic[0], room[4], many[2] = 0, 85, 85
	for n, c := range []struct {
		node   record
		depth  int
		lo, hi uint64
		good   bool
	}{
		{node(0, [2]uint16{10, 5}, [2]uint16{15, 5}), 0, 10, 20, true},
		{node(0, [2]uint16{10, 5}, [2]uint16{15, 5}), 0, 10, 19, false},
		{node(0, [2]uint16{10, 5}, [2]uint16{14, 5}), 0, 10, 20, false},
		{node(0, [2]uint16{10, 5}, [2]uint16{10, 5}), 0, 10, 20, false},
		{node(0, [2]uint16{10, 5}, [2]uint16{9, 1}), 0, 9, 20, false},
		{node(0, [2]uint16{10, 0}), 0, 10, 20, false},
		{node(0, [2]uint16{11, 5}), 0, 10, 20, false}, // not where its parent says
		{node(0, [2]uint16{11, 5}), -1, 0, 20, true},
		{node(0), -1, 0, 20, true},
		{node(0), 0, 0, 20, false},
		{node(1), -1, 0, 20, false},
		{node(1, [2]uint16{10, 0}, [2]uint16{19, 0}), 1, 10, 20, true},
		{node(1, [2]uint16{10, 0}, [2]uint16{20, 0}), 1, 10, 20, false},
		{node(1, [2]uint16{10, 0}, [2]uint16{10, 0}), 1, 10, 20, false},
		{node(1, [2]uint16{10, 0}), 0, 10, 20, false},
		{node(5, [2]uint16{10, 0}), -1, 0, 20, true},
		{node(6, [2]uint16{10, 0}), -1, 0, 20, false},
		{magic, 0, 10, 20, false}, {room, 0, 10, 20, false}, {many, 0, 10, 20, false},
	} {
		if why := checkNode(c.node, c.depth, c.lo, c.hi); (why == "") != c.good {
			t.Errorf("case %d: %q", n, why)
		}
	}
}

// TestRevoked: a block that was revoked is replayed from later transactions, also where their numbers begin again.
func TestRevoked(t *testing.T) {
	for _, features := range []uint32{0, journal64Bit, journal64Bit | journalCsum3} {
		j := journal{incompat: features, revoked: map[uint64]uint32{}}
		list := func(sequence uint32, blocks ...uint32) {
			b := make(block, 1024)
			at := 16
			for _, n := range blocks {
				if features&journal64Bit != 0 {
					at += 4
				}
				binary.BigEndian.PutUint32(b[at:], n)
				at += 4
			}
			binary.BigEndian.PutUint32(b[12:], uint32(at))
			j.revoke(b, sequence)
		}
		list(5, 100, 200)
		list(7, 100)
		list(6, 100)
		list(0xffffffff, 300)
		list(1, 400)
		for _, c := range []struct {
			block    uint64
			sequence uint32
			want     bool
		}{{100, 6, true}, {100, 7, true}, {100, 8, false}, {200, 5, true}, {200, 6, false}, {300, 0xffffffff, true}, {300, 0, false}, {400, 0xfffffff0, true}, {500, 5, false}, {0, 5, false}} {
			if got := j.isRevoked(c.block, c.sequence); got != c.want {
				t.Errorf("features 0x%x, block %d, transaction %d: %v", features, c.block, c.sequence, got)
			}
		}
		if len(j.revoked) != 4 || len(j.lost) > 0 {
			t.Errorf("%v, %v", j.revoked, j.lost)
		}
		b := make(block, 1024)
		binary.BigEndian.PutUint32(b[12:], 1025)
		if j.revoke(b, 9); len(j.lost) != 1 {
			t.Errorf("%v", j.lost)
		}
	}
}
