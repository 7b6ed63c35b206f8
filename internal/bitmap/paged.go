package bitmap

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// Paged is a set of numbers that takes memory only near those that it has: for each 32768 numbers of which it has
// some, two bytes for each, and 4 KiB from when these are more. The zero value is an empty set.
type Paged struct {
	pages map[uint64]*page
	count uint64
	key   uint64 // of the page that was used last
	last  *page
}

const (
	pageWords = 512
	pageBits  = 64 * pageWords
	mostFew   = 512 // numbers of a page: adding one to many takes long
)

// page is the numbers of a page, counted from its first.
type page struct {
	few []uint16           // in order, where all is nil
	all *[pageWords]uint64 // a bit for each
}

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
		within := first % pageBits
		n := min(count, pageBits-within)
		s.count += s.page(first).add(within, n)
		first, count = first+n, count-n
	}
}

// add adds count numbers, and returns how many of them are new.
func (p *page) add(first, count uint64) (added uint64) {
	if p.all == nil && uint64(len(p.few))+count <= mostFew {
		return p.addFew(uint16(first), int(count))
	}
	if p.all == nil {
		p.all = new([pageWords]uint64)
		p.spread(p.all)
		p.few = nil
	}
	for count > 0 {
		mask, covered := span(first, count)
		word := &p.all[first/64]
		added += uint64(bits.OnesCount64(mask &^ *word))
		*word |= mask
		first, count = first+covered, count-covered
	}
	return added
}

func (p *page) addFew(first uint16, count int) (added uint64) {
	for i := range count {
		n := first + uint16(i)
		if at, has := slices.BinarySearch(p.few, n); !has {
			if len(p.few) == cap(p.few) { // a little more: there may be many pages
				p.few = append(make([]uint16, 0, len(p.few)*5/4+4), p.few...)
			}
			p.few = slices.Insert(p.few, at, n)
			added++
		}
	}
	return added
}

// Compact has the set take no more memory than it needs: what was added one by one lies in many pieces, each with a little
// room. More can be added all the same.
func (s *Paged) Compact() {
	few := 0
	for _, p := range s.pages {
		few += len(p.few)
	}
	together := make([]uint16, 0, few)
	for _, p := range s.pages {
		at := len(together)
		together = append(together, p.few...)
		p.few = together[at:len(together):len(together)]
	}
}

// Minus is a set of those that are not in the other one.
func (s *Paged) Minus(other *Paged) (left Paged) {
	left.pages = make(map[uint64]*page, len(s.pages))
	for key, p := range s.pages {
		if p = p.minus(other.pages[key]); p.count() > 0 {
			left.pages[key] = p
			left.count += p.count()
		}
	}
	left.Compact()
	return left
}

// minus is a page of those that are not in the other one, which may be nil.
func (p *page) minus(other *page) *page {
	if other == nil {
		other = new(page)
	}
	if p.all != nil {
		left := *p.all
		for _, n := range other.few {
			left[n/64] &^= 1 << (n % 64)
		}
		if other.all != nil {
			for i, word := range other.all {
				left[i] &^= word
			}
		}
		return &page{all: &left}
	}
	left := &page{few: make([]uint16, 0, len(p.few))}
	for _, n := range p.few {
		if !other.has(n) {
			left.few = append(left.few, n)
		}
	}
	return left
}

// count is how many numbers the page has.
func (p *page) count() uint64 {
	n := len(p.few)
	if p.all != nil {
		for _, word := range p.all {
			n += bits.OnesCount64(word)
		}
	}
	return uint64(n)
}

// spread sets the bits of few numbers.
func (p *page) spread(words *[pageWords]uint64) {
	for _, n := range p.few {
		words[n/64] |= 1 << (n % 64)
	}
}

// Has reports whether n is in the set. Several goroutines may ask at once, while none adds.
func (s *Paged) Has(n uint64) bool {
	p := s.pages[n/pageBits]
	return p != nil && p.has(uint16(n%pageBits))
}

func (p *page) has(n uint16) bool {
	if p.all == nil {
		_, has := slices.BinarySearch(p.few, n)
		return has
	}
	return p.all[n/64]>>(n%64)&1 != 0
}

// Count is how many numbers the set has.
func (s *Paged) Count() uint64 { return s.count }

// Runs are the numbers of the set in order: the first of each run of consecutive ones, and
// how many these are. The set must not change meanwhile.
func (s *Paged) Runs() iter.Seq2[uint64, uint64] {
	return func(yield func(first, count uint64) bool) {
		var first, count uint64
		for base, word := range s.words() {
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
		if count > 0 {
			yield(first, count)
		}
	}
}

// words are the words in order that have a bit, each with the number of its first.
func (s *Paged) words() iter.Seq2[uint64, uint64] {
	return func(yield func(base, word uint64) bool) {
		var some [pageWords]uint64
		for _, key := range slices.Sorted(maps.Keys(s.pages)) {
			words := s.pages[key].all
			if words == nil {
				some = [pageWords]uint64{}
				words = &some
				s.pages[key].spread(words)
			}
			for i, word := range words {
				if word != 0 && !yield(key*pageBits+uint64(i)*64, word) {
					return
				}
			}
		}
	}
}
