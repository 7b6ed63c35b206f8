// Package bitmap has sets of chunk numbers, one bit each: the fastest to fill
// in any order, and the smallest unless the numbers are few and far between.
package bitmap

import "slices"

// pageBits is the number of bits in a part of a set. Parts of 256 KiB are few,
// and a system that gives memory out as it is touched gives less where a part
// has few numbers.
const pageBits = 1 << 21

type page [pageBits / 64]uint64

// Set is a set of numbers. It takes memory for the parts in which it has
// numbers, and 8 bytes for each part below the highest: the caller bounds them.
// The zero value is an empty set.
type Set struct{ pages []*page }

// Add adds n, and returns 1 where it was there before, else 0.
func (s *Set) Add(n uint64) (had uint64) {
	i := n / pageBits
	if i >= uint64(len(s.pages)) || s.pages[i] == nil {
		s.grow(i)
	}
	word, bit := &s.pages[i][n%pageBits/64], n%64
	had = *word >> bit & 1
	*word |= 1 << bit
	return had
}

// grow makes page i.
func (s *Set) grow(i uint64) {
	if more := int(i) + 1 - len(s.pages); more > 0 {
		s.pages = slices.Grow(s.pages, more)[:i+1]
	}
	s.pages[i] = new(page)
}

// Remove takes n, which is in the set, out of it.
func (s *Set) Remove(n uint64) {
	s.pages[n/pageBits][n%pageBits/64] &^= 1 << (n % 64)
}

// Has tells whether n is in the set.
func (s *Set) Has(n uint64) bool {
	i := n / pageBits
	return i < uint64(len(s.pages)) && s.pages[i] != nil && s.pages[i][n%pageBits/64]>>(n%64)&1 != 0
}
