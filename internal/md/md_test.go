package md_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"strings"
	"testing"

	"dmcow/internal/md"
)

const sectors = 4096 // of a device

type fields map[int]any

// put writes numbers at bytes.
func put(b []byte, order binary.ByteOrder, at fields) {
	for i, v := range at {
		switch v := v.(type) {
		case uint16:
			order.PutUint16(b[i:], v)
		case uint32:
			order.PutUint32(b[i:], v)
		case uint64:
			order.PutUint64(b[i:], v)
		case string:
			copy(b[i:], v)
		}
	}
}

// add is the sum of 32-bit words with carries.
func add(b []byte, order binary.ByteOrder) uint32 {
	var total uint64
	for ; len(b) >= 4; b = b[4:] {
		total += uint64(order.Uint32(b))
	}
	if len(b) == 2 {
		total += uint64(order.Uint16(b))
	}
	return uint32(total>>32 + total&0xffffffff)
}

// one is a device with a superblock of version 1 at a sector: the second of three members of a RAID1.
func one(sector int64, more fields) []byte {
	b := make([]byte, sectors*512)
	at := fields{
		0: uint32(0xa92b4efc), 4: uint32(1), 16: "0123456789abcdef", 32: "host:0", 72: uint32(1), 80: uint64(2000), 92: uint32(2), 128: uint64(1024), 144: uint64(sector),
		152: ^uint64(0), 160: uint32(1), 200: uint64(77), 208: ^uint64(0), 220: uint32(3), 256: uint16(0), 258: uint16(1), 260: uint16(0xffff),
	}
	maps.Copy(at, more)
	sb := b[sector*512:]
	put(sb, binary.LittleEndian, at)
	roles := binary.LittleEndian.Uint32(sb[220:])
	binary.LittleEndian.PutUint32(sb[216:], add(sb[:min(256+2*roles, 4096)], binary.LittleEndian))
	return b
}

// ninety is a device with a superblock of version 0.90, of the second of two members.
func ninety(order binary.ByteOrder, more fields) []byte {
	b := make([]byte, sectors*512)
	at := fields{
		0: uint32(0xa92b4efc), 8: uint32(90), 20: uint32(0x30313233), 28: uint32(1), 32: uint32(1000), 40: uint32(2), 52: uint32(0x34353637), 56: uint32(0x38393a3b), 60: uint32(0x3c3d3e3f),
		4 * 39: uint64(77), 4 * 992: uint32(1), 4 * 995: uint32(1), 4 * 996: uint32(6), 4 * (128 + 4): uint32(6), 4 * (128 + 32 + 4): uint32(6),
	}
	maps.Copy(at, more)
	sb := b[sectors*512-64<<10:][:4096]
	put(sb, order, at)
	order.PutUint32(sb[4*38:], add(sb, order))
	return b
}

func find(b []byte) (*md.Member, error) { return md.Find(bytes.NewReader(b)) }

// TestFind: a superblock of each version is found where it belongs, and says what it should.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		version, array, name string
		b                    []byte
		start                int64
	}{
		{"1.1", "30313233:34353637:38396162:63646566", "host:0", one(0, nil), 512 << 10},
		{"1.2", "30313233:34353637:38396162:63646566", "host:0", one(8, nil), 512 << 10},
		{"1.0", "30313233:34353637:38396162:63646566", "host:0", one(sectors-16, fields{128: uint64(0)}), 0},
		{"1.0", "30313233:34353637:38396162:63646566", "host:0", append(one(sectors-16, fields{128: uint64(0)}), make([]byte, 7*512+100)...), 0},
		{"0.90", "30313233:34353637:38393a3b:3c3d3e3f", "", ninety(binary.LittleEndian, nil), 0},
		{"0.90", "30313233:34353637:38393a3b:3c3d3e3f", "", ninety(binary.BigEndian, nil), 0},
	} {
		m, err := find(c.b)
		if err != nil || m.Version != c.version || m.Array.String() != c.array || m.Name != c.name || m.Level != 1 || m.Members != 2 || m.Place != 1 ||
			m.Events != 77 || m.Start != c.start || m.Length != 2000*512 || m.Whole != m.Length || m.CheckReadable() != nil {
			t.Errorf("%s: %+v, %v", c.version, m, err)
		}
	}
}

// TestCutOff: of a device that is cut off, the data is what is left of it.
func TestCutOff(t *testing.T) {
	b := one(8, nil)
	for _, c := range []struct{ size, length int64 }{{3024 * 512, 2000 * 512}, {1025*512 + 3, 515}, {1024 * 512, 0}, {1000 * 512, 0}, {4096 + 512, 0}} {
		if m, err := find(b[:c.size]); err != nil || m.Length != c.length || m.Whole != 2000*512 {
			t.Errorf("%d bytes: %+v, %v", c.size, m, err)
		}
	}
}

// TestNone: what is no superblock, and what is a damaged one.
func TestNone(t *testing.T) {
	le := binary.LittleEndian
	flip := func(b []byte, at int) []byte { b[at] ^= 1; return b }
	for _, c := range []struct {
		name string
		b    []byte
		want string // nothing for none
	}{
		{"empty", nil, ""}, {"one sector", make([]byte, 512), ""}, {"small", make([]byte, 8192), ""}, {"zeros", make([]byte, 1<<20), ""},
		{"another magic", one(8, fields{0: uint32(0xa92b4efd)}), ""}, {"another version", one(8, fields{4: uint32(2)}), ""}, {"elsewhere", one(8, fields{144: uint64(0)}), ""},
		{"a bit", flip(one(8, nil), 4096+201), "version 1.2: the checksum is"}, {"a bit of a role", flip(one(8, nil), 4096+260), "version 1.2: the checksum is"},
		{"behind the roles", flip(one(8, nil), 4096+262), "sound"},
		{"roles", one(8, fields{220: uint32(1921)}), "it has 1921 roles"}, {"as many as can be", one(8, fields{220: uint32(1920)}), "sound"},
		{"data", one(0, fields{128: ^uint64(0)}), "sectors of data from sector 18446744073709551615 on"}, {"no data", one(0, fields{80: uint64(0)}), "0 sectors of data"},
		{"no data of a raid0", one(0, fields{80: uint64(0), 72: uint32(0)}), "sound"},
		{"old, a bit", flip(ninety(le, nil), sectors*512-64<<10+4000), "version 0.90: the checksum is"}, {"old, another version", ninety(le, fields{8: uint32(92)}), ""},
		{"old, version 1", ninety(le, fields{4: uint32(1)}), ""}, {"old, being reshaped", ninety(le, fields{8: uint32(91)}), "sound"},
	} {
		_, err := find(c.b)
		switch {
		case c.want == "sound" && err == nil, c.want == "" && errors.Is(err, md.ErrNoMember):
		case c.want == "" || err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestCheckReadable: a member that has not all of the array's data says why.
func TestCheckReadable(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{one(8, fields{72: uint32(0)}), "raid0"}, {one(8, fields{72: ^uint32(0)}), "linear"}, {one(8, fields{72: uint32(5)}), "raid5"}, {one(8, fields{72: uint32(3)}), "level 3"},
		{one(8, fields{8: uint32(2)}), "being rebuilt"}, {one(8, fields{8: uint32(4)}), "being reshaped"}, {one(8, fields{8: uint32(1)}), ""},
		{one(8, fields{258: uint16(0xffff)}), "is a spare, or had failed"}, {one(8, fields{258: uint16(0xfffe)}), "is a spare"}, {one(8, fields{160: uint32(2)}), "is a spare"}, {one(8, fields{160: uint32(9)}), "is a spare"},
		{ninety(le, fields{28: uint32(6)}), "raid6"}, {ninety(le, fields{4 * 996: uint32(1)}), "is a spare"}, {ninety(le, fields{8: uint32(91)}), "being reshaped"}, {ninety(le, nil), ""},
	} {
		m, err := find(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if err = m.CheckReadable(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestNewest: the member with the most events is taken; of several, one that no other calls failed, has all
// data, and is the first in the array.
func TestNewest(t *testing.T) {
	member := func(number uint32, events uint64, more fields) *md.Member {
		at := fields{160: number, 200: events}
		maps.Copy(at, more)
		m, err := find(one(8, at))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, second := member(0, 5, nil), member(1, 5, nil)
	for i, c := range []struct{ a, b, want *md.Member }{
		{first, second, first},
		{member(0, 4, nil), second, second},
		{first, member(1, 6, nil), nil},
		{first, member(1, 5, fields{256: uint16(0xfffe)}), nil},
		{member(0, 5, fields{8: uint32(2)}), second, second},
	} {
		if c.want == nil {
			c.want = c.b
		}
		if got := md.Newest(c.a, c.b); got != c.want {
			t.Errorf("case %d: %+v", i, got)
		}
		if got := md.Newest(c.b, c.a); got != c.want {
			t.Errorf("case %d, the other way round: %+v", i, got)
		}
	}
	if md.Newest() != nil {
		t.Error("the newest of none")
	}
}

// FuzzMember: whatever a superblock is, what is said of it is true of the device.
func FuzzMember(f *testing.F) {
	f.Add(one(8, nil)[4096:8192], uint8(8), true)
	f.Add(ninety(binary.BigEndian, nil)[sectors*512-64<<10:][:4096], uint8(128), true)
	f.Add(one(0, nil)[:4096], uint8(0), false)
	f.Fuzz(func(t *testing.T, sb []byte, sector uint8, seal bool) {
		b := make([]byte, 256*512)
		sb = b[int(sector)*512:][:copy(b[int(sector)*512:], sb)]
		if seal && len(sb) >= 256 {
			roles := min(binary.LittleEndian.Uint32(sb[220:]), 1920)
			binary.LittleEndian.PutUint32(sb[216:], 0)
			binary.LittleEndian.PutUint32(sb[216:], add(sb[:min(int(256+2*roles), len(sb))], binary.LittleEndian))
		}
		m, err := find(b)
		if err != nil {
			return
		}
		if m.Start < 0 || m.Length < 0 || m.Length > 0 && m.Start+m.Length > int64(len(b)) || m.Length > m.Whole {
			t.Errorf("%+v", m)
		}
		if m.CheckReadable() == nil && (m.Level != md.RAID1 || m.Place < 0) {
			t.Errorf("%+v can be read", m)
		}
	})
}
