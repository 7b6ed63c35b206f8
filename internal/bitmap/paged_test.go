package bitmap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPaged holds a set to a map, near the ends of words and pages, and near the largest numbers, of few numbers in a
// page and of many.
func TestPaged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{0, 60, pageBits - 70, 5*pageBits - 3, 1<<54 - 100}).Draw(t, "base")
		var s Paged
		model := map[uint64]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			first, count := base+rapid.Uint64Range(0, 400).Draw(t, "first"), rapid.Uint64Range(0, 200).Draw(t, "count")
			if rapid.IntRange(0, 9).Draw(t, "many") == 0 {
				count *= 6
			}
			s.Add(first, count)
			for n := range count {
				model[first+n] = true
			}
			if rapid.IntRange(0, 9).Draw(t, "compact") == 0 {
				s.Compact()
			}
		}
		var got []uint64
		end := uint64(0)
		for first, count := range s.Runs() {
			if len(got) > 0 && first <= end || count == 0 {
				t.Fatalf("a run from %d, the one before ends at %d", first, end)
			}
			for n := range count {
				got = append(got, first+n)
			}
			end = first + count
		}
		var want []uint64
		for n := range model {
			want = append(want, n)
		}
		slices.Sort(want)
		for n := base; n < base+1000; n++ {
			if s.Has(n) != model[n] {
				t.Fatalf("%d: %v", n, s.Has(n))
			}
		}
		if !slices.Equal(got, want) || s.Count() != uint64(len(want)) {
			t.Fatalf("%v, %d; want %v", got, s.Count(), want)
		}
		for range s.Runs() { // which may be stopped
			break
		}
	})
}

// TestMinus compares the difference of two sets with the difference of two maps.
func TestMinus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sets [2]Paged
		var models [2]map[uint64]bool
		for i := range sets {
			models[i] = map[uint64]bool{}
			for range rapid.IntRange(0, 6).Draw(t, "n") {
				first, count := rapid.Uint64Range(0, 3*pageBits).Draw(t, "first"), rapid.Uint64Range(1, 700).Draw(t, "count")
				sets[i].Add(first, count)
				for n := range count {
					models[i][first+n] = true
				}
			}
		}
		left := sets[0].Minus(&sets[1])
		count := uint64(0)
		for n := range models[0] {
			if !models[1][n] {
				count++
			}
			if left.Has(n) == models[1][n] || !sets[0].Has(n) {
				t.Fatalf("%d: %v", n, left.Has(n))
			}
		}
		if left.Count() != count {
			t.Fatalf("%d numbers, expected %d", left.Count(), count)
		}
	})
}

// TestPagedMemory: what is far apart takes a few bytes each, and what is near a bit.
func TestPagedMemory(t *testing.T) {
	var s Paged
	for n := range uint64(10) {
		s.Add(n<<50, 1)
		s.Add(n<<50+7, 3)
	}
	for key, p := range s.pages {
		if len(s.pages) != 10 || p.all != nil || cap(p.few) > 16 {
			t.Errorf("page %d of %d: room for %d", key, len(s.pages), cap(p.few))
		}
	}
	s.Compact()
	for key, p := range s.pages {
		if len(p.few) != cap(p.few) || len(p.few) < 3 {
			t.Errorf("page %d: %d numbers, and room for %d", key, len(p.few), cap(p.few))
		}
	}
	s.Add(0, pageBits)
	if p := s.pages[0]; p.all == nil || p.few != nil || s.Count() != pageBits+9*4 {
		t.Errorf("page 0 has %d numbers in order; the set %d", len(p.few), s.Count())
	}
}
