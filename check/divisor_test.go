package check

import (
	"testing"

	"dmcow/format"
)

// TestDivisor: what is metadata by a multiplication is that by a division, too, next to every multiple of the
// stride and at the end of all numbers.
func TestDivisor(t *testing.T) {
	for sectors := uint32(1); sectors <= format.MaxChunkSectors; sectors *= 2 {
		g, err := format.NewGeometry(sectors)
		if err != nil {
			t.Fatal(err)
		}
		d, most := newDivisor(g.Stride()), ^uint64(0)/g.Stride()
		for _, k := range []uint64{0, 1, 2, 3, 1000, 1 << 32, most / 2, most - 1, most} {
			for _, near := range []uint64{0, 1, 2, 3} {
				if c := k*g.Stride() + near; c != 0 && d.isMetadata(c) != g.IsMetadata(format.NewChunk(c)) {
					t.Errorf("%d-sector chunks, chunk %d: %v", sectors, c, d.isMetadata(c))
				}
			}
		}
	}
}
