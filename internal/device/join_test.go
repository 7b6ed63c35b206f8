package device

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// joint is a device joined from files, and what it holds.
type joint struct {
	w       *Writable
	content []byte
	files   []*Writable
	where   []where // of each block
}

// where a block of 512 bytes of a joined device is kept.
type where struct {
	file  int
	start int64
}

// TestJoin: what is joined from any parts of any files reads and writes as one device
// that has them in order, by all ways; and what is written lands where it should.
func TestJoin(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		j := newJoint(t, rng)
		checkReads(t, &j.w.Device, j.content)
		checkManyReads(t, &j.w.Device, j.content)
		for range 20 {
			j.change(t, rng)
		}
		checkReads(t, &j.w.Device, j.content)
		j.checkFiles(t)
		past, err := j.w.PastCache()
		if err != nil {
			t.Fatal(err)
		}
		checkReads(t, past, j.content)
		if err := past.Close(); err != nil {
			t.Error(err)
		}
		checkReads(t, &j.w.Device, j.content) // is still open
		length := rng.IntN(len(j.content)/512) * 512
		at := rng.IntN((len(j.content)-length)/512+1) * 512
		section, err := j.w.Section(int64(at), int64(length))
		if err != nil {
			t.Fatal(err)
		}
		checkReads(t, &section.Device, j.content[at:][:length])
		checkManyReads(t, &section.Device, j.content[at:][:length])
	}
}

// newJoint joins one to four parts of up to three files; some are sections, and some
// pass for being written directly.
func newJoint(t *testing.T, rng *rand.Rand) *joint {
	t.Helper()
	j := &joint{}
	const blocks = 300
	for range 1 + rng.IntN(3) {
		path, _ := numbered(t, blocks*512)
		w := openedWritable(t, path)
		w.direct = rng.IntN(2) == 0
		j.files = append(j.files, w)
	}
	next := make([]int64, len(j.files)) // free in each, in blocks
	var parts []Part
	for range 1 + rng.IntN(4) {
		stripes, rows, chunk := 1+rng.IntN(3), 1+rng.IntN(4), int64(1+rng.IntN(5))
		if stripes == 1 {
			rows = 1
		}
		p := Part{Length: int64(stripes*rows) * chunk * 512, Chunk: chunk * 512}
		var at []where
		for range stripes {
			f := rng.IntN(len(j.files))
			next[f] += int64(rng.IntN(3))
			at = append(at, where{f, next[f] * 512})
			section, err := j.files[f].Section(512, blocks*512-512)
			if err != nil {
				t.Fatal(err)
			}
			p.Stripes = append(p.Stripes, Stripe{On: &section.Device, Start: next[f]*512 - 512})
			if next[f] == 0 {
				p.Stripes[len(p.Stripes)-1] = Stripe{On: &j.files[f].Device}
			}
			next[f] += int64(rows) * chunk
		}
		for row := range int64(rows) {
			for _, s := range at {
				for b := range chunk {
					j.where = append(j.where, where{s.file, s.start + (row*chunk+b)*512})
				}
			}
		}
		parts = append(parts, p)
	}
	var err error
	if j.w, err = JoinWritable("joined", parts); err != nil {
		t.Fatal(err)
	}
	for _, at := range j.where {
		content, err := os.ReadFile(j.files[at.file].Path())
		if err != nil {
			t.Fatal(err)
		}
		j.content = append(j.content, content[at.start:][:512]...)
	}
	if int(j.w.Size()) != len(j.content) || j.w.LogicalBlockSize() != 512 {
		t.Fatalf("%d bytes in blocks of %d, want %d", j.w.Size(), j.w.LogicalBlockSize(), len(j.content))
	}
	return j
}

// change writes something somewhere, in one of the ways that there are.
func (j *joint) change(t *testing.T, rng *rand.Rand) {
	t.Helper()
	blocks := len(j.content) / 512
	n := 1 + rng.IntN(blocks)
	at := int64(rng.IntN(blocks-n+1)) * 512
	p := j.content[at:][:n*512]
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	var err error
	switch rng.IntN(4) {
	case 0:
		_, err = j.w.WriteAt(p, at)
	case 1:
		err = j.w.WriteDurable(p, at)
	case 2:
		clear(p)
		err = j.w.PunchHole(at, int64(len(p)))
	case 3:
		half := n / 2 * 512
		_, err = j.w.WriteMany([][]byte{p[half:], p[:half]}, []int64{at + int64(half), at})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.w.Sync(); err != nil {
		t.Fatal(err)
	}
}

// checkFiles wants every block where it is kept.
func (j *joint) checkFiles(t *testing.T) {
	t.Helper()
	for i, at := range j.where {
		got := make([]byte, 512)
		if _, err := j.files[at.file].ReadAt(got, at.start); err != nil || !bytes.Equal(got, j.content[i*512:][:512]) {
			t.Fatalf("block %d is not at byte %d of file %d: %v", i, at.start, at.file, err)
		}
	}
}

// twoFiles are joined, a block of each in turn.
func twoFiles(t *testing.T) (w *Writable, files []*Writable) {
	t.Helper()
	p := Part{Length: 8 * 512, Chunk: 512}
	for range 2 {
		path, _ := numbered(t, 4*512)
		files = append(files, openedWritable(t, path))
		p.Stripes = append(p.Stripes, Stripe{On: &files[len(files)-1].Device})
	}
	w, err := JoinWritable("joined", []Part{p})
	if err != nil {
		t.Fatal(err)
	}
	return w, files
}

// TestJoinedOrder: a durable write to one of several media comes when what was written
// to all of them is durable; a sync that failed on one fails for ever.
func TestJoinedOrder(t *testing.T) {
	w, files := twoFiles(t)
	var log []string
	for i, f := range files {
		f.order.fdatasync = func(int) error {
			log = append(log, fmt.Sprint("sync ", i))
			return nil
		}
		f.order.pwritev2 = func(_ int, iovs [][]byte, offset int64, _ int) (int, error) {
			log = append(log, fmt.Sprint("durable ", i, " ", offset))
			return len(iovs[0]), nil
		}
	}
	for m := range w.media() {
		m.direct = true
	}
	if err := w.WriteDurable(make([]byte, 1024), 512); err != nil {
		t.Fatal(err)
	}
	want := []string{"sync 0", "sync 1", "sync 1", "durable 1 0", "sync 0", "durable 0 512"}
	if !slices.Equal(log, want) {
		t.Errorf("%q, want %q", log, want)
	}
	files[1].order.fdatasync = func(int) error { return unix.EIO }
	if err := w.Sync(); !errors.Is(err, unix.EIO) {
		t.Errorf("sync: %v", err)
	}
	files[1].order.fdatasync = unix.Fdatasync
	if err := w.WriteDurable(make([]byte, 512), 0); !errors.Is(err, unix.EIO) {
		t.Errorf("a durable write to the other: %v", err)
	}
}

// TestJoinGone: where a medium is missing, the rest is read, one by one and many at once;
// nothing is written.
func TestJoinGone(t *testing.T) {
	path, content := numbered(t, 4*512)
	w := openedWritable(t, path)
	gone := errors.New("is missing")
	parts := []Part{
		{Length: 1024, Stripes: []Stripe{{On: &w.Device}}},
		{Length: 1024, Stripes: []Stripe{{Gone: gone}}},
		{Length: 1024, Stripes: []Stripe{{On: &w.Device, Start: 1024}}},
	}
	d, err := Join("joined", parts)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3072)
	if n, err := d.ReadAt(p, 0); n != 1024 || err != gone || !bytes.Equal(p[:n], content[:1024]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	many := [][]byte{p[:1024], p[1024:1536], p[2048:]}
	if failed, err := d.ReadMany(many, []int64{0, 1024, 2048}); failed != 1 || err != gone ||
		!bytes.Equal(p[:1024], content[:1024]) || !bytes.Equal(p[2048:], content[1024:]) {
		t.Errorf("failed %d, %v", failed, err)
	}
	if _, err := JoinWritable("joined", parts); err != gone {
		t.Errorf("to write: %v", err)
	}
	if d.Overlaps(all(t, parts[1:2])) || !d.Overlaps(all(t, parts[:1])) {
		t.Error("what is missing overlaps, or what is there does not")
	}
	if past, err := d.PastCache(); err != nil || past.Close() != nil {
		t.Error(err)
	}
	d.Cached()
	d.Prefetch(0, 3072)
	none := all(t, parts[1:2])
	if start, end, err := none.NextData(0); start != 0 || end != 1024 || err != nil {
		t.Errorf("data from %d to %d, %v", start, end, err)
	}
	if _, _, ok := none.Stretch(); ok {
		t.Error("what is gone is a stretch of a file")
	}
	none.Cached()
}

// all joins parts.
func all(t *testing.T, parts []Part) *Device {
	t.Helper()
	d, err := Join("joined", parts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestJoinRefuses parts that are none, and what cannot be written.
func TestJoinRefuses(t *testing.T) {
	path, _ := numbered(t, 2048)
	w := openedWritable(t, path)
	other, _ := numbered(t, 2048)
	reading := opened(t, other)
	for _, c := range []struct {
		part Part
		ok   bool
	}{
		{Part{Length: 2048, Stripes: []Stripe{{On: &w.Device}}}, true},
		{Part{Length: 2048, Stripes: []Stripe{{On: &w.Device, Start: 512}}}, false},
		{Part{Length: 1024, Stripes: []Stripe{{On: &w.Device, Start: -512}}}, false},
		{Part{Length: 0, Stripes: []Stripe{{On: &w.Device}}}, false},
		{Part{Length: 512}, false},
		{Part{Length: 1024, Stripes: []Stripe{{On: &w.Device}, {On: &w.Device, Start: 1024}}}, false}, // no chunk
		{Part{Length: 1024, Chunk: 512, Stripes: []Stripe{{On: &w.Device}, {On: &w.Device, Start: 1536}}}, true},
		{Part{Length: 1024, Chunk: 512, Stripes: []Stripe{{On: &w.Device}, {On: &w.Device, Start: 1600}}}, false},
		{Part{Length: 1024, Stripes: []Stripe{{On: &w.Device, Start: 100}}}, false},
		{Part{Length: 1000, Stripes: []Stripe{{On: &w.Device}}}, false},
		{Part{Length: 1024, Stripes: []Stripe{{On: reading}}}, false},
	} {
		if _, err := JoinWritable("joined", []Part{c.part}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.part, err)
		}
	}
}

// TestJoinedOverlaps: joined devices overlap where they share bytes.
func TestJoinedOverlaps(t *testing.T) {
	path, _ := numbered(t, 4096)
	d := opened(t, path)
	part := func(start, length int64) *Device {
		j, err := Join("joined", []Part{{Length: length, Stripes: []Stripe{{On: d, Start: start}}}})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	for _, c := range []struct {
		a, b *Device
		want bool
	}{
		{part(0, 1024), part(1024, 512), false}, {part(0, 1024), part(1023, 512), true},
		{part(0, 1024), d, true}, {part(0, 1024), Nothing(), false},
	} {
		if c.a.Overlaps(c.b) != c.want || c.b.Overlaps(c.a) != c.want {
			t.Errorf("bytes %d on, and %d on: expected %v", c.a.base, c.b.base, c.want)
		}
	}
}

// TestJoinBlocks: of media with blocks of several sizes, the largest counts.
func TestJoinBlocks(t *testing.T) {
	path, _ := numbered(t, 16384)
	small := openedWritable(t, path)
	other, _ := numbered(t, 16384)
	large := openedWritable(t, other)
	large.block = 4096
	parts := func(first int64) []Part {
		return []Part{{Length: first, Stripes: []Stripe{{On: &small.Device}}}, {Length: 8192, Stripes: []Stripe{{On: &large.Device, Start: 4096}}}}
	}
	if _, err := JoinWritable("joined", parts(512)); err == nil {
		t.Error("a part that does not begin with a block was joined")
	}
	w, err := JoinWritable("joined", parts(4096))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.LogicalBlockSize(); got != 4096 {
		t.Errorf("blocks of %d bytes", got)
	}
	if _, err := w.WriteAt(make([]byte, 512), 0); err == nil {
		t.Error("a part of a block was written")
	}
	if _, err := w.WriteAt(make([]byte, 8192), 0); err != nil {
		t.Error(err)
	}
	if section, err := w.Section(512, 4096); err == nil {
		t.Errorf("a section from the middle of a block on: %d bytes", section.Size())
	}
}
