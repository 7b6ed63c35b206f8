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
	var few, many chunkSet
	few.reserve(20_000, 400)
	many.reserve(1<<32-1, 800)
	if few.few != nil || many.few == nil {
		t.Error("both are kept in the same way")
	}
	few.free()
	many.free()
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
