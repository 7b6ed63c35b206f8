package view

import (
	"iter"
	"math/bits"
	"math/rand/v2"

	"dmcow/format"
)

// table finds the exception of an old chunk in constant time.
//
// It is a hash table with linear probing, in parts, each of which grows by itself: so
// growing takes little more memory than what is there after it. From half to three quarters
// of the slots are taken. A slot is one word where the numbers of chunks are not too large
// for that, as those of devices of 16 TiB in chunks of 4 KiB are not, else two: once there are
// some hundreds, an exception takes 11 to 16 bytes, or 21 to 32. While a large one is filled, those
// that wait take 9 bytes, or 18, each: up to 36 MiB, or 72.
type table struct {
	parts  [parts]part
	factor [2]uint64 // of the hash: odd, and others each time, so that no image can be made to collide
	width  uint64    // words of a slot
	shift  uint      // of a slot of one word, in which the old chunk stands above the new one
	memory func(words int) (zeros []uint64, free func())
	queues *queues // nil where exceptions are added at once
}

const (
	partBits = 4
	parts    = 1 << partBits
)

// part has slots. In those of two words the old chunk comes first, and then its new chunk. In a
// free slot the new chunk is zero, which is no data chunk.
type part struct {
	words []uint64
	taken uint64
	free  func()
}

// minSlots is how many slots a part has at least.
const minSlots = 8

// newTable is a table with room for n exceptions, of chunks below the given numbers. memory is
// [memory.LargePages], or a test's.
func newTable(n, olds, news uint64, memory func(int) ([]uint64, func())) *table {
	t := &table{factor: [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}, width: 2, memory: memory}
	if shift := bits.Len64(news); shift+bits.Len64(olds) <= 64 {
		t.width, t.shift = 1, uint(shift)
	}
	for i := range t.parts {
		t.reserve(&t.parts[i], n/parts*3/2+minSlots) // one part has a little more than another
	}
	if n >= manyEntries {
		t.queue(min(n/4, mostQueued))
	}
	return t
}

// largePart is from how many words on a part has memory of its own.
const largePart = 16 << 10

func (t *table) reserve(p *part, slots uint64) {
	p.words, p.free = nil, func() {}
	if slots*t.width >= largePart {
		p.words, p.free = t.memory(int(slots * t.width))
	}
	if len(p.words) == 0 {
		p.words = make([]uint64, slots*t.width)
	}
}

func (t *table) close() {
	for i := range t.parts {
		t.parts[i].free()
		t.parts[i] = part{}
	}
	t.unqueue()
}

// hash spreads chunk numbers evenly over 64 bits. The first of them choose the part.
func (t *table) hash(old format.OldChunk) uint64 {
	h := uint64(old) * t.factor[0]
	h ^= h >> 32
	return h * t.factor[1]
}

func (t *table) part(h uint64) *part { return &t.parts[h>>(64-partBits)] }

// start is the slot at which the search for a hash begins, as the index of its first word.
func (t *table) start(p *part, h uint64) uint64 {
	i, _ := bits.Mul64(h<<partBits, uint64(len(p.words))/t.width)
	return i * t.width
}

// find is where an old chunk has its slot, or the free one that it would take.
func (t *table) find(p *part, h uint64, old format.OldChunk) uint64 {
	words, i := p.words, t.start(p, h)
	if t.width == 1 {
		for words[i] != 0 && words[i]>>t.shift != uint64(old) {
			if i++; i == uint64(len(words)) {
				i = 0
			}
		}
		return i
	}
	for words[i+1] != 0 && words[i] != uint64(old) {
		if i += 2; i == uint64(len(words)) {
			i = 0
		}
	}
	return i
}

func (t *table) at(p *part, i uint64) (old format.OldChunk, c format.NewChunk) {
	if t.width == 2 {
		return format.OldChunk(p.words[i]), format.NewChunk(p.words[i+1])
	}
	word := p.words[i]
	return format.OldChunk(word >> t.shift), format.NewChunk(word & (uint64(1)<<t.shift - 1))
}

func (t *table) set(p *part, i uint64, old format.OldChunk, c format.NewChunk) {
	if t.width == 2 {
		p.words[i], p.words[i+1] = uint64(old), uint64(c)
		return
	}
	p.words[i] = uint64(old)<<t.shift | uint64(c)
}

// get is the new chunk of an old one, zero where it has no exception.
func (t *table) get(old format.OldChunk) format.NewChunk {
	h := t.hash(old)
	p := t.part(h)
	_, c := t.at(p, t.find(p, h, old))
	return c
}

// put gives an old chunk an exception, in place of the one that it has.
func (t *table) put(x format.Exception) { t.insert(entry{t.hash(x.Old), x}, true) }

// insert gives an old chunk an exception. Where it has another one, and that is not to be
// replaced, the first stays.
func (t *table) insert(e entry, replace bool) {
	p := t.part(e.hash)
	i := t.find(p, e.hash, e.Old)
	switch _, had := t.at(p, i); {
	case had == 0:
		if p.taken++; p.taken*t.width > uint64(len(p.words))/4*3 {
			t.grow(p)
			i = t.find(p, e.hash, e.Old)
		}
	case !replace:
		return
	}
	t.set(p, i, e.Old, e.New)
}

// grow gives a part more slots, of which a little more than half are taken then.
func (t *table) grow(p *part) {
	old := *p
	t.reserve(p, max(p.taken*15/8, 2*minSlots, uint64(len(old.words))/t.width*5/4))
	for i := uint64(0); i < uint64(len(old.words)); i += t.width {
		if chunk, v := t.at(&old, i); v != 0 {
			t.set(p, t.find(p, t.hash(chunk), chunk), chunk, v)
		}
	}
	old.free()
}

func (t *table) all() iter.Seq2[format.OldChunk, format.NewChunk] {
	return func(yield func(format.OldChunk, format.NewChunk) bool) {
		for n := range t.parts {
			p := &t.parts[n]
			for i := uint64(0); i < uint64(len(p.words)); i += t.width {
				if old, c := t.at(p, i); c != 0 && !yield(old, c) {
					return
				}
			}
		}
	}
}
