package format_test

import (
	"math"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// TestNextFree has the ways in which the kernel comes to its next free chunk;
// it adds in 64 bits, so that it may start again from 0.
func TestNextFree(t *testing.T) {
	for _, c := range []struct {
		name, list string
		next, high format.NewChunk
	}{
		{"empty", "", 2, 0},
		{"one", "ex 0 5 2", 3, 2},
		{"header and area 0", "ex 0 5 1", 2, 1},
		{"hole", "ex 0 5 20", 21, 20},
		{"out of order", "ex 0 5 20\nex 1 6 3", 21, 20},
		{"metadata chunk skipped", "ex 0 5 33", 35, 33},
		{"wrap", "ex 0 5 max", 0, math.MaxUint64},
		{"wrap, then another", "ex 0 5 max\nex 1 6 3", 4, math.MaxUint64},
		{"wrap, then in order", "ex 0 5 max\nex 1 6 3\nex 2 7 4", 5, math.MaxUint64},
		{"wrap, then metadata", "ex 0 5 max\nex 1 6 0xffffffff\nex 2 6 max\nex 3 0 33", 35, math.MaxUint64},
		{"another, then wrap", "ex 0 5 3\nex 1 6 max", 0, math.MaxUint64},
		{"wrap, higher and lower ones", "ex 0 5 max\nex 1 6 9\nex 2 7 4", 10, math.MaxUint64},
		{"wrap at the end of an area", "fill 31\nex 31 6 max", 0, math.MaxUint64},
		{"wrap in one area, going on in the next", "fill 31\nex 31 6 max\nex 32 7 4\nex 33 8 3", 5, math.MaxUint64},
		{"one less than the wrap", "ex 0 5 0xfffffffffffffffe", math.MaxUint64, math.MaxUint64 - 1},
		// 2^64 leaves 16 when divided by the stride, 33: chunk 2^64-15 is metadata.
		{"metadata chunk near the wrap", "ex 0 5 0xfffffffffffffff0", math.MaxUint64 - 13, math.MaxUint64 - 15},
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\n"+c.list))
		checkWalk(t, c.name, d, 1)
		got, err := walked(t, walkOf(t, d, 1), false)
		if err != nil || got.end.NextFree != c.next || got.end.Highest != c.high {
			t.Errorf("%s: next free chunk %d, highest %d, %v, want %d and %d",
				c.name, got.end.NextFree, got.end.Highest, err, c.next, c.high)
		}
	}
}

// TestBeyond: the first exception whose data is not on the device is named, of
// several, and in whichever batch.
func TestBeyond(t *testing.T) {
	place := func(k format.AreaIndex, i int) *format.Place { return &format.Place{Area: k, Index: i} }
	for _, c := range []struct {
		name, list string
		want       *format.Place
	}{
		{"none", "fill 40", nil},
		{"the last chunk", "ex 0 5 199", nil},
		{"the first that is not", "ex 0 5 199\nex 1 6 200", place(0, 1)},
		{"of several", "fill 3\nex 3 0 max\nex 4 1 200\nex 5 1 3", place(0, 3)},
		{"in a later area", "fill 66\nex 66 0 300\nfill 9", place(2, 2)},
		{"in two areas", "fill 35\nex 35 0 201\nfill 40", place(1, 3)},
		{"behind the terminator", "fill 3\nex 4 0 300", nil},
	} {
		image := storespec.MustCompile(t, "device 102911b # 200 chunks and 511 bytes\nheader chunk=1\n"+c.list)
		d := devicetest.Of(image)
		checkWalk(t, c.name, d, 1)
		got, err := walked(t, walkOf(t, d, 1), false)
		at := got.end.Beyond
		if err != nil || (at == nil) != (c.want == nil) || at != nil && *at != *c.want {
			t.Errorf("%s: %v, %v, want %v", c.name, at, err, c.want)
		}
	}
}

// TestTerminator: what stands in its old chunk does not matter, and nothing
// behind it counts.
func TestTerminator(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, `
		device 200
		header chunk=1
		fill 5
		ex 5 max 0        # the terminator
		ex 6 1 100
		ex 8 2 max
		ex 32 3 101       # in the next area`))
	checkWalk(t, "terminator", d, 1)
	w := walkOf(t, d, 1)
	w.Hidden = true
	got, err := walked(t, w, false)
	if err != nil || got.end.Exceptions != 5 || got.end.NextFree != 7 || len(got.entries) != 5+26 {
		t.Errorf("%+v, %d entries, %v", got.end, len(got.entries), err)
	}
	if got.entries[7] != (entry{0, 8, 2, math.MaxUint64, true}) {
		t.Errorf("hidden: %+v", got.entries[7])
	}
}
