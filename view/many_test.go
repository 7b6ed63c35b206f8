package view

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// TestReadMany: stretches in any order read as one by one, also where they are next to each other, and of an error the
// first that has it is told.
func TestReadMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, devicetest.Seed(t)))
	for _, many := range []bool{true, false} {
		const size = 2048 * sector
		r := newRig(t, "device 4000\nheader chunk=2\nfill 100 7\ndata 9", size)
		r.cow.many, r.origin.many = many, false
		v, want := r.open(t), r.naiveView(t)
		if v.ReadsMany() != many {
			t.Errorf("reads many at once: %v", !many)
		}
		for range 200 {
			memory := make([]byte, 64<<10)
			var p [][]byte
			var at, from []int64
			for len(memory) > 0 {
				n := min(1+rng.IntN(9000), len(memory))
				offset := rng.Int64N(int64(size - n))
				if k := len(at); k > 0 && rng.IntN(3) == 0 { // it goes on where the one before ends
					offset = min(at[k-1]+int64(len(p[k-1])), int64(size-n))
				}
				p, at, memory = append(p, memory[:n]), append(at, offset), memory[n:]
			}
			from = slices.Clone(at)
			if _, err := v.ReadMany(p, at); err != nil || !slices.Equal(at, from) {
				t.Fatal(err)
			}
			for i := range p {
				if !bytes.Equal(p[i], want[at[i]:][:len(p[i])]) {
					t.Fatalf("stretch %d, %d bytes from byte %d: other content", i, len(p[i]), at[i])
				}
			}
		}
		p := [][]byte{make([]byte, 100), make([]byte, 1024), make([]byte, 1024)}
		r.all.Fault = devicetest.BadByte(r.cow.Size()+1000*1024, errBroken)
		if i, err := v.ReadMany(p, []int64{0, 900 * 1024, 1000 * 1024}); i != 2 || !errors.Is(err, errBroken) {
			t.Errorf("stretch %d: %v", i, err)
		}
		if i, err := v.ReadMany(p, []int64{0, size - 1000, 0}); i != 1 || err != io.EOF {
			t.Errorf("stretch %d: %v", i, err)
		}
	}
}

// TestChangesIn: chunks of any size, larger or smaller than the stores', have what their exceptions have.
func TestChangesIn(t *testing.T) {
	const size = 999 * sector
	a := newRig(t, "device 2000\nheader chunk=8\nex 0 7 2\nex 1 124 3\ndata 9", size).open(t)
	b := newRig(t, "device 2000\nheader chunk=2\nfill 2 31\nex 2 499 50\ndata 9", size).open(t)
	for _, grain := range []int{1, 2, 4, 8, 32, 1024} {
		want := map[int]bool{}
		for s := range 999 {
			if s/8 == 7 || s/8 == 124 || s/2 == 31 || s/2 == 32 || s/2 == 499 || s == 500 || s/2 == 300 {
				want[s/grain] = true
			}
		}
		c := ChangesIn(format.Bytes(grain*sector), size, a, b)
		c.Add(Range{500 * sector, 1})
		c.Add(Range{600 * sector, 2 * sector})
		c.Add(Range{size, sector})
		if got := slices.Collect(c.Grains()); len(got) != len(want) || !slices.IsSorted(got) || c.Chunks() != uint64(len(want)) {
			t.Errorf("chunks of %d sectors: %v; want %v", grain, got, want)
		}
		for old := range c.Grains() {
			if !want[int(old)] {
				t.Errorf("chunks of %d sectors: chunk %d", grain, old)
			}
			break
		}
	}
}
