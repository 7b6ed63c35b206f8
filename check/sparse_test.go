package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// TestFewOfMany: of an origin so large that exceptions are kept as numbers, the same is found as of one of which there
// is a bit for each chunk.
func TestFewOfMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 30 {
		var spec strings.Builder
		fmt.Fprintf(&spec, "device %d\nheader chunk=1\nfill 150\n", 400+rng.IntN(400))
		for range rng.IntN(12) {
			fmt.Fprintf(&spec, "ex %d %d %d\n", rng.IntN(160), []int{rng.IntN(150), 200 + rng.IntN(4)}[rng.IntN(2)], []int{2 + rng.IntN(300), 34}[rng.IntN(2)])
		}
		if rng.IntN(2) == 0 { // an area of garbage, whose exceptions count for nothing: others have their chunks
			for i := range 32 {
				fmt.Fprintf(&spec, "ex %d %d %d\n", 64+i, 300+i, []int{34, 2 + i}[i%2])
				fmt.Fprintf(&spec, "ex %d %d %d\n", 96+i, 300+i, 103+i)
			}
		}
		cow := storespec.MustCompile(t, spec.String())
		bits, numbers := found(t, cow, 20_000), found(t, cow, 1<<32-1)
		if !slices.Equal(bits, numbers) {
			t.Errorf("%s:\n%q\n%q", spec.String(), bits, numbers)
		}
	}
}

// TestKept: numbers are kept as numbers only where bits are sure to take more memory, for they are slower by far.
func TestKept(t *testing.T) {
	g, _ := format.NewGeometry(8)
	for _, c := range []struct {
		name             string
		below, few       uint64
		keptAsTheNumbers bool
	}{
		{"a small origin", 20_000, 400, false},
		{"a large origin", 1<<32 - 1, 800, true},
		{"an origin whose size is not known", newFacts(g, 1<<30, 0).origin, 800, false},
	} {
		var s chunkSet
		s.reserve(c.below, c.few)
		if (s.few != nil) != c.keptAsTheNumbers {
			t.Errorf("%s: kept as numbers: %v, expected %v", c.name, s.few != nil, c.keptAsTheNumbers)
		}
		s.free()
	}
}

func found(t *testing.T, cow []byte, chunks uint64) (all []string) {
	t.Helper()
	r, err := Make(Options{Device: devicetest.Of(cow), Origin: format.Bytes(chunks) * format.SectorSize})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Tallies {
		for _, f := range x.Findings {
			all = append(all, fmt.Sprint(x.Name, x.Count, f.Place, f.Exception, f.Message()))
		}
	}
	return all
}
