package device

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"dmcow/internal/memory"
)

// TestReadManyToTheEnd: what reaches past the end of the device, or of the
// section, or is not there at all, is not read; the rest is.
func TestReadManyToTheEnd(t *testing.T) {
	path, content := numbered(t, 3000)
	d := opened(t, path)
	section, err := d.Section(100, 2000)
	if err != nil {
		t.Fatal(err)
	}
	direct := *opened(t, path)
	direct.direct = true // passes for it
	blocks, err := direct.Section(512, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d      *Device
		base   int64
		size   int
		at     []int64
		failed int // -1 for none
	}{
		{d, 0, 1000, []int64{0, 2000, 5, 5, 1000}, -1},
		{d, 0, 1000, []int64{0, 2001, 5}, 1},
		{d, 0, 1000, []int64{0, 1, 3000, 5, 2001}, 2},
		{d, 0, 1000, []int64{3001, 1, 5}, 0},
		{d, 0, 1000, []int64{7, -1, 5}, 1},
		{section, 100, 1000, []int64{1000, 0, 999, 1}, -1},
		{section, 100, 1000, []int64{1000, 0, 1001, 1}, 2},
		{&direct, 0, 512, []int64{0, 2488, 1024, 7, 512}, -1},
		{&direct, 0, 512, []int64{0, 1024, 2560, 512}, 2},
		{blocks, 512, 512, []int64{512, 0}, -1},
		{blocks, 512, 512, []int64{512, 1024, 0, -512}, 1},
	} {
		failed, err := checkThere(t, c.d, content[c.base:], c.size, c.at)
		if c.failed < 0 && err != nil || c.failed >= 0 && (failed != c.failed || !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Errorf("%v: failed %d, %v; want %d", c.at, failed, err, c.failed)
		}
	}
}

// checkThere reads pieces of a device, which holds content, and wants to have
// those that are within it.
func checkThere(t *testing.T, d *Device, content []byte, size int, at []int64) (failed int, err error) {
	t.Helper()
	p := make([][]byte, len(at))
	for i := range p {
		p[i] = memory.Aligned(size)
	}
	failed, err = d.ReadMany(p, at)
	for i, at := range at {
		if d.checkWithin(at, int64(size)) == nil && !bytes.Equal(p[i], content[at:][:size]) {
			t.Errorf("other content at %d", at)
		}
	}
	return failed, err
}

// TestWriteManyBounds: what is no whole blocks, or not within the device, keeps
// all of it from being written.
func TestWriteManyBounds(t *testing.T) {
	path, content := numbered(t, 4096)
	whole := openedWritable(t, path)
	w, err := whole.Section(1024, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte{0xff}, 512)
	for _, c := range []struct {
		at   int64
		size int
	}{{2048, 512}, {-512, 512}, {1, 512}, {0, 511}, {1 << 62, 512}} {
		failed, err := w.WriteMany([][]byte{block, block, block[:c.size], block}, []int64{0, 512, c.at, 1024})
		if err == nil || failed != 2 {
			t.Errorf("%d bytes at %d: failed %d, %v", c.size, c.at, failed, err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("written to, or %v", err)
	}
	if _, err := w.WriteMany([][]byte{block, block}, []int64{1536, 0}); err != nil {
		t.Error(err)
	}
	copy(content[1024:], block)
	copy(content[2560:], block)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("other content, or %v", err)
	}
}

// TestManyAtOnce: several use the device and its sections at the same time, each
// a part of its own, which it finds as it left it.
func TestManyAtOnce(t *testing.T) {
	const parts, size = 6, 64 << 10
	w := manyFile(t, parts*size/512)
	var wg sync.WaitGroup
	for part := range parts {
		wg.Go(func() {
			section, err := w.Section(int64(part*size), size)
			if err != nil {
				t.Error(err)
				return
			}
			random := rand.New(rand.NewPCG(uint64(part), 3))
			for range 30 {
				writeAndRead(t, section, random)
			}
		})
	}
	wg.Wait()
}

// writeAndRead writes all of w in pieces, and reads it back in others.
func writeAndRead(t *testing.T, w *Writable, random *rand.Rand) {
	content, got := memory.Aligned(int(w.Size())), memory.Aligned(int(w.Size()))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	p, at := pieces(content, 512*(1+random.IntN(8)), random)
	if failed, err := w.WriteMany(p, at); err != nil {
		t.Errorf("write: %d, %v", failed, err)
	}
	p, at = pieces(got, []int{512, 4096, 1 + random.IntN(5000)}[random.IntN(3)], random)
	if failed, err := w.ReadMany(p, at); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read: %d, %v, same is %v", failed, err, bytes.Equal(got, content))
	}
}

// pieces cuts p into pieces of at most size bytes, in any order.
func pieces(p []byte, size int, random *rand.Rand) (all [][]byte, starts []int64) {
	all = slices.Collect(slices.Chunk(p, size))
	starts = make([]int64, len(all))
	for i := range starts {
		starts[i] = int64(i * size)
	}
	random.Shuffle(len(all), func(i, j int) {
		all[i], all[j] = all[j], all[i]
		starts[i], starts[j] = starts[j], starts[i]
	})
	return all, starts
}
