package format_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// chunkSizes are such that areas are far smaller than a batch of 64 KiB, just
// that size, and larger.
var chunkSizes = []uint32{1, 2, 8, 128, 256}

// listLengths lie around the ends of areas and of batches.
func listLengths(e int) []int {
	batch := 4096
	return []int{0, 1, e - 1, e, e + 1, 2 * e, 3 * e, 3*e + 3, batch - 1, batch, batch + 1, 5*batch + e/2}
}

func TestWalk(t *testing.T) {
	for _, sectors := range chunkSizes {
		e := int(sectors) * 32
		for _, n := range listLengths(e) {
			d := makeStore(sectors, n)
			checkWalk(t, fmt.Sprintf("chunk %d, %d exceptions", sectors, n), d, sectors)
		}
	}
}

// TestWalkShort has every length of a list: the scan takes several exceptions
// at a time.
func TestWalkShort(t *testing.T) {
	for n := range 140 {
		checkWalk(t, fmt.Sprint(n), makeStore(1, n), 1)
		checkWalk(t, fmt.Sprint(n), makeStore(2, n), 2)
	}
}

// TestWalkLong has the window of batches wide open.
func TestWalkLong(t *testing.T) {
	for _, n := range []int{100_000, 100_000 / 32 * 32} {
		checkWalk(t, fmt.Sprint(n), makeStore(1, n), 1)
	}
	checkWalk(t, "large chunks", makeStore(256, 100_000), 256)
}

// TestWalkCut has devices that end before the terminator's area does: before
// the area, in it, and inside an exception of it.
func TestWalkCut(t *testing.T) {
	for _, sectors := range chunkSizes {
		e := int64(sectors) * 32
		lengths := []int64{0, 3, e, 2*e + e/2}
		if testing.Short() && sectors > 64 {
			lengths = []int64{3, e}
		}
		for _, n := range lengths {
			d := makeStore(sectors, int(n))
			for k := range n/e + 2 {
				for _, slot := range []int64{0, 3, 4, e / 2, e/2 + e/4, e - 1, e} {
					for _, more := range []int64{0, 9} {
						d.Resize((1+k*(e+1))*e*16 + slot*16 + more)
						name := fmt.Sprintf("chunk %d, %d exceptions, %d bytes", sectors, n, d.Size())
						checkWalk(t, name, d, sectors)
					}
				}
			}
		}
	}
	for _, size := range []int64{0, 1, 511, 512, 513} {
		checkWalk(t, fmt.Sprintf("%d bytes", size), devicetest.New(size), 1)
	}
}

// TestAreaError has one worked out by hand: with chunks of one sector, area 1
// is chunk 34.
func TestAreaError(t *testing.T) {
	d := makeStore(1, 40)
	d.Resize(34*512 + 3*16 + 9)
	_, err := walked(t, walkOf(t, d, 1), false)
	want := "area 1 at chunk 34, byte 17456: the list leads past the end of the device; 35 exceptions were read before it"
	if !errors.Is(err, format.ErrBeyondDevice) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func walkOf(t testing.TB, d *devicetest.Memory, sectors uint32) format.Walk {
	t.Helper()
	return format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: geometry(t, sectors)}
}

// TestShrunkMeanwhile: the device is smaller than it was when the walk began.
func TestShrunkMeanwhile(t *testing.T) {
	d := makeStore(1, 40)
	w := walkOf(t, d, 1)
	d.Resize(34*512 + 3*16 + 9)
	got, err := walked(t, w, false)
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.end.Exceptions != 35 {
		t.Errorf("%v, %d exceptions", err, got.end.Exceptions)
	}
}

// TestReadsMetadataOnly: what a walk reads, or has read ahead, is areas and
// nothing else, the header neither. Time is not real here: sleeping costs none.
func TestReadsMetadataOnly(t *testing.T) { synctest.Test(t, readsMetadataOnly) }

func readsMetadataOnly(t *testing.T) {
	for _, sectors := range chunkSizes {
		e := int(sectors) * 32
		for _, n := range listLengths(e) {
			d := &prefetched{Memory: makeStore(sectors, n)}
			d.Fault = func(devicetest.Op) (int, error) { // slow, so that prefetching begins
				time.Sleep(50 * time.Microsecond)
				return 0, nil
			}
			w := walkOf(t, d.Memory, sectors)
			w.Device, w.Hidden = d, true
			if _, err := walked(t, w, true); err != nil {
				t.Fatal(err)
			}
			for _, r := range append(d.Reads(), d.ahead.Reads()...) {
				chunk := int64(sectors) * 512
				first, last := r.Offset/chunk, (r.Offset+int64(r.Length)-1)/chunk
				if r.Length == 0 || first != last || first%int64(e+1) != 1 || r.Length > 64<<10 {
					t.Fatalf("chunk %d, %d exceptions: read of %d bytes at %d, chunks %d to %d",
						sectors, n, r.Length, r.Offset, first, last)
				}
			}
			if slow := 5 * 4096; n > slow && len(d.ahead.Reads()) == 0 {
				t.Errorf("chunk %d, %d exceptions: nothing was read ahead of slow reads", sectors, n)
			}
		}
	}
}

// prefetched records what it was asked to prefetch.
type prefetched struct {
	*devicetest.Memory
	ahead devicetest.Memory // its record is all that is used
}

func (p *prefetched) Prefetch(offset int64, length int) {
	_, _ = p.ahead.ReadAt(make([]byte, length), offset)
}

// atOnce is a device that many pieces are read from at once.
type atOnce struct {
	*devicetest.Memory
	calls atomic.Int64
}

func (d *atOnce) ReadsMany() bool { return true }

func (d *atOnce) ReadMany(p [][]byte, at []int64) (failed int, err error) {
	d.calls.Add(1)
	for i := range slices.Backward(p) { // in no order
		if _, e := d.ReadAt(p[i], at[i]); e != nil {
			failed, err = i, e
		}
	}
	return failed, err
}

// TestReadsManyAtOnce: where the device can do that, areas are read at once, and the
// list is the same; a list that is being written is read in order all the same.
func TestReadsManyAtOnce(t *testing.T) {
	for _, sectors := range chunkSizes {
		for _, n := range []int{0, 40, 5000, 100_000} {
			for _, live := range []bool{false, true} {
				d := &atOnce{Memory: makeStore(sectors, n)}
				want := walkedNaively(d.Memory, sectors, false)
				w := walkOf(t, d.Memory, sectors)
				w.Device, w.Live = d, live
				got, err := walked(t, w, true)
				if diff := want.differs(got); err != nil || diff != "" {
					t.Errorf("chunk %d, %d exceptions: %s, %v", sectors, n, diff, err)
				}
				if (d.calls.Load() == 0) != live {
					t.Errorf("chunk %d, %d exceptions, being written is %v: read %d times at once", sectors, n, live, d.calls.Load())
				}
			}
		}
	}
}

// TestSmallStore: a store that has not filled area 0 costs one read of it.
func TestSmallStore(t *testing.T) {
	for _, sectors := range []uint32{1, 2, 8, 128} {
		e := int64(sectors) * 32
		for _, n := range []int64{0, 1, e - 1} {
			for _, hidden := range []bool{false, true} {
				d := makeStore(sectors, int(n))
				w := walkOf(t, d, sectors)
				w.Hidden = hidden
				if _, err := walked(t, w, true); err != nil {
					t.Fatal(err)
				}
				want := devicetest.Range{Offset: e * 16, Length: int(e * 16)}
				if got := d.Reads(); len(got) != 1 || got[0] != want {
					t.Errorf("chunk %d, %d exceptions: reads %v", sectors, n, got)
				}
			}
		}
	}
}
