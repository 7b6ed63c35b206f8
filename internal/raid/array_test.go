package raid_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"dmcow/internal/raid"
)

// image is an image of an array, of which some bytes cannot be read.
type image struct {
	b    []byte
	lost func(at int64) bool
}

func (m *image) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		if m.lost != nil && m.lost(at+int64(i)) {
			return i, errors.New("a bad sector")
		}
		if at+int64(i) >= int64(len(m.b)) {
			return i, io.EOF
		}
		p[i] = m.b[at+int64(i)]
	}
	return len(p), nil
}

const chunk, rows = 1024, 11

// drawn are rows of arrays as md's documentation draws them: a letter for each data chunk of the row, in order.
var drawn = map[string][]string{
	"5/0":  {"abcP", "abPc", "aPbc", "Pabc", "abcP"},
	"5/1":  {"Pabc", "aPbc", "abPc", "abcP", "Pabc"},
	"5/2":  {"abcP", "bcPa", "cPab", "Pabc", "abcP"},
	"5/3":  {"Pabc", "cPab", "bcPa", "abcP", "Pabc"},
	"5/4":  {"Pabc", "Pabc", "Pabc", "Pabc", "Pabc"},
	"5/5":  {"abcP", "abcP", "abcP", "abcP", "abcP"},
	"6/8":  {"PQabc", "aPQbc", "abPQc", "abcPQ", "QabcP", "PQabc"},
	"6/9":  {"abcPQ", "abPQc", "aPQbc", "PQabc", "QabcP", "abcPQ"},
	"6/10": {"abcQP", "bcQPa", "cQPab", "QPabc", "PabcQ", "abcQP"},
	"6/5":  {"abcPQ", "abcPQ"},
	"6/16": {"abcPQ", "abPcQ", "aPbcQ", "PabcQ", "abcPQ"},
	"6/17": {"PabcQ", "aPbcQ", "abPcQ", "abcPQ", "PabcQ"},
	"6/18": {"abcPQ", "bcPaQ", "cPabQ", "PabcQ", "abcPQ"},
	"6/19": {"PabcQ", "cPabQ", "bcPaQ", "abcPQ", "PabcQ"},
}

// times multiplies in the field, bit by bit.
func times(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		carry := a >> 7
		if a <<= 1; carry != 0 {
			a ^= 0x1d
		}
	}
	return product
}

// build makes the images of an array with that content, by the drawing.
func build(name string, level, layout int, content []byte) (images []*image) {
	pictures := drawn[name]
	if first := pictures[0]; pictures[len(pictures)-1] == first {
		pictures = pictures[:len(pictures)-1]
	}
	n := len(pictures[0])
	data := n - level + 4
	for range n {
		images = append(images, &image{b: make([]byte, rows*chunk)})
	}
	for r := range rows {
		picture := pictures[r%len(pictures)]
		p, q := bytes.IndexByte([]byte(picture), 'P'), bytes.IndexByte([]byte(picture), 'Q')
		nth := 0 // of the data chunks, from the one behind Q on
		for i := range n {
			at := (i + q + 1) % n
			if at == p || at == q {
				continue
			}
			g := byte(1)
			power := nth
			if layout >= 8 && layout <= 10 {
				power = at
			}
			for range power {
				g = times(g, 2)
			}
			nth++
			c := content[(r*data+int(picture[at]-'a'))*chunk:][:chunk]
			copy(images[at].b[r*chunk:], c)
			for j, x := range c {
				images[p].b[r*chunk+j] ^= x
				if q >= 0 {
					images[q].b[r*chunk+j] ^= times(g, x)
				}
			}
		}
	}
	return images
}

func each(t *testing.T, use func(g raid.Geometry, images []*image, content []byte)) {
	t.Helper()
	for name := range drawn {
		var g raid.Geometry
		if _, err := fmt.Sscanf(name, "%d/%d", &g.Level, &g.Layout); err != nil {
			t.Fatal(err)
		}
		g.Chunk, g.Images = chunk, len(drawn[name][0])
		if err := g.Check(); err != nil {
			t.Fatal(err)
		}
		content := make([]byte, rows*chunk*g.Data())
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		use(g, build(name, g.Level, g.Layout, content), content)
	}
}

func arrayOf(g raid.Geometry, images []*image, missing ...int) *raid.Array {
	a := &raid.Array{Geometry: g, Synced: math.MaxInt64}
	for i, m := range images {
		if again := *m; len(missing) > 0 && (missing[0] == i || missing[len(missing)-1] == i) {
			again.lost = func(int64) bool { return true }
			a.On = append(a.On, &again)
			continue
		}
		a.On = append(a.On, m)
	}
	return a
}

// TestMissing: each array is read, whole and in pieces, without any images that it can do without, and not without more.
func TestMissing(t *testing.T) {
	each(t, func(g raid.Geometry, images []*image, content []byte) {
		for one := range g.Images {
			for other := range g.Images {
				a := arrayOf(g, images, one, other)
				got := make([]byte, len(content))
				n, err := a.ReadAt(got, 0)
				if enough := one == other || g.Level == 6; !enough {
					if err == nil {
						t.Errorf("%+v is read without %d and %d", g, one, other)
					}
					if !bytes.Equal(got[:n], content[:n]) {
						t.Errorf("%+v without %d and %d: the first %d bytes are other ones", g, one, other, n)
					}
					continue
				}
				if err != nil || n != len(content) || !bytes.Equal(got, content) {
					t.Errorf("%+v without %d and %d: %d bytes, %v", g, one, other, n, err)
				}
				for at := int64(0); at < int64(len(content))-3000; at += 777 {
					if n, err := a.ReadAt(got[:3000], at); n != 3000 || err != nil || !bytes.Equal(got[:3000], content[at:][:3000]) {
						t.Errorf("%+v without %d and %d, byte %d: %d, %v", g, one, other, at, n, err)
					}
				}
			}
		}
	})
}

// TestBadSectors: sectors that cannot be read are computed, as long as no row lacks too much in one place.
func TestBadSectors(t *testing.T) {
	each(t, func(g raid.Geometry, images []*image, content []byte) {
		bad := func(i int) func(int64) bool {
			return func(at int64) bool { return at/512%int64(g.Images) == int64(i) }
		}
		for i, m := range images {
			m.lost = bad(i)
		}
		got := make([]byte, len(content))
		a := arrayOf(g, images)
		read := 0
		for at := 0; at < len(got); at += 512 {
			n, err := a.ReadAt(got[at:][:512], int64(at))
			if err != nil {
				t.Errorf("%+v, byte %d: %v", g, at, err)
			}
			read += n
		}
		if read != len(content) || !bytes.Equal(got, content) {
			t.Errorf("%+v: %d bytes", g, read)
		}
		for _, m := range images {
			m.lost = nil
		}
	})
}

// TestNotSynced: where parity is not known to fit, nothing is computed from it.
func TestNotSynced(t *testing.T) {
	each(t, func(g raid.Geometry, images []*image, content []byte) {
		for missing := range g.Images {
			a := arrayOf(g, images, missing)
			a.Synced = 3 * chunk
			row := g.Data() * chunk
			got := make([]byte, row)
			for r := range rows {
				n, err := a.ReadAt(got, int64(r*row))
				if !bytes.Equal(got[:n], content[r*row:][:n]) {
					t.Errorf("%+v without %d, row %d: other bytes", g, missing, r)
				}
				if r < 3 && err != nil {
					t.Errorf("%+v without %d, row %d: %v", g, missing, r, err)
				}
				if r >= 3 && (err == nil) != bytes.Equal(got, content[r*row:][:row]) {
					t.Errorf("%+v without %d, row %d: %v", g, missing, r, err)
				}
			}
		}
	})
}

// TestOddRAID10: near copies on a number of images that is no multiple of them go on in the next row.
func TestOddRAID10(t *testing.T) {
	g := raid.Geometry{Level: 10, Layout: 0x102, Images: 3, Chunk: chunk}
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	// aab / bcc / dde / eff
	picture := []string{"aab", "bcc", "dde", "eff"}
	content := make([]byte, 6*chunk)
	for i := range content {
		content[i] = byte(i/chunk*7 + i%251)
	}
	var images []*image
	for i := range 3 {
		m := &image{}
		for _, row := range picture {
			m.b = append(m.b, content[int(row[i]-'a')*chunk:][:chunk]...)
		}
		images = append(images, m)
	}
	for missing := -1; missing < 3; missing++ {
		got := make([]byte, len(content))
		if n, err := arrayOf(g, images, missing).ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, content) {
			t.Errorf("without %d: %d bytes, %v", missing, n, err)
		}
	}
	for i, m := range images { // each lacks something else of each chunk, several times
		m.lost = func(at int64) bool { return at%chunk/64%3 == int64(i) }
	}
	got := make([]byte, len(content))
	if n, err := arrayOf(g, images).ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, content) {
		t.Errorf("with holes: %d bytes, %v", n, err)
	}
	if _, err := arrayOf(g, images, 0, 1).ReadAt(make([]byte, chunk), 0); err == nil {
		t.Error("a chunk without copies is read")
	}
}

// TestUnknown: other geometries are refused.
func TestUnknown(t *testing.T) {
	for _, g := range []raid.Geometry{
		{}, {5, 6, 4, chunk}, {5, -1, 4, chunk}, {5, 2, 1, chunk}, {5, 2, 4, 0}, {5, 2, 4, 100}, {6, 0, 5, chunk}, {6, 20, 5, chunk}, {6, 8, 2, chunk},
		{10, 0x201, 4, chunk}, {10, 0x100, 4, chunk}, {10, 0x105, 4, chunk}, {10, 0x10102, 4, chunk}, {1, 0, 2, chunk}, {5, 2, 257, chunk},
	} {
		if g.Check() == nil {
			t.Errorf("%+v is known", g)
		}
	}
}
