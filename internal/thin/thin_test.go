package thin_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"dmcow/internal/persistent"
	"dmcow/internal/persistent/pdimage"
	"dmcow/internal/thin"
)

const block = 64 << 10

// pool is the metadata of a pool of 8 blocks of data. Volume 1 has blocks 0, 1, 2 and 5, in this
// order in data blocks 3, 4, 0 and 1; volume 7 has none.
func pool() *pdimage.Image {
	m := pdimage.New(8)
	m.Thin(pdimage.Thin{BlockSectors: block / 512, DataBlocks: 8, Root: 1, Transaction: 42})
	m.Tree(1, true, []pdimage.Entry{{1, 2}, {7, 3}}...)
	m.Tree(2, true, []pdimage.Entry{{0, 3<<24 | 5}, {1, 4<<24 | 6}, {2, 0<<24 | 7}, {5, 1<<24 | 1}}...)
	m.Tree(3, true)
	return m
}

func open(m *pdimage.Image) (*thin.Pool, error) {
	return thin.Open(bytes.NewReader(m.Bytes), int64(len(m.Bytes)))
}

// data is a device whose blocks are of one letter each, from a letter on.
func data(from byte, blocks int) (b []byte) {
	for i := range blocks {
		b = append(b, bytes.Repeat([]byte{from + byte(i)}, block)...)
	}
	return b
}

type sized struct{ *bytes.Reader }

func image(b []byte) sized { return sized{bytes.NewReader(b)} }

// letters are the blocks of a volume, each as its letter, "." for zeros.
func letters(t *testing.T, p *thin.Pool, v thin.Volume) string {
	t.Helper()
	d, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != v.Size {
		t.Fatalf("%d bytes, want %d", len(all), v.Size)
	}
	text := ""
	for len(all) > 0 {
		piece := all[:min(block/2, len(all))]
		if !bytes.Equal(piece, bytes.Repeat(piece[:1], len(piece))) {
			t.Fatalf("a block of several letters, %d bytes before the end", len(all))
		}
		text += strings.ReplaceAll(string(piece[:1]), "\x00", ".")
		all = all[len(piece):]
	}
	return text
}

// TestVolume: blocks come from where the tree has them, and what was never written is zeros, or what
// the external origin has there. Each half of a block is a letter.
func TestVolume(t *testing.T) {
	p, err := open(pool())
	if err != nil || p.BlockSize != block || p.DataBlocks != 8 || p.Transaction != 42 || p.NeedsCheck {
		t.Fatalf("%+v, %v", p, err)
	}
	on := bytes.NewReader(data('a', 8))
	for _, c := range []struct {
		name string
		v    thin.Volume
		want string
	}{
		{"whole", thin.Volume{ID: 1, Size: 7 * block}, "ddeeaa....bb.."},
		{"cut in a block", thin.Volume{ID: 1, Size: 5*block + block/2}, "ddeeaa....b"},
		{"cut in a hole", thin.Volume{ID: 1, Size: 4*block + block/2}, "ddeeaa..."},
		{"nothing written", thin.Volume{ID: 7, Size: 2 * block}, "...."},
		{"with an origin", thin.Volume{ID: 1, Size: 7 * block, External: image(data('A', 7))}, "ddeeaaDDEEbbGG"},
		{"with a shorter origin", thin.Volume{ID: 1, Size: 7 * block, External: image(data('A', 5)[:4*block+block/2])}, "ddeeaaDDE.bb.."},
		{"of the origin alone", thin.Volume{ID: 7, Size: 3 * block, External: image(data('A', 2))}, "AABB.."},
	} {
		c.v.Data = on
		if got := letters(t, p, c.v); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := p.Open(thin.Volume{ID: 2, Size: block, Data: on}); !errors.Is(err, thin.ErrNoDevice) {
		t.Errorf("volume 2: %v", err)
	}
}

// TestRuns: neighbours on both sides are one run.
func TestRuns(t *testing.T) {
	p, err := open(pool())
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Open(thin.Volume{ID: 1, Size: 7 * block, Data: bytes.NewReader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ offset, want, at int64 }{{0, 2 * block, 3 * block}, {100, 2*block - 100, 3*block + 100}, {2 * block, block, 0}, {3*block + 1, 2*block - 1, 0}, {5 * block, block, block}, {6 * block, block, 0}} {
		if r, err := d.Run(c.offset, 10*block); err != nil || r.Length != c.want || r.At != c.at {
			t.Errorf("byte %d: %+v, %v; want %d at %d", c.offset, r, err, c.want, c.at)
		}
	}
}

// TestSuperblock: what a superblock may say, and what is refused.
func TestSuperblock(t *testing.T) {
	le := binary.LittleEndian
	set := func(at int, v uint32) func(*pdimage.Image) {
		return func(m *pdimage.Image) { le.PutUint32(m.Block(0)[at:], v); m.Seal(0, pdimage.ThinSuperblock) }
	}
	for _, c := range []struct {
		change func(*pdimage.Image)
		want   string
	}{
		{set(4, 0), ""}, {set(40, 1), ""},
		{set(40, 3), "version 3"}, {set(40, 0), "version 0"}, {set(360, 1), "features 0x1"},
		{set(340, 16), "blocks of 16 sectors"}, {set(336, 0), "blocks of 0 bytes"}, {set(336, 127), "blocks of 65024 bytes"},
		{set(336, 1<<21+128), "blocks of 1073807360 bytes"}, {set(68, 1<<31), "blocks of data, expected no more"},
		{set(32, 27022011), thin.ErrNoPool.Error()},
		{func(m *pdimage.Image) { clear(m.Block(0)) }, thin.ErrNoPool.Error()},
		{func(m *pdimage.Image) { m.Block(0)[500]++ }, "block 0 of the metadata is damaged: the checksum is"},
		{func(m *pdimage.Image) { m.Bytes = m.Bytes[:4095] }, "the metadata ends before"},
		{func(m *pdimage.Image) { m.Bytes = nil }, thin.ErrNoPool.Error()},
	} {
		m := pool()
		c.change(m)
		if _, err := open(m); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	m := pool()
	set(4, 1)(m)
	if p, err := open(m); err != nil || !p.NeedsCheck {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestDamage: damage in a tree is an error where it is read, and a mapping behind the data's end, too.
func TestDamage(t *testing.T) {
	m := pool()
	m.Tree(2, true, []pdimage.Entry{{0, 3 << 24}, {1, 8 << 24}, {2, 9 << 24}}...)
	m.Block(3)[9] ^= 1
	p, err := open(m)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Open(thin.Volume{ID: 1, Size: 3 * block, Data: bytes.NewReader(data('a', 8))})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(make([]byte, 3*block), 0); n != block || err == nil || !strings.Contains(err.Error(), "block 1 of thin volume 1 is block 8 of the pool's data, which has 8") {
		t.Errorf("%d, %v", n, err)
	}
	if d, err = p.Open(thin.Volume{ID: 7, Size: block}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); !persistent.IsDamage(err) {
		t.Error(err)
	}
}

// FuzzPool: whatever the metadata is, a volume of it is read or refused.
func FuzzPool(f *testing.F) {
	f.Add(pool().Bytes[:5*4096], uint16(0), []byte(nil), uint64(1))
	f.Add(pool().Bytes[:5*4096], uint16(2*4096+16), []byte{200}, uint64(1))
	content := data('a', 8)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte, id uint64) {
		if int(at)+len(patch) <= len(b) {
			copy(b[at:], patch)
		}
		m := &pdimage.Image{Bytes: b}
		m.SealAll(pdimage.ThinSuperblock)
		p, err := open(m)
		if err != nil {
			return
		}
		d, err := p.Open(thin.Volume{ID: id, Size: 10*block + 512, Data: bytes.NewReader(content), External: image(content[:3*block])})
		if err != nil {
			return
		}
		n, err := d.ReadAt(make([]byte, d.Size()), 0)
		if (err == nil) != (int64(n) == d.Size()) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
