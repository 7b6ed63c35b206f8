package bitmap

import (
	"math/rand/v2"
	"testing"
)

// TestSet holds a set to a map, with numbers that crowd around the ends of words
// and pages.
func TestSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	edges := []uint64{0, 64, pageBits, 2 * pageBits, 1 << 32}
	var s Set
	model := map[uint64]bool{}
	for range 100000 {
		n := edges[rng.IntN(len(edges))] + rng.Uint64N(200)
		if s.Has(n) != model[n] {
			t.Fatalf("%d: in the set %v, want %v", n, s.Has(n), model[n])
		}
		if model[n] && rng.IntN(2) == 0 {
			s.Remove(n)
			delete(model, n)
			continue
		}
		if had := s.Add(n) == 1; had != model[n] {
			t.Fatalf("%d: was in the set %v, want %v", n, had, model[n])
		}
		model[n] = true
	}
}
