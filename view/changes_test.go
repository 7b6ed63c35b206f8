package view

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// ranges are those of changes.
func ranges(c *Changes) (all []Range) {
	for r := range c.Ranges() {
		all = append(all, r)
	}
	return all
}

// marked are the ranges of the bytes of which a function is true, for an origin of so many.
func marked(size int, differs func(at int) bool) (all []Range) {
	for at := range size {
		switch n := len(all); {
		case !differs(at):
		case n > 0 && int(all[n-1].Offset+all[n-1].Length) == at:
			all[n-1].Length++
		default:
			all = append(all, Range{format.Bytes(at), 1})
		}
	}
	return all
}

// lists opens a view whole, and for its list alone.
func lists(t *testing.T, r *rig) [2]*View {
	t.Helper()
	o := r.options()
	o.ListOnly = true
	v, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return [2]*View{r.open(t), v}
}

// TestChanges: the chunks that have an exception, byte for byte, also where the origin ends in
// one, and of two snapshots with chunks of different sizes.
func TestChanges(t *testing.T) {
	const size = 100*8*sector + 3*sector
	a := newRig(t, "device 2000\nheader chunk=8\nfill 30 10\nex 30 100 33\nex 31 3 34\nex 32 0 35\ndata 9", size)
	b := newRig(t, "device 3000\nheader chunk=2\nfill 50 81\nex 50 401 53\nex 51 0 54\ndata 9", size)
	inA := func(at int) bool {
		old := at / (8 * sector)
		return old >= 10 && old < 40 || old == 100 || old == 3 || old == 0
	}
	inB := func(at int) bool {
		old := at / (2 * sector)
		return old >= 81 && old < 131 || old == 401 || old == 0
	}
	for i, v := range lists(t, a) {
		c := v.Changes()
		want := marked(size, inA)
		if got := ranges(c); !slices.Equal(got, want) || c.Chunks() != 33 {
			t.Errorf("%d: %v, %d chunks; want %v", i, got, c.Chunks(), want)
		}
		var sum format.Bytes
		for _, r := range want {
			sum += r.Length
		}
		if c.Bytes() != sum {
			t.Errorf("%d bytes, want %d", c.Bytes(), sum)
		}
		for _, w := range lists(t, b) {
			want := marked(size, func(at int) bool { return inA(at) || inB(at) })
			for _, c := range []*Changes{ChangesBetween(v, w), ChangesBetween(w, v)} {
				if got := ranges(c); !slices.Equal(got, want) || c.Grain != 2*sector {
					t.Errorf("%v, in %d bytes; want %v", got, c.Grain, want)
				}
			}
		}
	}
}

// TestShares: how much of each cell differs, whatever its size.
func TestShares(t *testing.T) {
	const size = 77*sector + 2*sector
	r := newRig(t, "device 300\nheader chunk=1\nfill 20 3\nex 20 78 23\nex 21 50 24\ndata 9", size)
	c := r.open(t).Changes()
	in := func(at int) bool {
		old := at / sector
		return old >= 3 && old < 23 || old == 78 || old == 50
	}
	for _, cell := range []format.Bytes{1 * sector, 3 * sector, 10 * sector, 79 * sector, 500 * sector} {
		shares := c.Shares(cell)
		if len(shares) != (size+int(cell)-1)/int(cell) {
			t.Errorf("cells of %d bytes: %d", cell, len(shares))
		}
		for i, share := range shares {
			n, all := 0, 0
			for at := i * int(cell); at < min(size, (i+1)*int(cell)); at++ {
				all++
				if in(at) {
					n++
				}
			}
			if math.Abs(share-float64(n)/float64(all)) > 1e-9 {
				t.Errorf("cell %d of %d bytes: %v, want %d of %d", i, cell, share, n, all)
			}
		}
	}
}

// TestCompare leaves out what is equal, chunk by chunk, whatever their size, and keeps what cannot
// be read.
func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, devicetest.Seed(t)))
	for _, c := range []struct {
		spec        string
		grain, size int
	}{
		{"device 3000\nheader chunk=2\nfill 411 20\ndata 9", 2 * sector, 430*2*sector + sector},
		{"device 4000\nheader chunk=8\nfill 300\ndata 9", 8 * sector, 1000 * 8 * sector},
		{"device 40000\nheader chunk=4096\nfill 4\ndata 9", 4096 * sector, 9*4096*sector + 3000*sector},
	} {
		t.Run(fmt.Sprint(c.grain), func(t *testing.T) {
			r := newRig(t, c.spec, c.size)
			v := r.open(t)
			// Some chunks hold what the origin does, and some differ in one byte.
			origin := r.originImage()
			for old, x := range v.table.all() {
				if rng.IntN(3) > 0 {
					start := int(old) * c.grain
					chunk := bytes.Clone(origin[start:min(c.size, start+c.grain)])
					if rng.IntN(2) == 0 {
						chunk[rng.IntN(len(chunk))] ^= 1
					}
					r.all.Put(int64(v.geometry.Offset(x)), chunk)
				}
			}
			snapshot := content(t, v)
			differs := make([]bool, c.size/c.grain+1)
			for at := range snapshot {
				differs[at/c.grain] = differs[at/c.grain] || snapshot[at] != origin[at]
			}
			visit := func(format.Bytes) error { return nil }
			changes, result, err := v.Changes().Compare(v, r.origin, visit)
			want := marked(len(snapshot), func(at int) bool { return differs[at/c.grain] })
			if got := ranges(changes); err != nil || !slices.Equal(got, want) || result.Unread != 0 || result.Equal+changes.Chunks() != v.Changes().Chunks() {
				t.Fatalf("%v, %+v, %v; want %v", got, result, err, want)
			}

			// A bad sector of the origin, in a chunk that is equal.
			for old := range v.table.all() {
				if !differs[old] {
					bad := int64(old)*int64(c.grain) + 5
					r.all.Fault = devicetest.BadByte(r.cow.Size()+bad, errBroken)
					changes, result, err = v.Changes().Compare(v, r.origin, visit)
					r.all.Fault = nil
					want = marked(len(snapshot), func(at int) bool { return differs[at/c.grain] || at/c.grain == int(old) })
					if got := ranges(changes); err != nil || !slices.Equal(got, want) || result.Unread != 1 || !errors.Is(result.Failure, errBroken) {
						t.Errorf("%v, %+v, %v; want %v", got, result, err, want)
					}
					break
				}
			}
			if _, _, err := v.Changes().Compare(v, r.origin, func(format.Bytes) error { return errBroken }); !errors.Is(err, errBroken) {
				t.Errorf("stopped: %v", err)
			}
		})
	}
}
