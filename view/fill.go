package view

import (
	"sync"

	"dmcow/format"
)

// A large table lies far from the processor, and a list in random order takes a slot of another place with each
// exception. So exceptions wait in queues, one for each stretch of the table that lies near when it is filled; when
// there are many of them, each queue is emptied in turn.

const (
	queueBits   = 8
	manyEntries = 1 << 16 // from as many on, exceptions wait
	mostQueued  = 1 << 22 // no more of them wait
)

// queues are of equal capacity, in one stretch of memory. The first bits of the hash choose the queue, as they choose
// the part, so that half of the queues are for half of the parts. What stands in them is as in slots.
type queues struct {
	words [1 << queueBits][]uint64
	free  func()
}

// queue has as many exceptions wait as n, or a few more.
func (t *table) queue(n uint64) {
	size := int((n>>queueBits)*9/8+minSlots) * int(t.width) // one has a few more than another
	memory, free := t.memory(size << queueBits)
	if len(memory) == 0 {
		return
	}
	t.queues = &queues{free: free}
	for i := range t.queues.words {
		t.queues.words[i] = memory[i*size:][:0:size]
	}
}

func (t *table) unqueue() {
	if t.queues != nil {
		t.queues.free()
		t.queues = nil
	}
}

// settle adds what waits; nothing waits any more then. It is called before the table is asked for anything.
func (t *table) settle() {
	if t.queues != nil {
		both(func(half int) {
			for i := range len(t.queues.words) / 2 {
				t.empty(half*len(t.queues.words)/2 + i)
			}
		})
		t.unqueue()
	}
}

// empty adds what waits in a queue.
func (t *table) empty(queue int) {
	words := t.queues.words[queue]
	t.queues.words[queue] = words[:0]
	if t.width == 1 {
		t.fill(&t.parts[queue>>(queueBits-partBits)], words)
		return
	}
	waiting := part{words: words}
	for i := uint64(0); i < uint64(len(words)); i += t.width {
		old, c := t.at(&waiting, i)
		t.insert(entry{t.hash(old), format.Exception{Old: old, New: c}}, false)
	}
}

// fill adds slots of one word to a part; it is what the time goes to. Looking at the places of several first, in a
// loop that does nothing else, has many of them on their way to the processor at once.
func (t *table) fill(p *part, all []uint64) (sum uint64) {
	var starts [lookAhead]uint64
	for len(all) > 0 {
		group := all[:min(lookAhead, len(all))]
		all = all[len(group):]
		for p.taken+lookAhead > uint64(len(p.words))/4*3 {
			t.grow(p)
		}
		words := p.words
		for n, word := range group {
			starts[n] = t.start(p, t.hash(format.OldChunk(word>>t.shift)))
			sum += words[starts[n]]
		}
		for n, word := range group {
			i := starts[n]
			for words[i] != 0 && (words[i]^word)>>t.shift != 0 {
				if i++; i == uint64(len(words)) {
					i = 0
				}
			}
			if words[i] == 0 { // of several exceptions of a chunk, the first stays
				words[i] = word
				p.taken++
			}
		}
	}
	return sum
}

type entry struct {
	hash uint64
	format.Exception
}

// halves are the exceptions of a batch, by the half of the parts that they belong to: two
// processors can add them at once.
type halves [2][]entry

// gather gathers a batch. judge is as [View.judge], nil where all exceptions are as they stand.
func (t *table) gather(h *halves, b format.Batch, judge func(format.AreaIndex, format.Exception) (format.NewChunk, bool)) {
	h[0], h[1] = h[0][:0], h[1][:0]
	for piece := range b.Pieces() {
		for i := range piece.Len() {
			x, ok := piece.At(i), true
			if judge != nil {
				x.New, ok = judge(piece.Area, x)
			}
			if ok {
				hash := t.hash(x.Old)
				h[hash>>63] = append(h[hash>>63], entry{hash, x})
			}
		}
	}
}

// fewEntries are added by one processor.
const fewEntries = 256

// add adds exceptions, or has them wait.
func (t *table) add(h *halves) {
	add := t.addAll
	if t.queues != nil {
		add = t.wait
	}
	if len(h[0])+len(h[1]) < fewEntries {
		add(h[0])
		add(h[1])
		return
	}
	both(func(half int) { add(h[half]) })
}

// both does both halves of something at once.
func both(do func(half int)) {
	var other sync.WaitGroup
	other.Go(func() { do(0) })
	do(1)
	other.Wait()
}

// wait has entries wait in their queues. One that is full is emptied before.
func (t *table) wait(all []entry) {
	for _, e := range all {
		q := &t.queues.words[e.hash>>(64-queueBits)]
		if len(*q) == cap(*q) {
			t.empty(int(e.hash >> (64 - queueBits)))
		}
		if t.width == 1 {
			*q = append(*q, uint64(e.Old)<<t.shift|uint64(e.New))
		} else {
			*q = append(*q, uint64(e.Old), uint64(e.New))
		}
	}
}

// lookAhead is how many slots are looked at before the first of them is taken.
const lookAhead = 64

// addAll adds entries.
func (t *table) addAll(all []entry) {
	for len(all) > 0 {
		n := min(lookAhead, len(all))
		t.addGroup(all[:n])
		all = all[n:]
	}
}

// addGroup adds a few entries. Looking at their slots first, in a loop that does nothing else, has many of them on
// their way to the processor at once.
func (t *table) addGroup(group []entry) (sum uint64) {
	for _, e := range group {
		p := t.part(e.hash)
		sum += p.words[t.start(p, e.hash)]
	}
	for _, e := range group {
		t.insert(e, false)
	}
	return sum
}
