package view

import (
	"testing"

	"dmcow/format"
	"dmcow/internal/memory"
)

// words is how many words a table's parts have.
func (t *table) size() (words uint64) {
	for i := range t.parts {
		words += uint64(len(t.parts[i].words))
	}
	return words
}

// orders are orders in which old chunks stand in a list.
var orders = map[string]func(i uint64) format.OldChunk{
	"in order":   func(i uint64) format.OldChunk { return format.OldChunk(i) },
	"every 4096": func(i uint64) format.OldChunk { return format.OldChunk(i << 12) },
	"mixed":      func(i uint64) format.OldChunk { return format.OldChunk(i * 7919 % (1 << 32)) },
}

// filled is a table that was made for n exceptions and has them, put one by one or listed.
func filled(n, news uint64, order func(uint64) format.OldChunk, listed bool, memory func(int) ([]uint64, func())) *table {
	t := newTable(n, 1<<32-1, news, memory)
	var h halves
	for i := range n {
		e := entry{t.hash(order(i)), format.Exception{Old: order(i), New: format.NewChunk(i%1000 + 2)}}
		if listed {
			h[e.hash>>63] = append(h[e.hash>>63], e)
		} else {
			t.put(e.Exception)
		}
	}
	t.add(&h)
	t.settle()
	return t
}

// TestTableRoom: a table that was made for a list has its room: none of its parts grows; exceptions spread
// evenly, and take as many bytes as the table says, whatever their order.
func TestTableRoom(t *testing.T) {
	for _, n := range []uint64{1000, manyEntries - 1, manyEntries, 3 * manyEntries} {
		for _, width := range []uint64{1, 2} {
			for name, order := range orders {
				listed := width == 1 == (name == "mixed")
				x := filled(n, []uint64{1<<32 - 1, 1 << 32}[width-1], order, listed, memory.LargePages)
				if x.width != width {
					t.Fatalf("new chunks of %d bits: slots of %d words", 31+width, x.width)
				}
				if words := x.size(); words != n/parts*3/2*parts*width+minSlots*parts*width && n > 1000 {
					t.Errorf("%d exceptions, %s: %d words", n, name, words)
				} else if words*3 < n*width*4 || words > n*width*2 {
					t.Errorf("%d exceptions, %s: %d words", n, name, words)
				}
				for i := range x.parts {
					if taken := x.parts[i].taken * parts; n > 1000 && (taken < n*7/10 || taken > n*13/10) {
						t.Errorf("%d exceptions, %s: part %d has %d", n, name, i, x.parts[i].taken)
					}
				}
				x.close()
			}
		}
	}
}

// TestTableGrows: as exceptions are added past those that a table was made for, an exception takes no more
// than the table says, and always finds a free slot near.
func TestTableGrows(t *testing.T) {
	for _, news := range []uint64{1<<32 - 1, 1 << 32} {
		x := newTable(0, 1<<32-1, news, memory.LargePages)
		for n := uint64(1); n <= 1<<17; n++ {
			x.put(format.Exception{Old: format.OldChunk(n * 7919), New: 2})
			words := x.size()
			if words*3 < n*x.width*4 || n >= 500 && words > n*x.width*2 {
				t.Fatalf("%d exceptions of %d words: %d", n, x.width, words)
			}
		}
		x.close()
	}
}

// TestQueueMemory: what waits takes 9 bytes, or 18, and there is room for as many as are to wait.
func TestQueueMemory(t *testing.T) {
	for width, news := range []uint64{1<<32 - 1, 1 << 32} {
		for _, n := range []uint64{manyEntries, 1 << 20, mostQueued} {
			asked := 0
			x := &table{width: uint64(width) + 1, memory: func(n int) ([]uint64, func()) {
				asked = n
				return make([]uint64, n), func() {}
			}}
			x.queue(n)
			words := n * x.width
			if uint64(asked) < words*9/8 || uint64(asked) > words*9/8+minSlots*x.width<<queueBits {
				t.Errorf("%d exceptions below %d: %d words", n, news, asked)
			}
		}
	}
}

// TestTableWithoutMemory: where the memory for many at once cannot be had, a table takes what there is.
func TestTableWithoutMemory(t *testing.T) {
	none := func(int) ([]uint64, func()) { return nil, func() {} }
	for _, news := range []uint64{1<<32 - 1, 1 << 32} {
		const n = 1 << 19 // whose parts are large
		x := filled(n, news, orders["mixed"], true, none)
		for i := range uint64(n) {
			if got := x.get(orders["mixed"](i)); got != format.NewChunk(i%1000+2) {
				t.Fatalf("exception %d: %d", i, got)
			}
		}
		x.close()
	}
}
