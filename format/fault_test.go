package format_test

import (
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

var errMedium = errors.New("medium error")

// faultyStores end in the first and in a later area, in the first and in a
// later part of one.
var faultyStores = []struct {
	sectors uint32
	n       int
}{{1, 0}, {1, 32}, {1, 3000}, {2, 700}, {128, 4096*3 + 17}, {256, 1}, {256, 8192*3 + 17}, {256, 8192 + 5000}}

// TestNthReadFails fails each read in turn. A walk either says so, having
// delivered a part of the list, or has no need of what the read was for.
func TestNthReadFails(t *testing.T) {
	for _, c := range faultyStores {
		d := makeStore(c.sectors, c.n)
		w := walkOf(t, d, c.sectors)
		w.Hidden = true
		want := walkedNaively(d, c.sectors, true)
		for i, failed := 0, true; failed; i++ {
			fault := &devicetest.NthOp{N: i, Err: errMedium}
			d.Fault = fault.Fault
			got, err := walked(t, w, true)
			failed = fault.Failed()
			if err != nil && (!failed || !errors.Is(err, errMedium)) {
				t.Fatalf("chunk %d, %d exceptions, read %d fails: %v", c.sectors, c.n, i, err)
			}
			if diff := want.differs(got); err == nil && diff != "" {
				t.Fatalf("chunk %d, %d exceptions, read %d fails in silence: %s", c.sectors, c.n, i, diff)
			}
			if n := len(got.entries); n > len(want.entries) || !slices.Equal(got.entries, want.entries[:n]) {
				t.Fatalf("chunk %d, %d exceptions, read %d fails: not the list's beginning", c.sectors, c.n, i)
			}
			if d.Active() != 0 {
				t.Fatal("a read is under way after the walk")
			}
		}
	}
}

// TestBadByte: a walk that meets a byte that cannot be read says where, and
// what it delivered is the list up to there.
func TestBadByte(t *testing.T) {
	for _, c := range faultyStores {
		d := makeStore(c.sectors, c.n)
		w := walkOf(t, d, c.sectors)
		e := w.Geometry.ExceptionsPerArea()
		for k := range format.AreaIndex(c.n/e + 2) {
			if k > 5 && int(k) < c.n/e-2 {
				continue
			}
			for _, at := range []int{0, 17, 40, e*16 - 1, e * 8, c.n % e * 16, c.n%e*16 + 16, c.n%e*16 - 1} {
				bad := int64(w.Geometry.Offset(w.Geometry.AreaLocation(k))) + int64(max(at, 0)%(e*16))
				d.Fault = devicetest.BadByte(bad, errMedium)
				for _, hidden := range []bool{false, true} {
					w.Hidden = hidden
					checkBad(t, w, d, bad)
				}
			}
		}
	}
}

func checkBad(t *testing.T, w format.Walk, d *devicetest.Memory, bad int64) {
	t.Helper()
	sectors := uint32(w.Geometry.ChunkSectors())
	want := walkedNaively(d, sectors, w.Hidden)
	if needed(w, placeOf(w.Geometry, bad), want.end.Place) {
		want = want.upTo(w, bad)
	}
	for _, device := range []io.ReaderAt{d, &atOnce{Memory: d}} {
		w.Device = device
		got, err := walked(t, w, true)
		if diff := want.differs(got); diff != "" {
			t.Fatalf("%T, chunk %d, hidden %v, byte %d, %+v cannot be read: %s",
				device, sectors, w.Hidden, bad, placeOf(w.Geometry, bad), diff)
		}
		if want.failed != nil && !errors.Is(err, errMedium) {
			t.Fatalf("the cause is lost: %v", err)
		}
	}
}

// placeOf is where the exception stands whose bytes include the one at offset.
func placeOf(g format.Geometry, offset int64) format.Place {
	chunk := format.NewChunk(format.Bytes(offset) / g.ChunkBytes())
	return format.Place{
		Area:  format.AreaIndex(uint64(chunk) / g.Stride()),
		Index: int(format.Bytes(offset)-g.Offset(chunk)) / format.ExceptionSize,
	}
}

// needed reports whether a walk has to read the exception at p. The kernel reads
// areas whole; a walk that nobody asked for hidden ones leaves out the parts of
// 64 KiB behind the terminator's, in the areas that are larger.
func needed(w format.Walk, p, terminator format.Place) bool {
	const part = 64 << 10 / format.ExceptionSize
	switch {
	case p.Area != terminator.Area:
		return p.Area < terminator.Area
	case w.Hidden:
		return true
	}
	return p.Index/part <= terminator.Index/part
}

// upTo is what remains of the reading of a whole store when a byte that is
// needed cannot be read.
func (r reading) upTo(w format.Walk, bad int64) reading {
	missing := placeOf(w.Geometry, bad)
	chunk := w.Geometry.AreaLocation(missing.Area)
	short := reading{failed: &format.AreaError{
		Area: missing.Area, Chunk: chunk, Err: errMedium,
		Offset: w.Geometry.Offset(chunk) + format.Bytes(missing.Index)*format.ExceptionSize,
	}}
	next := uint64(2)
	for _, x := range r.entries {
		if !before(format.Place{Area: format.AreaIndex(x.area), Index: x.index}, missing) {
			break
		}
		short.entries = append(short.entries, x)
		if !x.hidden {
			next = short.count(x, next, w.Geometry.Chunks(w.Size))
		}
	}
	short.end.NextFree = w.Geometry.SkipMetadata(format.NewChunk(next))
	short.end.Place = r.end.Place // of the terminator, if it was read
	if before(missing, short.end.Place) {
		short.end.Place = missing
	}
	short.failed.Read = short.end.Exceptions
	return short
}

func before(a, b format.Place) bool {
	return a.Area < b.Area || a.Area == b.Area && a.Index < b.Index
}

// TestDeliverStops: an error of deliver ends the walk at once, and no read is
// under way when it returns. Time is not real here: sleeping costs none.
func TestDeliverStops(t *testing.T) { synctest.Test(t, deliverStops) }

func deliverStops(t *testing.T) {
	stop := errors.New("enough")
	for _, sectors := range []uint32{1, 256} {
		d := makeStore(sectors, 60_000)
		d.Fault = func(devicetest.Op) (int, error) {
			time.Sleep(100 * time.Microsecond)
			return 0, nil
		}
		for _, last := range []int{0, 1, 2, 5, 9} {
			calls := 0
			var seen uint64
			end, err := format.Each(walkOf(t, d, sectors), nil, func(_ *struct{}, b format.Batch) error {
				for p := range b.Pieces() {
					seen += uint64(p.Len())
				}
				if calls == last {
					return stop
				}
				calls++
				return nil
			})
			active, reads := d.Active(), len(d.Reads())
			time.Sleep(time.Second)
			if active != 0 || len(d.Reads()) != reads {
				t.Errorf("chunk %d: reads go on after the walk", sectors)
			}
			if err != stop || calls != last || end.Exceptions != seen {
				t.Errorf("chunk %d: %v after %d calls, %d exceptions, want %d", sectors, err, calls, end.Exceptions, seen)
			}
		}
	}
}

// TestHiddenDeliverStops has the error come from a batch behind the
// terminator.
func TestHiddenDeliverStops(t *testing.T) {
	stop := errors.New("enough")
	w := walkOf(t, makeStore(256, 3), 256)
	w.Hidden = true
	calls := 0
	_, err := format.Each(w, nil, func(*struct{}, format.Batch) error {
		calls++
		if calls == 2 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestScanStops: visit is told the areas in their order, and its error ends
// the scan.
func TestScanStops(t *testing.T) {
	stop := errors.New("enough")
	var areas []format.AreaIndex
	_, err := format.Scan(walkOf(t, makeStore(1, 32*20), 1), func(k format.AreaIndex) error {
		areas = append(areas, k)
		if len(areas) == 3 {
			return stop
		}
		return nil
	})
	if want := []format.AreaIndex{0, 1, 3}; err != stop || !reflect.DeepEqual(areas, want) {
		t.Errorf("%v after areas %v, want %v: batches double", err, areas, want)
	}
}

// endless is a device whose areas are full, as many as there are.
type endless struct{ exception []byte }

func (e endless) ReadAt(p []byte, _ int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], e.exception)
	}
	return len(p), nil
}

// TestAllocation: what a walk allocates is bounded, whatever the header and
// the list ask for.
func TestAllocation(t *testing.T) {
	full := make([]byte, format.ExceptionSize)
	format.Exception{Old: 1, New: 2}.Encode(full)
	for _, c := range []struct {
		name       string
		sectors    uint32
		size       format.Bytes
		exceptions uint64
		limit      uint64 // bytes
	}{
		{"huge chunks, small device", format.MaxChunkSectors, 1 << 20, 0, 128 << 10},
		{"huge chunks, area 0 cut short", format.MaxChunkSectors, 1<<30 + 1<<24, 1 << 20, 2 << 20},
		{"small chunks", 1, 1 << 29, 1016811 / 33 * 32, 2 << 20},
	} {
		w := format.Walk{Device: endless{full}, Size: c.size, Geometry: geometry(t, c.sectors)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		end, err := format.Scan(w, func(format.AreaIndex) error { return nil })
		runtime.ReadMemStats(&after)
		if !errors.Is(err, format.ErrBeyondDevice) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.sectors > 1 && end.Exceptions != c.exceptions {
			t.Errorf("%s: %d exceptions, want %d", c.name, end.Exceptions, c.exceptions)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.limit {
			t.Errorf("%s: %d bytes allocated", c.name, got)
		}
	}
}

// TestHiddenPieces: what is hidden in a large area comes in parts of 64 KiB, the last one as long as the area goes.
func TestHiddenPieces(t *testing.T) {
	d := makeStore(512, 3) // areas of 16384 slots
	for _, size := range []format.Bytes{format.Bytes(d.Size()), 512*512 + 9000*format.ExceptionSize} {
		w := walkOf(t, d, 512)
		w.Size, w.Hidden = size, true
		var got []int
		end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
			got = append(got, b.Len())
			return nil
		})
		want := []int{4096, 4096, 4096, 4096}
		if size < format.Bytes(d.Size()) {
			want = []int{4096, 4096, 9000 - 8192}
		}
		if !slices.Equal(got, want) || end.Exceptions != 3 || errors.Is(err, format.ErrBeyondDevice) != (len(want) == 3) {
			t.Errorf("%d bytes: %v slots, %d exceptions, %v", size, got, end.Exceptions, err)
		}
	}
}

// TestAllocationsPerException: there are none, only some for each batch in
// flight.
func TestAllocationsPerException(t *testing.T) {
	full := make([]byte, format.ExceptionSize)
	format.Exception{Old: 1, New: 2}.Encode(full)
	for _, areas := range []uint64{100_000 / 32, 1_000_000 / 32} {
		w := format.Walk{Device: endless{full}, Size: format.Bytes(1+33*areas) * 512, Geometry: geometry(t, 1)}
		var sum uint64
		allocs := testing.AllocsPerRun(3, func() {
			_, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
				for p := range b.Pieces() {
					for i := range p.Len() {
						sum += uint64(p.At(i).New)
					}
				}
				return nil
			})
			if !errors.Is(err, format.ErrBeyondDevice) {
				t.Fatal(err)
			}
		})
		if allocs > 400 || sum == 0 {
			t.Errorf("%d areas: %.0f allocations", areas, allocs)
		}
	}
}
