// Package bitmap has sets of chunk numbers, one bit each: the fastest to fill
// in any order, and the smallest unless the numbers are few and far between.
package bitmap

import (
	"encoding/binary"
	"math/bits"
)

// Set is a set of numbers. It takes a bit for each number up to its highest: the
// caller bounds that. The zero value is an empty set.
type Set struct {
	words []uint64
	sink  uint64 // of look: used for nothing, it keeps the compiler from leaving that out
}

// On is an empty set that takes no memory of its own for the numbers that fit the
// given words, all of them zero.
func On(words []uint64) Set { return Set{words: words} }

func (s *Set) reach(n uint64) {
	if n/64 < uint64(len(s.words)) {
		return
	}
	larger := make([]uint64, max(int(n/64)+1, len(s.words)*5/4))
	copy(larger, s.words)
	s.words = larger
}

// Add adds n, and returns 1 where it was there before, else 0.
func (s *Set) Add(n uint64) (had uint64) {
	s.reach(n)
	w := &s.words[n/64]
	had = *w >> (n % 64) & 1
	*w |= 1 << (n % 64)
	return had
}

// AddEach adds numbers: of each 16 bytes of raw, the first 8, little-endian; most
// is no less than any of them. Of those that were there before it sets the bit in
// flags, which has an element for each number, and it reports whether there are any.
//
// Most words are far from the processor. Looking at all of them first, in a loop
// that does nothing else, has many on their way at once. Both loops take four numbers a turn.
func (s *Set) AddEach(raw []byte, most uint64, flags []uint8, bit uint8) bool {
	s.reach(most)
	words, any := s.words, uint64(0)
	s.sink = look(words, raw)
	for ; len(flags) >= 4 && len(raw) >= group; flags, raw = flags[4:], raw[group:] {
		q, f := raw[:group:group], flags[:4:4]
		a := set(words, binary.LittleEndian.Uint64(q))
		b := set(words, binary.LittleEndian.Uint64(q[16:]))
		c := set(words, binary.LittleEndian.Uint64(q[32:]))
		d := set(words, binary.LittleEndian.Uint64(q[48:]))
		if a|b|c|d != 0 {
			f[0] |= uint8(a) * bit
			f[1] |= uint8(b) * bit
			f[2] |= uint8(c) * bit
			f[3] |= uint8(d) * bit
			any = 1
		}
	}
	for i := range flags {
		had := set(words, binary.LittleEndian.Uint64(raw[i*size:]))
		flags[i] |= uint8(had) * bit
		any |= had
	}
	return any != 0
}

const (
	size  = 16 // bytes of raw to a number
	group = 4 * size
)

// set sets the bit of n, and returns what it was.
func set(words []uint64, n uint64) (had uint64) {
	w := &words[n/64]
	had = *w >> (n % 64) & 1
	*w |= 1 << (n % 64)
	return had
}

// look looks at the words of numbers, as AddEach takes them, but for up to three
// of the last.
func look(words []uint64, raw []byte) (sum uint64) {
	for ; len(raw) >= group; raw = raw[group:] {
		q := raw[:group:group]
		a := words[binary.LittleEndian.Uint64(q)/64]
		b := words[binary.LittleEndian.Uint64(q[16:])/64]
		c := words[binary.LittleEndian.Uint64(q[32:])/64]
		d := words[binary.LittleEndian.Uint64(q[48:])/64]
		sum += a + b + c + d
	}
	return sum
}

// AddNew adds the count numbers from first on, if none of them is there yet, and
// reports whether it did. count is 1 or more.
func (s *Set) AddNew(first, count uint64) bool {
	s.reach(first + count - 1)
	for n, left := first, count; left > 0; {
		mask, covered := span(n, left)
		if s.words[n/64]&mask != 0 {
			return false
		}
		n, left = n+covered, left-covered
	}
	for n, left := first, count; left > 0; {
		mask, covered := span(n, left)
		s.words[n/64] |= mask
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
func (s *Set) Remove(n uint64) { s.words[n/64] &^= 1 << (n % 64) }

// Has reports whether n is in the set.
func (s *Set) Has(n uint64) bool {
	return n/64 < uint64(len(s.words)) && s.words[n/64]>>(n%64)&1 != 0
}

// Next is the lowest number of the set from n on; ok is false if there is none.
func (s *Set) Next(n uint64) (next uint64, ok bool) {
	for i := n / 64; i < uint64(len(s.words)); i++ {
		word := s.words[i]
		if i == n/64 {
			word &= ^uint64(0) << (n % 64)
		}
		if word != 0 {
			return i*64 + uint64(bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}
