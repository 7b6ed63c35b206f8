package store_test

import (
	"bytes"
	"errors"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
	"dmcow/store/look"
)

// An area of chunks of 4 MiB has 262144 exceptions, of which the engine has 65536 in memory at a time.
const (
	largeChunk  = 8192 // sectors
	largeSlots  = 262144
	largeWindow = 65536
)

// large is a store of n exceptions, old chunk i in the ith data chunk.
func large(t *testing.T, n int) *devicetest.Memory {
	t.Helper()
	g := geometry(t, largeChunk)
	d := devicetest.New(int64(g.ChunkBytes()) * int64(n+100))
	if err := store.Initialize(d, g, nil); err != nil {
		t.Fatal(err)
	}
	list := make([]byte, n*format.ExceptionSize)
	for i := range n {
		format.Exception{Old: format.OldChunk(i), New: g.DataChunk(uint64(i))}.Encode(list[i*format.ExceptionSize:])
	}
	for area := 0; area*largeSlots < n; area++ {
		first := area * largeSlots
		d.Put(int64(g.SlotOffset(format.Place{Area: format.AreaIndex(area)})), list[first*format.ExceptionSize:min(n, first+largeSlots)*format.ExceptionSize])
	}
	return d
}

// slot is what stands in place i of the list.
func slot(t *testing.T, d *devicetest.Memory, i int) format.Exception {
	t.Helper()
	g := geometry(t, largeChunk)
	b := make([]byte, format.ExceptionSize)
	d.Peek(b, int64(g.SlotOffset(g.PlaceAt(uint64(i)))))
	return format.DecodeException(b)
}

// wantLarge wants a store to have the exceptions of large, then some more, and zeros behind.
func wantLarge(t *testing.T, d *devicetest.Memory, n int, more ...format.Exception) {
	t.Helper()
	g := geometry(t, largeChunk)
	for _, i := range []int{0, 1, n - 70001, n - 2, n - 1, largeWindow - 1, largeWindow, 2*largeWindow - 1, largeSlots - 1} {
		if want := (format.Exception{Old: format.OldChunk(i), New: g.DataChunk(uint64(max(i, 0)))}); i >= 0 && i < n && slot(t, d, i) != want {
			t.Errorf("exception %d is %+v, want %+v", i, slot(t, d, i), want)
		}
	}
	for i, want := range more {
		if got := slot(t, d, n+i); got != want {
			t.Errorf("exception %d is %+v, want %+v", n+i, got, want)
		}
	}
	end := n + len(more)
	rest := make([]byte, (largeSlots-end%largeSlots)*format.ExceptionSize)
	d.Peek(rest, int64(g.SlotOffset(g.PlaceAt(uint64(end)))))
	if !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Errorf("something stands behind exception %d", end)
	}
}

// TestLargeAreas adds exceptions where a window ends, or an area, and merges them and others away again: over
// the ends of windows, too.
func TestLargeAreas(t *testing.T) {
	for _, n := range []int{largeWindow - 2, largeWindow, 2*largeWindow - 1, largeSlots - 2} {
		d := large(t, n)
		s, err := store.Open(d, store.Options{Table: n == largeWindow})
		if err != nil {
			t.Fatal(err)
		}
		var more []format.Exception
		for _, together := range []int{1, 2, 1} {
			var pending []store.Pending
			for range together {
				p, err := s.PrepareException(format.OldChunk(1_000_000 + 7*len(more)))
				if err != nil {
					t.Fatal(err)
				}
				pending, more = append(pending, p), append(more, p.Exception)
			}
			for _, p := range pending {
				s.CommitException(p, true, func(e error) { err = errors.Join(err, e) })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		wantLarge(t, d, n, more...)
		mergeLarge(t, d, n, len(more))
	}
}

// mergeLarge merges away what was added, one by one, and then 70,000 of the n exceptions before.
func mergeLarge(t *testing.T, d *devicetest.Memory, n, more int) {
	t.Helper()
	s, err := store.Open(d, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := more; i > 0; i-- {
		if r, err := s.PrepareMerge(); err != nil || r.Count != 1 || r.Old < 1_000_000 {
			t.Fatalf("%d: %+v, %v", n, r, err)
		}
		if err := s.CommitMerge(1); err != nil {
			t.Fatal(err)
		}
	}
	wantLarge(t, d, n)
	r, err := s.PrepareMerge()
	if want := (store.Run{Old: 0, New: 2, Count: n}); err != nil || r != want {
		t.Fatalf("%+v, %v; want %+v", r, err, want)
	}
	const merged = 60_000
	if err := s.CommitMerge(merged); err != nil {
		t.Fatal(err)
	}
	wantLarge(t, d, n-merged)
}

// TestLargeHidden clears what a torn commit has left in a large area, where the caller knows that it changes
// nothing, from its end on: at any time the list ends where it did, and less is hidden. Then there is room again.
func TestLargeHidden(t *testing.T) {
	g := geometry(t, largeChunk)
	const first, end = 32, 2*largeWindow + 10
	d := large(t, 5)
	hidden := make([]byte, (end-first)*format.ExceptionSize)
	for i := range end - first {
		format.Exception{Old: format.OldChunk(500 + i), New: 2}.Encode(hidden[i*format.ExceptionSize:])
	}
	d.Put(int64(g.SlotOffset(format.Place{Index: first})), hidden)
	s, err := store.Open(d, store.Options{HiddenVoid: true})
	if err != nil {
		t.Fatal(err)
	}
	d.Fault = func(op devicetest.Op) (int, error) { // cut off before the last write
		if op.Kind == devicetest.Write && op.Offset == int64(g.SlotOffset(format.Place{})) {
			return 0, errBroken
		}
		return 0, nil
	}
	if _, err := s.PrepareException(99); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	d.Fault = nil
	h, err := look.Behind(d, g, format.End{Exceptions: 5, Place: format.Place{Index: 5}}, nil)
	if err != nil || h.First != first || h.Last != largeWindow-1 || h.Why != "" {
		t.Errorf("cut off: %+v, %v", h, err)
	}
	if s, err = store.Open(d, store.Options{HiddenVoid: true}); err != nil {
		t.Fatal(err)
	}
	p, err := s.PrepareException(99)
	if err != nil {
		t.Fatal(err)
	}
	s.CommitException(p, true, func(e error) { err = e })
	if err != nil {
		t.Fatal(err)
	}
	wantLarge(t, d, 5, p.Exception)
}
