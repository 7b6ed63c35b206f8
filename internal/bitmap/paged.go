package bitmap

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// Paged is a set of numbers that takes memory only near those that it has: 4 KiB for each
// 32768 numbers of which it has some. The zero value is an empty set.
type Paged struct {
	pages map[uint64]*page
	count uint64
	key   uint64 // of the page that was used last
	last  *page
}

const (
	pageWords = 512
	pageBits  = 64 * pageWords
)

type page [pageWords]uint64

// page is the page of a number, made if there is none.
func (s *Paged) page(n uint64) *page {
	key := n / pageBits
	if s.last != nil && s.key == key {
		return s.last
	}
	p := s.pages[key]
	if p == nil {
		if s.pages == nil {
			s.pages = map[uint64]*page{}
		}
		p = new(page)
		s.pages[key] = p
	}
	s.key, s.last = key, p
	return p
}

// Add adds the count numbers from first on.
func (s *Paged) Add(first, count uint64) {
	for count > 0 {
		mask, covered := span(first, count)
		word := &s.page(first)[first%pageBits/64]
		s.count += uint64(bits.OnesCount64(mask &^ *word))
		*word |= mask
		first, count = first+covered, count-covered
	}
}

// Has reports whether n is in the set. Several goroutines may ask at once, while none adds.
func (s *Paged) Has(n uint64) bool {
	p := s.pages[n/pageBits]
	return p != nil && p[n%pageBits/64]>>(n%64)&1 != 0
}

// Count is how many numbers the set has.
func (s *Paged) Count() uint64 { return s.count }

// Runs are the numbers of the set in order: the first of each run of consecutive ones, and
// how many these are. The set must not change meanwhile.
func (s *Paged) Runs() iter.Seq2[uint64, uint64] {
	return func(yield func(first, count uint64) bool) {
		var first, count uint64
		for _, key := range slices.Sorted(maps.Keys(s.pages)) {
			for i, word := range s.pages[key] {
				base := key*pageBits + uint64(i)*64
				for word != 0 {
					skip := uint64(bits.TrailingZeros64(word))
					n := uint64(bits.TrailingZeros64(^(word >> skip)))
					if count > 0 && first+count == base+skip {
						count += n
					} else {
						if count > 0 && !yield(first, count) {
							return
						}
						first, count = base+skip, n
					}
					word &^= ^uint64(0) >> (64 - n) << skip
				}
			}
		}
		if count > 0 {
			yield(first, count)
		}
	}
}
