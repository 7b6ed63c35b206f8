package bitmap

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSet holds sets to a map, with numbers that crowd around the ends of words,
// and of the memory that they were given.
func TestSet(t *testing.T) {
	for _, given := range []int{0, 3, 1 << 10} {
		rng := rand.New(rand.NewPCG(1, 2))
		edges := []uint64{0, 64, 150, 64<<10 - 100, 1 << 20}
		m := model{T: t, set: On(make([]uint64, given)), has: map[uint64]bool{}}
		for range 20000 {
			n := edges[rng.IntN(len(edges))] + rng.Uint64N(200)
			switch rng.IntN(4) {
			case 0:
				m.add(n)
			case 1:
				m.addNew(n, 1+rng.Uint64N(150))
			case 2:
				m.addEach(rng, n)
			case 3:
				m.remove(n)
			}
			if m.set.Has(n) != m.has[n] {
				t.Fatalf("%d: in the set %v, want %v", n, m.set.Has(n), m.has[n])
			}
		}
	}
}

type model struct {
	*testing.T
	set Set
	has map[uint64]bool
}

func (m *model) add(n uint64) {
	m.Helper()
	if had := m.set.Add(n) == 1; had != m.has[n] {
		m.Fatalf("%d: was in the set %v, want %v", n, had, m.has[n])
	}
	m.has[n] = true
}

func (m *model) remove(n uint64) {
	if m.has[n] {
		m.set.Remove(n)
		delete(m.has, n)
	}
}

// addNew adds numbers if all are new.
func (m *model) addNew(first, count uint64) {
	m.Helper()
	isNew := true
	for n := first; n < first+count; n++ {
		isNew = isNew && !m.has[n]
	}
	if got := m.set.AddNew(first, count); got != isNew {
		m.Fatalf("%d from %d on: added %v, want %v", count, first, got, isNew)
	}
	for n := first; n < first+count; n++ {
		if isNew {
			m.has[n] = true
		}
		if m.set.Has(n) != m.has[n] {
			m.Fatalf("%d, after %d from %d on: in the set %v, want %v", n, count, first, m.set.Has(n), m.has[n])
		}
	}
}

// addEach adds some numbers near n, among them perhaps one twice.
func (m *model) addEach(rng *rand.Rand, n uint64) {
	m.Helper()
	var raw []byte
	var want []uint8
	flags := make([]uint8, rng.IntN(20))
	found := false
	for range flags {
		x := n + rng.Uint64N(100)
		raw = binary.LittleEndian.AppendUint64(raw, x)
		raw = binary.LittleEndian.AppendUint64(raw, rng.Uint64())
		flag := uint8(0)
		if m.has[x] {
			flag, found = 4, true
		}
		want = append(want, flag)
		m.has[x] = true
	}
	if got := m.set.AddEach(raw, n+200, flags, 4); got != found || string(flags) != string(want) {
		m.Fatalf("%v %v, want %v %v", got, flags, found, want)
	}
}

// TestNext finds the numbers of a set in order.
func TestNext(t *testing.T) {
	var s Set
	want := []uint64{0, 1, 63, 64, 127, 200, 1000}
	for _, n := range want {
		s.Add(n)
	}
	var got []uint64
	for n, ok := s.Next(0); ok; n, ok = s.Next(n + 1) {
		got = append(got, n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d, want %d", got, want)
	}
	if n, ok := s.Next(201); n != 1000 || !ok {
		t.Errorf("from 201 on: %d, %v", n, ok)
	}
	if n, ok := s.Next(1 << 40); ok {
		t.Errorf("%d", n)
	}
}
