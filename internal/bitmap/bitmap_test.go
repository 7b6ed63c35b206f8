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
		if rng.IntN(3) == 0 {
			addNew(t, &s, model, n, 1+rng.Uint64N(150))
			continue
		}
		if had := s.Add(n) == 1; had != model[n] {
			t.Fatalf("%d: was in the set %v, want %v", n, had, model[n])
		}
		model[n] = true
	}
}

// addNew adds numbers if all are new, to the set and to the map.
func addNew(t *testing.T, s *Set, model map[uint64]bool, first, count uint64) {
	t.Helper()
	isNew := true
	for n := first; n < first+count; n++ {
		isNew = isNew && !model[n]
	}
	if got := s.AddNew(first, count); got != isNew {
		t.Fatalf("%d from %d on: added %v, want %v", count, first, got, isNew)
	}
	for n := first; n < first+count; n++ {
		if isNew {
			model[n] = true
		}
		if s.Has(n) != model[n] {
			t.Fatalf("%d, after %d from %d on: in the set %v, want %v", n, count, first, s.Has(n), model[n])
		}
	}
}
