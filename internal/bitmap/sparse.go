package bitmap

import "math/bits"

// Sparse is a set of few numbers of very many: a word each, in the memory that it was given. It is an open hash table.
type Sparse struct {
	slots []uint64 // number + 1, 0 where there is none
	taken int
}

// SparseOn is an empty set in words, all of them zero. It has room for three quarters as many numbers.
func SparseOn(words []uint64) Sparse { return Sparse{slots: words} }

// SparseWords is how many words a set of n numbers takes.
func SparseWords(n uint64) uint64 { return n/3*4 + 8 }

// IsFull reports whether nothing more can be added.
func (s *Sparse) IsFull() bool { return s.taken >= len(s.slots)/4*3 }

// find is the slot that has n, or the free one that it would take.
func (s *Sparse) find(n uint64) int {
	i := s.start(n)
	for s.slots[i] != 0 && s.slots[i] != n+1 {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	return i
}

// start is where the search for n begins.
func (s *Sparse) start(n uint64) int {
	h := n * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	i, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(i)
}

// Add adds n, for which there is room, and returns 1 where it was there before, else 0.
func (s *Sparse) Add(n uint64) (had uint64) {
	i := s.find(n)
	if s.slots[i] != 0 {
		return 1
	}
	s.slots[i] = n + 1
	s.taken++
	return 0
}

// Has reports whether n is in the set.
func (s *Sparse) Has(n uint64) bool { return len(s.slots) > 0 && s.slots[s.find(n)] != 0 }

// Remove takes n out of the set. Those behind it in its row move up, so that they are found.
func (s *Sparse) Remove(n uint64) {
	i := s.find(n)
	if s.slots[i] == 0 {
		return
	}
	s.taken--
	for gap := i; ; {
		s.slots[gap] = 0
		for {
			if i++; i == len(s.slots) {
				i = 0
			}
			if s.slots[i] == 0 {
				return
			}
			// What begins its search in (gap, i] is found where it is.
			if begin := s.start(s.slots[i] - 1); (begin-gap-1+len(s.slots))%len(s.slots) >= (i-gap+len(s.slots))%len(s.slots) {
				break
			}
		}
		s.slots[gap], gap = s.slots[i], i
	}
}
