package view

import (
	"flag"
	"testing"

	"pgregory.net/rapid"

	"dmcow/format"
	"dmcow/internal/memory"
)

func init() {
	if err := flag.Set("rapid.checks", "300"); err != nil {
		panic(err)
	}
}

// TestTable holds a table to a map, in slots of one word and of two.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		olds := rapid.SampledFrom([]uint64{50, 5000, 1 << 33, 1 << 54}).Draw(t, "olds")
		news := rapid.SampledFrom([]uint64{3, 1 << 12, 1<<20 - 1, 1 << 31, 1 << 55}).Draw(t, "news")
		table := newTable(rapid.Uint64Range(0, 100).Draw(t, "room"), olds, news, memory.LargePages)
		model := map[format.OldChunk]format.NewChunk{}
		draw := func(t *rapid.T) (format.OldChunk, format.NewChunk) {
			return format.OldChunk(rapid.Uint64Range(0, olds-1).Draw(t, "old")), format.NewChunk(rapid.Uint64Range(2, news-1).Draw(t, "new"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				for old, v := range model {
					if got := table.get(old); got != v {
						t.Fatalf("%d: %x, want %x", old, got, v)
					}
				}
				n := 0
				for old, v := range table.all() {
					if n++; model[old] != v {
						t.Fatalf("%d: %x, want %x", old, v, model[old])
					}
				}
				if n != len(model) {
					t.Fatalf("%d, want %d", n, len(model))
				}
			},
			"put": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					old, v := draw(t)
					table.put(format.Exception{Old: old, New: v})
					model[old] = v
				}
			},
			"list": func(t *rapid.T) {
				var h halves
				for range rapid.IntRange(1, 600).Draw(t, "n") {
					old, v := draw(t)
					hash := table.hash(old)
					h[hash>>63] = append(h[hash>>63], entry{hash, format.Exception{Old: old, New: v}})
					if model[old] == 0 { // the first stays
						model[old] = v
					}
				}
				table.add(&h)
				table.settle()
			},
			"absent": func(t *rapid.T) {
				if old, _ := draw(t); table.get(old) != model[old] {
					t.Fatal(old)
				}
			},
		})
	})
}

// TestTableOfMany: of many exceptions, some of whose chunks have two, the first is found; queues that are full are
// emptied before.
func TestTableOfMany(t *testing.T) {
	for _, news := range []uint64{1 << 31, 1 << 55} {
		const n = 3 * manyEntries
		table := newTable(manyEntries, n, news, memory.LargePages)
		var h halves
		for i := range uint64(n) {
			old := format.OldChunk(i * 7919 % (n - 1000))
			e := entry{table.hash(old), format.Exception{Old: old, New: format.NewChunk(i + 2)}}
			h[e.hash>>63] = append(h[e.hash>>63], e)
			if i%1000 == 0 {
				table.add(&h)
				h = halves{}
				keepMemory(t, table)
			}
		}
		table.add(&h)
		table.settle()
		for i := range uint64(n) {
			old := format.OldChunk(i * 7919 % (n - 1000))
			if got := table.get(old); got != format.NewChunk(i%(n-1000)+2) {
				t.Fatalf("chunk %d: %d", old, got)
			}
		}
		table.close()
	}
}

// keepMemory wants the queues to have the memory that they were given: one that grows takes more.
func keepMemory(t *testing.T, x *table) {
	t.Helper()
	for i, q := range x.queues.words {
		if cap(q) != cap(x.queues.words[0]) {
			t.Fatalf("queue %d has grown to %d words", i, cap(q))
		}
	}
}

// TestTableMemory: an exception never takes more than 32 bytes, also as more are added.
func TestTableMemory(t *testing.T) {
	for _, news := range []uint64{1 << 32, 1 << 55} {
		used, most, freed := 0, 0, 0
		counted := func(n int) ([]uint64, func()) {
			if n < largePart {
				t.Errorf("pages for %d words", n)
			}
			used += n
			most = max(most, used)
			return make([]uint64, n), func() { used, freed = used-n, freed+1 }
		}
		const made = 1 << 19
		table := filled(made, news, func(i uint64) format.OldChunk { return format.OldChunk(i * 7919) }, true, counted)
		most = used
		for n := range uint64(1 << 20) {
			table.put(format.Exception{Old: format.OldChunk(n * 7919), New: format.NewChunk(n + 2)})
			if limit := 4 * max(n, made); uint64(most) > limit {
				t.Fatalf("%d words for %d exceptions", most, n)
			}
		}
		if freed < 1+parts {
			t.Errorf("%d parts grew", freed-1)
		}
		table.close()
		if used != 0 {
			t.Errorf("%d words were not given back", used)
		}
	}
}
