package format_test

import (
	"errors"
	"testing"

	"dmcow/format"
)

func TestCheckChunkSectors(t *testing.T) {
	for _, c := range []struct {
		sectors uint32
		block   format.Bytes
		want    error
	}{
		{0, 512, format.ErrNotPowerOf2},
		{3, 512, format.ErrNotPowerOf2},
		{0xffffffff, 512, format.ErrNotPowerOf2},
		{2097152 + 8, 512, format.ErrNotPowerOf2}, // too high as well: the kernel's order
		{3, 4096, format.ErrNotPowerOf2},
		{1, 512, nil},
		{1, 0, nil},
		{8, 512, nil},
		{2097152, 512, nil},
		{4194304, 512, format.ErrTooHigh},
		{1 << 31, 512, format.ErrTooHigh},
		{1, 4096, format.ErrNotBlockSized},
		{4, 4096, format.ErrNotBlockSized},
		{8, 4096, nil},
		{2097152, 4096, nil},
		{1 << 31, 4096, format.ErrTooHigh},
		{4, 2048, nil},
		{4, 65536, format.ErrNotBlockSized},
	} {
		if err := format.CheckChunkSectors(c.sectors, c.block); !errors.Is(err, c.want) {
			t.Errorf("%d sectors, blocks of %d bytes: %v, want %v", c.sectors, c.block, err, c.want)
		}
		if c.block != 512 {
			continue
		}
		g, err := format.NewGeometry(c.sectors)
		if !errors.Is(err, c.want) || g.IsZero() != (err != nil) {
			t.Errorf("geometry of %d sectors: %+v, %v, want %v", c.sectors, g, err, c.want)
		}
	}
}

func geometry(t testing.TB, sectors uint32) format.Geometry {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGeometryNumbers has some of them worked out by hand.
func TestGeometryNumbers(t *testing.T) {
	for _, c := range []struct {
		sectors uint32
		e       int
		area2   format.NewChunk
		offset2 format.Bytes
	}{
		{1, 32, 67, 67 * 512},
		{8, 256, 515, 515 * 4096},
		{128, 4096, 8195, 8195 * 65536},
		{2097152, 67108864, 134217731, 134217731 << 30},
	} {
		g := geometry(t, c.sectors)
		if g.ExceptionsPerArea() != c.e || g.Stride() != uint64(c.e)+1 || g.AreaLocation(2) != c.area2 ||
			g.Offset(c.area2) != c.offset2 || g.ChunkSectors() != format.Sectors(c.sectors) ||
			g.ChunkBytes() != format.Bytes(c.sectors)*512 {
			t.Errorf("%d sectors: %+v, area 2 at %d", c.sectors, g, g.AreaLocation(2))
		}
		size := g.Offset(c.area2)
		if g.Chunks(size) != uint64(c.area2) || g.Chunks(size-1) != uint64(c.area2)-1 || g.Chunks(size+511) != uint64(c.area2) {
			t.Errorf("%d sectors: a chunk counts although it is not whole, or the other way round", c.sectors)
		}
	}
}

// TestGeometryCount goes over the chunks one by one, as the picture in the
// package comment has them.
func TestGeometryCount(t *testing.T) {
	for _, sectors := range []uint32{1, 2, 8} {
		g := geometry(t, sectors)
		e := uint64(g.ExceptionsPerArea())
		areas, data := uint64(0), uint64(0) // below c
		for c := range 5 * (e + 1) {
			chunk := format.NewChunk(c)
			if g.Areas(c) != areas || g.DataChunks(chunk) != data {
				t.Fatalf("%d sectors, below chunk %d: %d areas, %d data chunks, want %d and %d",
					sectors, c, g.Areas(c), g.DataChunks(chunk), areas, data)
			}
			metadata, skipped := c == 1+areas*(e+1), chunk
			if metadata {
				skipped++
			}
			if g.IsMetadata(chunk) != metadata || g.SkipMetadata(chunk) != skipped {
				t.Fatalf("%d sectors, chunk %d: metadata %v, skipped to %d", sectors, c, g.IsMetadata(chunk), g.SkipMetadata(chunk))
			}
			switch {
			case metadata:
				if got := g.AreaLocation(format.AreaIndex(areas)); got != chunk {
					t.Fatalf("%d sectors: area %d at chunk %d, want %d", sectors, areas, got, c)
				}
				areas++
			case c > 0:
				if got := g.DataChunk(data); got != chunk {
					t.Fatalf("%d sectors: data chunk %d is %d, want %d", sectors, data, got, c)
				}
				data++
			}
		}
	}
}

// TestChunksFor has stores of one sector a chunk: 32 exceptions an area, areas at chunks 1, 34 and 67.
func TestChunksFor(t *testing.T) {
	g := geometry(t, 1)
	for _, c := range []struct{ exceptions, data, want uint64 }{
		{0, 0, 2},    // header and area 0
		{0, 1, 3},    // chunk 2
		{1, 1, 3},    //
		{31, 31, 33}, // chunk 32
		{32, 31, 35}, // area 1
		{32, 32, 35}, // area 1, behind chunk 33
		{33, 33, 36}, // chunk 35
		{31, 33, 36}, // and one more data chunk than area 0 names
		{64, 64, 68}, // area 2, behind chunk 66
		{65, 70, 74},
	} {
		if got := g.ChunksFor(c.exceptions, c.data); got != c.want {
			t.Errorf("%d exceptions, %d data chunks: %d chunks, want %d", c.exceptions, c.data, got, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	if format.Sectors(3).Bytes() != 1536 || format.Bytes(1536).Sectors() != 3 || format.Bytes(1535).Sectors() != 2 {
		t.Error("sectors and bytes do not convert")
	}
}
