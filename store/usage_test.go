package store_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store/look"
)

// kernel is a store in the kernel's memory, as far as room goes. It counts
// chunks one by one, and shares no code with the package.
type kernel struct {
	e, chunks       uint64 // exceptions in an area; whole chunks on the device
	next            uint64 // free chunk
	area, committed uint64
	lost            bool
}

// load is persistent_read_metadata: every area of the list must be there.
func load(e, chunks uint64, list []uint64) (k kernel, ok bool) {
	k = kernel{e: e, chunks: chunks, next: 2}
	for _, chunk := range list {
		k.next = max(k.next, chunk+1)
		k.committed++
		if k.committed == e {
			k.area, k.committed = k.area+1, 0
		}
	}
	k.skip()
	return k, 1+k.area*(e+1) < chunks
}

func (k *kernel) skip() {
	if k.next%(k.e+1) == 1 {
		k.next++
	}
}

// add is persistent_prepare_exception and persistent_commit_exception.
func (k *kernel) add() bool {
	if k.chunks < k.next+1 {
		return false
	}
	k.next++
	k.skip()
	k.committed++
	if k.committed == k.e {
		k.area, k.committed = k.area+1, 0
		k.lost = 1+k.area*(k.e+1) >= k.chunks // cannot be cleared
	}
	return !k.lost
}

// room is how often add goes well.
func (k kernel) room() (n uint64) {
	for k.add() {
		n++
	}
	return n
}

func geometry(t testing.TB, sectors uint32) format.Geometry {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// usage is the usage of a store with a list of new chunks.
func usage(g format.Geometry, chunks uint64, list []uint64) look.Usage {
	e := uint64(g.ExceptionsPerArea())
	k, _ := load(e, chunks, list)
	u := look.Usage{Geometry: g, Size: format.Bytes(chunks)*g.ChunkBytes() + g.ChunkBytes()/2}
	u.End = format.End{Exceptions: uint64(len(list)), NextFree: format.NewChunk(k.next)}
	u.End.Place = format.Place{Area: format.AreaIndex(k.area), Index: int(k.committed)}
	for _, chunk := range list {
		u.End.Highest = max(u.End.Highest, format.NewChunk(chunk))
	}
	return u
}

// lists are such as a kernel makes: chunks in their order, with holes here and
// there, or shuffled.
func lists(e uint64) [][]uint64 {
	var all [][]uint64
	random := rand.New(rand.NewPCG(1, e))
	for _, n := range []uint64{0, 1, e - 2, e - 1, e, e + 1, 2*e - 1, 2 * e, 3*e + 5} {
		for _, holes := range []uint64{0, 1, 2, e / 2, e, 3 * e} {
			var list []uint64
			next := uint64(2)
			for left := n; left > 0; next++ {
				if next%(e+1) == 1 {
					continue
				}
				if random.Uint64N(left+holes) < holes {
					holes--
					continue
				}
				list, left = append(list, next), left-1
			}
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			all = append(all, list)
		}
	}
	return all
}

// TestUsage compares with the kernel on devices of every size around the
// list's, full ones and those whose last data chunk is of no use among them.
func TestUsage(t *testing.T) {
	for _, sectors := range []uint32{1, 2} {
		g := geometry(t, sectors)
		e := uint64(g.ExceptionsPerArea())
		for _, list := range lists(e) {
			minimum := uint64(0)
			for chunks := uint64(2); chunks < 8*(e+1); chunks++ {
				k, loads := load(e, chunks, list)
				u := usage(g, chunks, list)
				if !loads {
					if u.Free() != 0 {
						t.Fatalf("e %d, %d exceptions on %d chunks: %d free where the kernel refuses", e, len(list), chunks, u.Free())
					}
					continue
				}
				if minimum == 0 && served(list, chunks) {
					minimum = chunks
				}
				if got, want := u.Free(), k.room(); got != want {
					t.Fatalf("e %d, %d exceptions on %d chunks, next %d: %d free, want %d", e, len(list), chunks, k.next, got, want)
				}
				checkLeaked(t, u, e, list)
			}
			if size, ok := usage(g, minimum, list).Minimum(); !ok || uint64(size) != minimum*uint64(sectors) {
				t.Fatalf("e %d, %d exceptions: minimum %d sectors, %v, want %d chunks", e, len(list), size, ok, minimum)
			}
		}
	}
}

// served reports whether all data lies on the device.
func served(list []uint64, chunks uint64) bool {
	for _, chunk := range list {
		if chunk >= chunks {
			return false
		}
	}
	return true
}

func checkLeaked(t *testing.T, u look.Usage, e uint64, list []uint64) {
	t.Helper()
	named := map[uint64]bool{}
	for _, chunk := range list {
		named[chunk] = true
	}
	want := uint64(0)
	for c := uint64(2); c < min(uint64(u.End.NextFree), u.Chunks()); c++ {
		if c%(e+1) != 1 && !named[c] {
			want++
		}
	}
	if got := u.Leaked(); got != want && served(list, u.Chunks()) {
		t.Fatalf("e %d, %d exceptions on %d chunks: %d leaked, want %d", e, len(list), u.Chunks(), got, want)
	}
}

// TestFreeOfDuplicates: exceptions that share chunks fill areas faster than
// data chunks, so that the list may lead past a device with free ones.
func TestFreeOfDuplicates(t *testing.T) {
	g := geometry(t, 1)
	for n := range 100 {
		list := make([]uint64, n)
		for i := range list {
			list[i] = 2 + uint64(i%7)
		}
		for chunks := uint64(2); chunks < 150; chunks++ {
			want := uint64(0)
			if k, loads := load(32, chunks, list); loads {
				want = k.room()
			}
			if got := usage(g, chunks, list).Free(); got != want {
				t.Fatalf("%d exceptions on %d chunks: %d free, want %d", n, chunks, got, want)
			}
		}
	}
}

// TestStrideFull: on N = k*S + 1 chunks the last data chunk is of no use.
func TestStrideFull(t *testing.T) {
	for _, sectors := range []uint32{1, 8, 32} {
		g := geometry(t, sectors)
		for k := uint64(1); k < 4; k++ {
			chunks := k*g.Stride() + 1
			u := look.FreshUsage(g, format.Bytes(chunks)*g.ChunkBytes())
			if got, want := u.Free(), k*(g.Stride()-1)-1; got != want {
				t.Errorf("chunk %d, %d chunks: %d free, want %d", sectors, chunks, got, want)
			}
			u.Size += g.ChunkBytes() // room for the next area, and for nothing in it
			if got, want := u.Free(), k*(g.Stride()-1); got != want {
				t.Errorf("chunk %d, %d chunks: %d free, want %d", sectors, chunks+1, got, want)
			}
		}
	}
}

// TestMaximum: the smallest device on which the kernel can go on until every
// chunk of the origin is stored.
func TestMaximum(t *testing.T) {
	for _, sectors := range []uint32{1, 2} {
		g := geometry(t, sectors)
		e := uint64(g.ExceptionsPerArea())
		for _, list := range append(lists(e), nil) {
			for _, more := range []uint64{0, 1, e - 1, e, e + 1, 2*e + 3} {
				origin := uint64(len(list)) + more
				want := uint64(2)
				for ; ; want++ {
					k, loads := load(e, want, list)
					if loads && served(list, want) && k.room() >= more {
						break
					}
				}
				u := usage(g, want, list)
				// An origin that ends in a short chunk needs a whole one for it.
				for _, short := range []uint64{0, min(origin, uint64(sectors)-1)} {
					size := format.Sectors(origin*uint64(sectors) - short)
					if got := u.Maximum(size); uint64(got) != want*uint64(sectors) {
						t.Fatalf("e %d, %d exceptions, origin of %d chunks: maximum %d sectors, want %d chunks",
							e, len(list), origin, got, want)
					}
				}
			}
		}
	}
}

// TestPercent has what libdm's arithmetic, done in C, makes of figures: 32-bit
// floats, and exact ties rounded to even, as printf does.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		next, area uint64
		chunk      uint32
		total      format.Sectors
		want       float64
	}{
		{2, 0, 8, 5600, 0},
		{2, 0, 8, 16, 0},   // empty, and full all the same
		{3, 1, 8, 5600, 0}, // as after a merge
		{700, 2, 8, 5600, 100},
		{396, 1, 8, 5600, 56.57},
		{10, 0, 8, 15, 533.33}, // cut short
		{3, 0, 8, 1 << 40, 0.01},
		{1<<37 - 1, 0, 8, 1 << 40, 99.99},
		{19999, 0, 1, 20000, 99.99},
		{3, 0, 8, 19200, 0.12},     // 0.125
		{9, 0, 8, 19200, 0.38},     // 0.375
		{2171, 0, 8, 34152, 50.85}, // 50.86 with 64 bits
		{4002, 0, 8, 64000, 50.03},
		{3, 0, 8, 0, 100},
		{0, 0, 8, 5600, 0}, // wrapped
	} {
		u := look.Usage{Geometry: geometry(t, c.chunk), Size: c.total.Bytes()}
		u.End.NextFree, u.End.Area = format.NewChunk(c.next), format.AreaIndex(c.area)
		if got := u.Percent(); got != c.want {
			t.Errorf("%s: %v%%, want %v", u.Status(), got, c.want)
		}
	}
}

// TestUsageOfDamage: whatever stands in the list, figures come out, and as the
// kernel counts: in 64 bits.
func TestUsageOfDamage(t *testing.T) {
	g := geometry(t, 8)
	u := look.FreshUsage(g, 800*4096)
	u.End.Exceptions, u.End.Index = 1, 1
	u.End.NextFree, u.End.Highest = 0, math.MaxUint64
	u.End.Beyond = &format.Place{Area: 3, Index: 7}
	if got, want := u.Status(), "0/6400 16"; got != want {
		t.Errorf("status %s, want %s", got, want)
	}
	if size, ok := u.Minimum(); ok {
		t.Errorf("minimum %d sectors", size)
	}
	if u.Free() != 0 {
		t.Errorf("%d free: the next exception goes to chunk 0, where its data destroys the header", u.Free())
	}
	if got, want := u.Fault(), "area 3 slot 7: its new chunk is past the end of the device (800 chunks)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	u.End.NextFree, u.End.Highest = math.MaxUint64, math.MaxUint64-1
	if u.Free() != 0 || u.Leaked() == 0 {
		t.Errorf("%d free, %d leaked", u.Free(), u.Leaked())
	}
	if got, want := u.Status(), "18446744073709551608/6400 16"; got != want {
		t.Errorf("status %s, want %s", got, want)
	}
	u.End.Highest = 1<<61 - 2
	if size, ok := u.Minimum(); !ok || size != 1<<64-8 {
		t.Errorf("minimum %d sectors, %v", size, ok)
	}
	u.End.Highest++
	if size, ok := u.Minimum(); ok {
		t.Errorf("minimum %d sectors", size)
	}
}

// TestEnough: a device of so many sectors has room for one more exception, and one that
// is a chunk smaller has not.
func TestEnough(t *testing.T) {
	for _, chunk := range []int{1, 2} {
		for n := range 200 {
			d := devicetest.Of(storespec.MustCompile(t, fmt.Sprintf("device 1000\nheader chunk=%d\nfill %d", chunk, n)))
			id, err := look.Identify(d, look.FreshGeometry(d))
			if err != nil {
				t.Fatal(err)
			}
			s, err := id.Examine(id.Walk(d), func(format.AreaIndex) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			enough, less := s.Usage, s.Usage
			enough.Size = s.Usage.Enough(1).Bytes()
			less.Size = enough.Size - s.Usage.Geometry.ChunkBytes()
			if enough.Free() == 0 || less.Free() > 0 {
				t.Errorf("chunk %d, %d exceptions: %d sectors have room for %d, a chunk less for %d", chunk, n, s.Usage.Enough(1), enough.Free(), less.Free())
			}
		}
	}
}

// TestStatusUsage: what the kernel's status line says is enough to know how many exceptions there are, and how many
// can still be stored.
func TestStatusUsage(t *testing.T) {
	const sectors = 1 // 32 exceptions in an area
	g := geometry(t, sectors)
	for chunks := uint64(3); chunks < 300; chunks += 7 {
		k := kernel{e: uint64(g.ExceptionsPerArea()), chunks: chunks, next: 2}
		for n := uint64(0); !k.lost; n++ {
			u, ok := look.StatusUsage(g, format.Sectors(k.next*sectors), format.Sectors(chunks*sectors), format.Sectors((k.area+2)*sectors))
			if !ok || u.End.Exceptions != n || u.Free() != k.room() {
				t.Fatalf("%d chunks, %d exceptions: %d, %d can be stored, expected %d", chunks, n, u.End.Exceptions, u.Free(), k.room())
			}
			if !k.add() {
				break
			}
		}
	}
	for _, bad := range [][2]format.Sectors{{16, 8}, {8, 16}, {17, 16}, {16, 17}} {
		if u, ok := look.StatusUsage(geometry(t, 8), bad[0], 1000, bad[1]); ok {
			t.Errorf("%d allocated, %d of metadata: %+v", bad[0], bad[1], u)
		}
	}
}
