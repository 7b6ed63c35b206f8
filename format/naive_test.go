package format_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
)

// entry is an exception as a walk hands it out.
type entry struct {
	area   uint64
	index  int
	old    uint64
	new    uint64
	hidden bool
}

// reading is what a walk finds.
type reading struct {
	entries []entry
	end     format.End
	failed  *format.AreaError // with a nil Err where the reason is open
}

// walkedNaively is what a walk must find, by a loop that takes one exception at a time. It shares no
// code with the package.
func walkedNaively(d *devicetest.Memory, sectors uint32, hidden bool) reading {
	chunk := int64(sectors) * 512
	stride := chunk/16 + 1
	var r reading
	next, ended := uint64(2), false
	for k := int64(0); !ended; k++ {
		start := (1 + k*stride) * chunk
		area := make([]byte, min(chunk, max(d.Size()-start, 0)))
		d.Peek(area, start)
		for i := range stride - 1 {
			offset := start + i*16
			if i*16+16 > int64(len(area)) {
				r.failed = &format.AreaError{
					Area: format.AreaIndex(k), Chunk: format.NewChunk(1 + k*stride), Offset: format.Bytes(offset),
					Read: r.end.Exceptions, Err: format.ErrBeyondDevice,
				}
				ended = true
				break
			}
			read := naive.Decode(area[i*16:])
			x := entry{area: uint64(k), index: int(i), old: read.Old, new: read.New, hidden: ended}
			switch {
			case ended && hidden:
				r.entries = append(r.entries, x)
			case ended:
			case x.new == 0:
				ended = true
			default:
				r.entries = append(r.entries, x)
				next = r.count(x, next, uint64(d.Size()/chunk))
				r.end.Place = format.Place{Area: format.AreaIndex(k), Index: int(i) + 1}
				if i+2 == stride {
					r.end.Place = format.Place{Area: format.AreaIndex(k) + 1}
				}
			}
		}
	}
	if next%uint64(stride) == 1 {
		next++
	}
	r.end.NextFree = format.NewChunk(next)
	return r
}

// count is the kernel's insert_exceptions, and what End tells besides.
func (r *reading) count(x entry, next, chunks uint64) uint64 {
	r.end.Exceptions++
	r.end.Highest = max(r.end.Highest, format.NewChunk(x.new))
	if x.new >= chunks && r.end.Beyond == nil {
		r.end.Beyond = &format.Place{Area: format.AreaIndex(x.area), Index: x.index}
	}
	if next <= x.new {
		next = x.new + 1
	}
	return next
}

// walked is what format.Each finds; prepared says that the batches are taken
// apart in prepare.
func walked(t testing.TB, w format.Walk, prepared bool) (reading, error) {
	t.Helper()
	var r reading
	var prepare func(*[]entry, format.Batch)
	if prepared {
		prepare = func(p *[]entry, b format.Batch) { *p = takeApart((*p)[:0], b) }
	}
	var err error
	r.end, err = format.Each(w, prepare, func(p *[]entry, b format.Batch) error {
		if !prepared {
			*p = takeApart(nil, b)
		}
		r.entries = append(r.entries, *p...)
		return nil
	})
	if err != nil && !errors.As(err, &r.failed) {
		t.Fatalf("not an AreaError: %v", err)
	}
	return r, err
}

func takeApart(list []entry, b format.Batch) []entry {
	for p := range b.Pieces() {
		if p.Len() == 0 {
			panic("a piece without slots")
		}
		for i := range p.Len() {
			x := p.At(i)
			list = append(list, entry{uint64(p.Area), p.Index + i, uint64(x.Old), uint64(x.New), p.Hidden})
		}
	}
	return list
}

// checkWalk compares a walk, and a Scan, with the naive reading.
func checkWalk(t *testing.T, name string, d *devicetest.Memory, sectors uint32) {
	t.Helper()
	g := geometry(t, sectors)
	for _, hidden := range []bool{false, true} {
		w := format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: g, Hidden: hidden}
		want := walkedNaively(d, sectors, hidden)
		for _, prepared := range []bool{false, true} {
			got, _ := walked(t, w, prepared)
			if diff := want.differs(got); diff != "" {
				t.Fatalf("%s, hidden %v, prepared %v: %s", name, hidden, prepared, diff)
			}
		}
		end, err := format.Scan(w, func(format.AreaIndex) error { return nil })
		if !reflect.DeepEqual(end, want.end) || (err != nil) != (want.failed != nil) {
			t.Fatalf("%s: scan ends with %+v, %v, want %+v", name, end, err, want.end)
		}
	}
}

func (r reading) differs(got reading) string {
	for i := range min(len(r.entries), len(got.entries)) {
		if r.entries[i] != got.entries[i] {
			return fmt.Sprintf("exception %d is %+v, want %+v", i, got.entries[i], r.entries[i])
		}
	}
	switch {
	case len(r.entries) != len(got.entries):
		return fmt.Sprintf("%d exceptions, want %d", len(got.entries), len(r.entries))
	case !reflect.DeepEqual(r.end, got.end):
		return fmt.Sprintf("end is %+v, want %+v", got.end, r.end)
	case !reflect.DeepEqual(r.failed, got.failed):
		return fmt.Sprintf("error is %+v, want %+v", got.failed, r.failed)
	}
	return ""
}

// makeStore makes a store of n exceptions: any numbers, new chunks mostly on
// the device. Behind the terminator its area, and the next one, hold what an
// earlier life left. The device goes on for two strides.
func makeStore(sectors uint32, n int) *devicetest.Memory {
	chunk := int64(sectors) * 512
	e := chunk / 16
	last := int64(n) / e // the terminator's area
	d := devicetest.New((2 + (last+2)*(e+1)) * chunk)
	random := rand.New(rand.NewPCG(uint64(sectors), uint64(n)))
	area := make([]byte, chunk)
	for k := range last + 2 {
		for i := range e {
			old, new := random.Uint64(), 1+random.Uint64N(uint64(last+1)*uint64(e)+2)
			switch at := k*e + i; {
			case at == int64(n):
				new = 0
			case at > int64(n) && random.IntN(2) == 0:
				old, new = 0, 0
			}
			naive.Exception{Old: old, New: new}.Encode(area[i*16:])
		}
		d.Put((1+k*(e+1))*chunk, area)
	}
	return d
}
