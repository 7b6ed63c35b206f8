package marks_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/marks"
	"dmcow/internal/mirrorlog"
	"dmcow/internal/naive"
	"dmcow/internal/raidmeta"
	"dmcow/internal/storespec"
	"dmcow/store/merge"
)

// An origin of 20 regions, which is kept twice.
const (
	region  = 2048
	regions = 20
	size    = region * regions
	logSize = 8192
	chunk   = 1024
)

// kind is what keeps an origin twice.
type kind struct {
	logs   int
	record func() marks.Record
	log    func(i int) []byte
	// marked reports of each region whether the log says that the copies may differ there, so that the kernel acts on it.
	marked func(t *testing.T, log *devicetest.Part) []bool
}

var kinds = map[string]kind{
	"raid": {2, func() marks.Record { return marks.Record{BitsAt: 4096 + 256, Mark: raidmeta.Mark} }, bitmapOf, markedByRAID},
	"mirror": {1, func() marks.Record { return marks.Record{BitsAt: mirrorlog.BitsAt, InSync: true, Mark: mirrorlog.Mark} }, func(int) []byte {
		b := make([]byte, logSize)
		binary.LittleEndian.PutUint64(b, 2<<32|0x4d695272)
		b[8] = regions
		copy(b[1024:], []byte{0xff, 0xff, 0x0f})
		return b
	}, markedByMirror},
}

func bitmapOf(i int) []byte {
	b, le := make([]byte, logSize), binary.LittleEndian
	copy(b, "DmRd")
	le.PutUint32(b[8:], 2)
	le.PutUint32(b[12:], uint32(i))
	le.PutUint64(b[32:], raidmeta.End)
	le.PutUint64(b[40:], raidmeta.End)
	le.PutUint32(b[48:], 1)
	copy(b[4096:], "bitm")
	le.PutUint64(b[4096+40:], size/512)
	le.PutUint32(b[4096+52:], region)
	copy(b[4096+256:], []byte{0, 0, 0xf0, 0xff}) // as the kernel leaves what is behind the last region
	return b
}

func markedByRAID(t *testing.T, log *devicetest.Part) []bool {
	t.Helper()
	s, err := raidmeta.Read(log)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]bool, regions)
	if s.Synced == raidmeta.End { // then the kernel does not look at the bits
		return all
	}
	if s.Synced != 0 || !s.Marked {
		t.Errorf("%+v", s)
	}
	b := log.Image()[4096+256:]
	for i := range all {
		all[i] = b[i/8]>>(i%8)&1 != 0
	}
	return all
}

func markedByMirror(t *testing.T, log *devicetest.Part) (all []bool) {
	t.Helper()
	runs, err := mirrorlog.Read(log, regions)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		all = append(all, slices.Repeat([]bool{!r.InSync}, int(r.Regions))...)
	}
	return all
}

// twice is an origin that is kept in two copies, with its record and a store.
type twice struct {
	kind
	all    *devicetest.Memory
	copies [2]*devicetest.Part
	logs   []*devicetest.Part
	cow    *devicetest.Part
}

func (w *twice) in(all *devicetest.Memory) *twice {
	n := &twice{kind: w.kind, all: all}
	at := int64(0)
	part := func(size int64) *devicetest.Part { at += size; return all.Part(at-size, size) }
	n.copies = [2]*devicetest.Part{part(size), part(size)}
	for range w.kind.logs {
		n.logs = append(n.logs, part(logSize))
	}
	n.cow = part(all.Size() - at)
	return n
}

func newTwice(t *testing.T, k kind) *twice {
	t.Helper()
	cow := storespec.MustCompile(t, "device 400\nheader chunk=2\nfill 14 3\ndata 9\n")
	origin := devicetest.Numbered(size)
	image := slices.Concat(origin, origin)
	for i := range k.logs {
		image = append(image, k.log(i)...)
	}
	return (&twice{kind: k}).in(devicetest.Of(append(image, cow...)))
}

func (w *twice) ReadAt(p []byte, at int64) (int, error) { return w.copies[0].ReadAt(p, at) }
func (w *twice) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	return w.copies[0].ReadMany(p, at)
}
func (w *twice) Size() int64             { return size }
func (w *twice) LogicalBlockSize() int64 { return 512 }
func (w *twice) Sync() error             { return errors.Join(w.copies[0].Sync(), w.copies[1].Sync()) }

func (w *twice) WriteMany(p [][]byte, at []int64) (failed int, err error) {
	if failed, err = w.copies[0].WriteMany(p, at); err == nil {
		failed, err = w.copies[1].WriteMany(p, at)
	}
	return failed, err
}

func (w *twice) marks() marks.Marks {
	r := w.kind.record()
	r.Length, r.Region = size, region
	for i, log := range w.logs {
		r.Logs = append(r.Logs, &marks.Log{Name: fmt.Sprint("log ", i), On: log})
	}
	return marks.Marks{&r}
}

// merge merges the store as a command does: between marks.
func (w *twice) merge(t *testing.T) error {
	t.Helper()
	m, err := merge.Open(w.cow, w, merge.Opening{})
	if err != nil {
		return err
	}
	marks := w.marks()
	err = marks.Begin(func(use func(offset, length int64)) error {
		for _, x := range naive.Of(w.cow.Image()).List() {
			use(int64(x.Old)*chunk, chunk)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := m.Run(merge.Options{Memory: format.Bytes(merge.MinMemory)}); err != nil {
		return err
	}
	return marks.End()
}

// view is what the snapshot shows, over a copy of the origin.
func (w *twice) view(t *testing.T, n int) []byte {
	t.Helper()
	b, err := naive.Of(w.cow.Image()).View(w.copies[n].Image())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// differ reports of each region whether the copies differ there.
func (w *twice) differ() (all []bool) {
	a, b := w.copies[0].Image(), w.copies[1].Image()
	for at := 0; at < size; at += region {
		all = append(all, !bytes.Equal(a[at:][:region], b[at:][:region]))
	}
	return all
}

// TestCrash: after a power cut at any point of a merge, each log says of all regions in which the copies
// differ that they may; the snapshot is what it was, over either copy; and the merge run again ends with
// equal copies. One that comes to its end leaves the logs as they were.
func TestCrash(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			w := newTwice(t, k)
			want := w.view(t, 0)
			record := w.all.Record()
			if err := w.merge(t); err != nil {
				t.Fatal(err)
			}
			for i, log := range w.logs {
				if !log.Holds(k.log(i)) {
					t.Errorf("log %d is not what it was", i)
				}
			}
			apart, marked := 0, 0
			for c := range record.Crashes(6, rand.New(rand.NewPCG(1, 2))) {
				now := w.in(c.Device())
				for _, log := range now.logs {
					may := k.marked(t, log)
					for i, differ := range now.differ() {
						if differ && !may[i] {
							t.Fatalf("%v: region %d differs, and is not marked", c, i)
						}
						apart += map[bool]int{true: 1}[differ]
						marked += map[bool]int{true: 1}[may[i]]
					}
				}
				if name == "raid" {
					now.checkNoneAway(t, c)
				}
				if !bytes.Equal(now.view(t, 0), want) {
					t.Fatalf("%v: the snapshot is not what it was", c)
				}
				if c.Events%5 > 0 {
					continue
				}
				if err := now.merge(t); err != nil || !bytes.Equal(now.copies[0].Image(), want) || !bytes.Equal(now.copies[1].Image(), want) {
					t.Fatalf("%v: %v: run again, the copies are not what the snapshot showed", c, err)
				}
			}
			if apart == 0 || marked == 0 || marked == regions*record.Len() {
				t.Errorf("%d regions differ, %d are marked", apart, marked)
			}
		})
	}
}

// checkNoneAway wants no image to be taken for one that was away, where the logs are marked in part.
func (w *twice) checkNoneAway(t *testing.T, c devicetest.Crash) {
	t.Helper()
	var supers []*raidmeta.Superblock
	var bitmaps []*raidmeta.Bitmap
	for _, log := range w.logs {
		s, err := raidmeta.Read(log)
		b, berr := raidmeta.ReadBitmap(log, logSize)
		if err != nil || berr != nil {
			t.Fatal(err, berr)
		}
		supers, bitmaps = append(supers, s), append(bitmaps, b)
	}
	v, err := raidmeta.Judge(supers, make([]error, len(supers)), bitmaps, func(with []bool) bool { return slices.Contains(with, true) })
	for i, image := range v.Images {
		if err != nil || image.Out != nil {
			t.Fatalf("%v: %v, image %d: %v", c, err, i, image.Out)
		}
	}
}

// TestMarks: the regions of what is written are marked, and no others; what was marked stays so.
func TestMarks(t *testing.T) {
	for name, k := range kinds {
		for _, c := range []struct {
			start   int64
			all     bool
			written [][2]int64
			want    []int
		}{
			{0, false, [][2]int64{{0, 1}, {region - 1, 2}, {5 * region, region}}, []int{0, 1, 5}},
			{region * 3, false, [][2]int64{{0, region * 3}, {region*3 - 1, 2}, {region * 22, region * 9}}, []int{0, 19}},
			{0, false, [][2]int64{{-5, 4}, {size, 100}}, nil},
			{region, true, [][2]int64{{0, 1}}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
		} {
			w := newTwice(t, k)
			for again := range 2 { // the second time it is cut off
				m := w.marks()
				m[0].Start, m[0].All = c.start, c.all
				err := m.Begin(func(use func(offset, length int64)) error {
					for _, x := range c.written {
						use(x[0], x[1])
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, log := range w.logs {
					for i, marked := range k.marked(t, log) {
						if marked != slices.Contains(c.want, i) {
							t.Errorf("%s, %v: region %d is marked: %v", name, c.written, i, marked)
						}
					}
				}
				if again > 0 {
					break
				}
				if err := m.End(); err != nil || !w.logs[0].Holds(k.log(0)) {
					t.Errorf("%s, %v: %v, is not what it was", name, c.written, err)
				}
			}
			before := w.logs[0].Image()
			m := w.marks()
			if err := m.Begin(func(use func(offset, length int64)) error { use(region*9, region*2); return nil }); err != nil {
				t.Fatal(err)
			}
			if err := m.End(); err != nil || !w.logs[0].Holds(before) {
				t.Errorf("%s, %v: %v, what was marked before is no more", name, c.written, err)
			}
		}
	}
}

// TestFails: where a log cannot be read, written, or made durable, the error names it; and what cannot be marked is
// not written.
func TestFails(t *testing.T) {
	bad := errors.New("bad")
	for name, k := range kinds {
		for n := 0; ; n++ {
			w := newTwice(t, k)
			count := 0
			w.all.Fault = func(op devicetest.Op) (int, error) {
				if op.Kind == devicetest.Sync || op.Offset < size*2 || op.Offset >= size*2+int64(k.logs)*logSize {
					return 0, nil
				}
				if count++; count == n+1 {
					return 0, bad
				}
				return 0, nil
			}
			err := w.merge(t)
			if count <= n {
				break
			}
			if !errors.Is(err, bad) || !bytes.Contains([]byte(err.Error()), []byte("log ")) {
				t.Errorf("%s, %d: %v", name, n, err)
			}
			if written := !w.copies[0].Holds(devicetest.Numbered(size)); written != (err != nil && len(naive.Of(w.cow.Image()).List()) == 0) {
				t.Errorf("%s, %d: %v, and is written: %v", name, n, err, written)
			}
		}
	}
	w := newTwice(t, kinds["raid"])
	if err := w.marks().Begin(func(func(int64, int64)) error { return bad }); !errors.Is(err, bad) || !w.logs[0].Holds(bitmapOf(0)) {
		t.Errorf("%v, or is marked", err)
	}
}
