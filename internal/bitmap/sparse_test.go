package bitmap

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSparse holds a set to a map, of little memory, where rows of slots run into each other and around the end.
func TestSparse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := SparseOn(make([]uint64, SparseWords(rapid.Uint64Range(0, 60).Draw(t, "room"))))
		model := map[uint64]bool{}
		numbers := rapid.SliceOfN(rapid.Uint64Range(0, 1<<40), 1, 80).Draw(t, "numbers")
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			n := rapid.SampledFrom(numbers).Draw(t, "n")
			switch {
			case rapid.Bool().Draw(t, "remove"):
				s.Remove(n)
				delete(model, n)
			case !s.IsFull():
				if had := s.Add(n) == 1; had != model[n] {
					t.Fatalf("%d: was there: %v", n, had)
				}
				model[n] = true
			}
			for _, n := range numbers {
				if s.Has(n) != model[n] {
					t.Fatalf("%d: is there: %v", n, s.Has(n))
				}
			}
		}
	})
}

// TestSparseRoom: there is room for as many as were asked for.
func TestSparseRoom(t *testing.T) {
	for n := range uint64(200) {
		s := SparseOn(make([]uint64, SparseWords(n)))
		for i := range n {
			if s.IsFull() {
				t.Fatalf("of %d, %d fit", n, i)
			}
			s.Add(i << 30)
		}
	}
	var none Sparse
	if none.Has(7) {
		t.Error("an empty set has 7")
	}
}
