// Package bitmap has sets of chunk numbers, one bit each: the fastest to fill
// in any order, and the smallest unless the numbers are few and far between.
package bitmap

import (
	"encoding/binary"
	"slices"
)

// pageBits is the number of bits in a part of a set. Parts of 256 KiB are few,
// and a system that gives memory out as it is touched gives less where a part
// has few numbers.
const pageBits = 1 << 21

type page [pageBits / 64]uint64

// Set is a set of numbers. It takes memory for the parts in which it has
// numbers, and 8 bytes for each part below the highest: the caller bounds them.
// The zero value is an empty set.
type Set struct{ pages []*page }

// word is the word that has the bit of n, which is bit n%64 of it.
func (s *Set) word(n uint64) *uint64 {
	if i := n / pageBits; i < uint64(len(s.pages)) && s.pages[i] != nil {
		return &s.pages[i][n%pageBits/64]
	}
	s.grow(n / pageBits)
	return &s.pages[n/pageBits][n%pageBits/64]
}

// grow makes page i.
func (s *Set) grow(i uint64) {
	if more := int(i) + 1 - len(s.pages); more > 0 {
		s.pages = slices.Grow(s.pages, more)[:i+1]
	}
	s.pages[i] = new(page)
}

// Add adds n, and returns 1 where it was there before, else 0.
func (s *Set) Add(n uint64) (had uint64) {
	w := s.word(n)
	had = *w >> (n % 64) & 1
	*w |= 1 << (n % 64)
	return had
}

// AddEach adds numbers: of each 16 bytes of raw, the first 8, little-endian. Of
// those that were there before it sets the bit in flags, which has an element for
// each number, and it tells whether there are any.
func (s *Set) AddEach(raw []byte, flags []uint8, bit uint8) bool {
	const size = 16
	any, pages := uint64(0), s.pages
	for i := range flags {
		n := binary.LittleEndian.Uint64(raw[i*size:])
		k := n / pageBits
		if k >= uint64(len(pages)) || pages[k] == nil {
			s.grow(k)
			pages = s.pages
		}
		w := &pages[k][n%pageBits/64]
		had := *w >> (n % 64) & 1
		*w |= 1 << (n % 64)
		flags[i] |= uint8(had) * bit
		any |= had
	}
	return any != 0
}

// AddNew adds the count numbers from first on, if none of them is there yet, and
// tells whether it did. count is no less than 1.
func (s *Set) AddNew(first, count uint64) bool {
	for n, left := first, count; left > 0; {
		mask, covered := span(n, left)
		if *s.word(n)&mask != 0 {
			return false
		}
		n, left = n+covered, left-covered
	}
	for n, left := first, count; left > 0; {
		mask, covered := span(n, left)
		*s.word(n) |= mask
		n, left = n+covered, left-covered
	}
	return true
}

// span are the bits of those of the next count numbers from n on that share its
// word, and how many that are.
func span(n, count uint64) (mask, covered uint64) {
	covered = min(64-n%64, count)
	return ^uint64(0) >> (64 - covered) << (n % 64), covered
}

// Remove takes n, which is in the set, out of it.
func (s *Set) Remove(n uint64) { *s.word(n) &^= 1 << (n % 64) }

// Has tells whether n is in the set.
func (s *Set) Has(n uint64) bool {
	i := n / pageBits
	return i < uint64(len(s.pages)) && s.pages[i] != nil && s.pages[i][n%pageBits/64]>>(n%64)&1 != 0
}
