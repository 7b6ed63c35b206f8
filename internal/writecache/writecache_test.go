package writecache_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"dmcow/internal/writecache"
)

const block = 1024

var le = binary.LittleEndian

// image is a cache of so many blocks of data, each of one letter, from "a" on. An entry is a sector and a
// sequence number, of which those below 10 count.
func image(entries ...[2]uint64) []byte {
	first := (64 + 16*len(entries) + block - 1) / block * block
	b := make([]byte, first+block*len(entries))
	le.PutUint32(b, 0x23489321)
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[8:], block)
	le.PutUint64(b[16:], uint64(len(entries)))
	le.PutUint64(b[24:], 10)
	for i, e := range entries {
		le.PutUint64(b[64+16*i:], e[0])
		le.PutUint64(b[72+16*i:], e[1])
		copy(b[first+block*i:], bytes.Repeat([]byte{'a' + byte(i)}, block))
	}
	return b
}

const free = math.MaxUint64

// TestVolume: the newest entry of those that count stands in place of the origin.
func TestVolume(t *testing.T) {
	for _, c := range []struct {
		entries [][2]uint64
		size    int
		want    string // a letter for each block, "." for the origin's
		dirty   int
	}{
		{nil, 4 * block, "....", 0},
		{[][2]uint64{{free, free}, {2, 10}, {4, 11}}, 4 * block, "....", 0},
		{[][2]uint64{{6, 9}, {2, 1}, {4, 10}}, 5 * block, ".b.a.", 2},
		{[][2]uint64{{2, 3}, {2, 5}, {2, 4}, {2, 12}}, 3 * block, ".b.", 1},
		{[][2]uint64{{0, 0}, {2, 0}, {8, 0}}, 3 * block, "ab.", 3},
		{[][2]uint64{{4, 0}}, 2*block + 512, "..a", 1},
	} {
		c1, err := writecache.Open(bytes.NewReader(image(c.entries...)))
		if err != nil || c1.BlockSize != block || c1.Dirty() != c.dirty {
			t.Fatalf("%v: %+v, %v", c.entries, c1, err)
		}
		origin := bytes.Repeat([]byte{'.'}, c.size)
		d := c1.Volume(bytes.NewReader(origin))
		got, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
		for i := range c.want {
			copy(origin[i*block:], bytes.Repeat([]byte{c.want[i]}, block))
		}
		if err != nil || !bytes.Equal(got, origin) {
			t.Errorf("%v: not %s, %v", c.entries, c.want, err)
		}
		for at := range int64(c.size) { // from each byte on
			if b := []byte{0}; true {
				if _, err := d.ReadAt(b, at); err != nil || b[0] != origin[at] {
					t.Fatalf("%v: byte %d is %q, %v", c.entries, at, b, err)
				}
			}
		}
	}
}

// TestRefused: what is not a cache, or one that is damaged.
func TestRefused(t *testing.T) {
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { le.PutUint32(b[at:], v); return b }
	}
	for _, c := range []struct {
		change func([]byte) []byte
		want   string
	}{
		{set(12, 7), ""},
		{set(0, 0), writecache.ErrNoCache.Error()}, {set(4, 2), "version 2"},
		{set(8, 0), "blocks of 0 bytes"}, {set(8, 256), "blocks of 256 bytes"}, {set(8, 1536), "blocks of 1536 bytes"}, {set(8, 1<<17), "blocks of 131072 bytes"},
		{set(16, 5000), "5000 blocks, whose entries do not fit"}, {set(20, 1), "do not fit"}, {set(20, 1<<31), "do not fit"},
		{set(64, 3), "its block 0 is for sector 3"}, {set(68, 1<<30), "its block 0 is for sector"},
		{set(64, 2), "two of its blocks are for sector 2, with the same sequence number 5"},
		{func(b []byte) []byte { return b[:63] }, writecache.ErrNoCache.Error()},
	} {
		b := c.change(image([2]uint64{4, 5}, [2]uint64{2, 5}, [2]uint64{free, free}))
		if _, err := writecache.Open(bytes.NewReader(b)); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := writecache.Open(short{bytes.NewReader(image())}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// short is a device that cannot be read.
type short struct{ *bytes.Reader }

func (short) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// FuzzCache: whatever a cache is, its volume is read or refused.
func FuzzCache(f *testing.F) {
	f.Add(image([2]uint64{4, 5}, [2]uint64{2, 5}), uint16(0), []byte(nil))
	f.Add(image([2]uint64{4, 5}, [2]uint64{4, 7}), uint16(24), []byte{6})
	origin := bytes.Repeat([]byte{'.'}, 6*block+512)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		if int(at)+len(patch) <= len(b) {
			copy(b[at:], patch)
		}
		c, err := writecache.Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		if c.Dirty() > len(b)/16 {
			t.Errorf("%d dirty blocks in %d bytes", c.Dirty(), len(b))
		}
		d := c.Volume(bytes.NewReader(origin))
		if n, err := d.ReadAt(make([]byte, d.Size()), 0); (n == len(origin)) != (err == nil) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
