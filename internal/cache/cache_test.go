package cache_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"dmcow/internal/cache"
	"dmcow/internal/persistent"
	"dmcow/internal/persistent/pdimage"
)

const block = 32 << 10

// metadata describes a cache of four blocks, of which the first three are in use, for blocks 5, 2 and 0 of the
// origin, and the first two dirty. The fourth is dirty, and not in use.
func metadata(version uint32) *pdimage.Image {
	m := pdimage.New(6)
	m.Cache(pdimage.Cache{Flags: 1, Version: version, BlockSectors: block / 512, Blocks: 4, Mappings: 1, Dirty: 3})
	m.Tree(1, true, pdimage.Entry{0, 2})
	m.Tree(3, true, pdimage.Entry{0, 4})
	m.Values(4, 0b1011)
	m.Values(2, 5<<16|3, 2<<16|3, 0<<16|1, 1<<16|2)
	if version == 2 { // where the flag says nothing
		m.Values(2, 5<<16|1, 2<<16|1, 0<<16|3, 1<<16)
	}
	return m
}

func open(m *pdimage.Image) (*cache.Cache, error) {
	return cache.Open(bytes.NewReader(m.Bytes), int64(len(m.Bytes)))
}

func data(from byte, blocks int) (b []byte) {
	for i := range blocks {
		b = append(b, bytes.Repeat([]byte{from + byte(i)}, block)...)
	}
	return b
}

// TestVolume: the cache's dirty blocks stand in place of the origin's.
func TestVolume(t *testing.T) {
	for _, version := range []uint32{1, 2} {
		c, err := open(metadata(version))
		if err != nil || c.BlockSize != block || c.Blocks != 4 || c.Dirty() != 2 || c.NeedsCheck {
			t.Fatalf("version %d: %+v, %v", version, c, err)
		}
		for _, size := range []int{7 * block, 5*block + 512, 5 * block, 2*block + 512, 512} {
			d := c.Volume(bytes.NewReader(data('A', 7)[:size]), bytes.NewReader(data('a', 4)))
			got, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
			want := data('A', 7)
			copy(want[2*block:], data('b', 1))
			copy(want[5*block:], data('a', 1))
			if err != nil || !bytes.Equal(got, want[:size]) {
				t.Errorf("version %d, %d bytes: %d bytes that are not it, %v", version, size, len(got), err)
			}
		}
	}
}

// TestRefused: what is not a cache that was shut down is not read.
func TestRefused(t *testing.T) {
	set := func(at int, v uint32) func(*pdimage.Image) {
		return func(m *pdimage.Image) {
			binary.LittleEndian.PutUint32(m.Block(0)[at:], v)
			m.Seal(0, pdimage.CacheSuperblock)
		}
	}
	for _, c := range []struct {
		change func(*pdimage.Image)
		want   string
	}{
		{set(4, 1), ""}, {set(4, 3), ""}, {set(4, 0), "was not shut down cleanly"}, {set(4, 2), "was not shut down cleanly"},
		{set(40, 0), "version 0"}, {set(40, 3), "version 3"}, {set(252, 4), "features 0x4"}, {set(236, 1), "blocks of 1 sectors"},
		{set(232, 0), "blocks of 0 bytes"}, {set(232, 63), "blocks of 32256 bytes"}, {set(232, 1<<21+64), "expected a multiple"},
		{set(240, 5), "4 of 509 values of 8 bytes, expected 5"}, {set(240, 1<<32-1), "does not fit"},
		{set(32, 6142003), cache.ErrNoCache.Error()},
		{func(m *pdimage.Image) { clear(m.Block(0)) }, cache.ErrNoCache.Error()},
		{func(m *pdimage.Image) { m.Block(0)[100]++ }, "block 0 of the metadata is damaged"},
		{func(m *pdimage.Image) { m.Block(1)[100]++ }, "block 1 of the metadata is damaged"},
		{func(m *pdimage.Image) { m.Block(4)[100]++ }, "block 4 of the metadata is damaged"},
		{func(m *pdimage.Image) { m.Values(2, 5<<16|1, 5<<16|1, 1, 1) }, "its blocks 0 and 1 are both block 5 of the origin"},
	} {
		m := metadata(2)
		c.change(m)
		got, err := open(m)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
		if err == nil && got.NeedsCheck != (m.Block(0)[4]&2 != 0) {
			t.Errorf("%+v", got)
		}
	}
	m := metadata(1)
	m.Block(4)[100]++ // which is not asked
	if _, err := open(m); err != nil {
		t.Error(err)
	}
	if _, err := cache.Open(bytes.NewReader(nil), 4096); err == nil || persistent.IsDamage(err) || errors.Is(err, cache.ErrNoCache) {
		t.Errorf("of a device that cannot be read: %v", err)
	}
}

// FuzzCache: whatever the metadata is, its volume is read or refused.
func FuzzCache(f *testing.F) {
	for version := range uint32(2) {
		f.Add(metadata(version+1).Bytes, uint16(0), []byte(nil))
		f.Add(metadata(version+1).Bytes, uint16(2*4096+26), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	origin, blocks := data('A', 7), data('a', 4)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		if int(at)+len(patch) <= len(b) {
			copy(b[at:], patch)
		}
		m := &pdimage.Image{Bytes: b}
		m.SealAll(pdimage.CacheSuperblock)
		c, err := open(m)
		if err != nil {
			return
		}
		if uint64(c.Dirty()) > c.Blocks || c.Dirty() > 509*len(b)/4096+509 {
			t.Errorf("%d dirty blocks of %d", c.Dirty(), c.Blocks)
		}
		d := c.Volume(bytes.NewReader(origin), bytes.NewReader(blocks))
		if n, err := d.ReadAt(make([]byte, d.Size()), 0); (err == nil) != (int64(n) == d.Size()) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
