package check_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// Of what is damaged: two runs, and behind them exceptions of old chunks that have nothing to do with each other,
// over four areas.
func written() (all []format.Exception) {
	g, _ := format.NewGeometry(1)
	for i := range uint64(110) {
		x := format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
		switch {
		case i >= 100 && i < 103:
			x.Old += 5000
		case i >= 90:
			x.Old = format.OldChunk(1000 + 7*i%110*3)
		case i >= 60:
			x.Old += 300
		}
		all = append(all, x)
	}
	return all
}

// follow reports whether old chunks go on in a run from a slot to one that is so many behind it.
func follow(all []format.Exception, i, by int) bool {
	return i >= 0 && i+by < len(all) && all[i].Old+format.OldChunk(by) == all[i+by].Old
}

// damages are what one slot may suffer; other is the exception of another slot. In a run, it shows for certain what
// stood there if sure is true; where alone is true, the new chunk that is missing shows it anywhere.
var damages = []struct {
	name   string
	sure   bool
	alone  bool
	damage func(x *format.Exception, other format.Exception)
}{
	{"the new chunk is wild", true, true, func(x *format.Exception, _ format.Exception) { x.New = 1 << 60 }},
	{"the new chunk is past the end", true, true, func(x *format.Exception, _ format.Exception) { x.New += 5000 }},
	{"the new chunk is metadata", true, true, func(x *format.Exception, _ format.Exception) { x.New = 34 }},
	{"the new chunk is another's", true, false, func(x *format.Exception, other format.Exception) { x.New = other.New }},
	{"the new chunk is far", true, false, func(x *format.Exception, _ format.Exception) { x.New = 125 }},
	{"the new chunk is lost", true, true, func(x *format.Exception, _ format.Exception) { x.New = 0 }},
	{"the old chunk is wild", true, false, func(x *format.Exception, _ format.Exception) { x.Old = 1 << 60 }},
	{"the old chunk is another's", true, false, func(x *format.Exception, other format.Exception) { x.Old = other.Old }},
	{"all of it is wild", true, false, func(x *format.Exception, _ format.Exception) { *x = format.Exception{Old: 1 << 61, New: 1 << 60} }},
	{"all of it is lost", true, false, func(x *format.Exception, _ format.Exception) { *x = format.Exception{} }},
	{"all of it is another's", true, false, func(x *format.Exception, other format.Exception) { *x = other }},
	{"the new chunk is wild, and the old one another", false, false, func(x *format.Exception, _ format.Exception) {
		*x = format.Exception{Old: 700, New: 1 << 60}
	}},
}

// specOf is a store with a list.
func specOf(all []format.Exception) string {
	spec := "device 130\nheader chunk=1\n"
	for i, x := range all {
		spec += fmt.Sprintf("ex %d %d %d\n", i, x.Old, x.New)
	}
	return spec
}

// TestSuggestsWhatWas damages each slot of a list in each way. What is suggested for certain is what stood there,
// and nothing else, anywhere; between two that follow each other it is always known.
func TestSuggestsWhatWas(t *testing.T) {
	list := written()
	g, _ := format.NewGeometry(1)
	for _, c := range damages {
		for i := range list {
			all := written()
			found := false
			known := follow(list, i-1, 2) // which slot it was
			certain := known && (follow(list, i-2, 1) || follow(list, i+1, 1)) || !known && c.alone && (follow(list, i-1, 1) || follow(list, i, 1))
			c.damage(&all[i], list[(i+50)%len(list)])
			_, err := check.Run(check.Options{Device: devicetest.Of(storespec.MustCompile(t, specOf(all)))}, func(f check.Finding) error {
				s := f.Suggests
				if s == nil {
					return nil
				}
				found = true
				at := int(g.Position(s.Place))
				if s.Count != 1 || at != i || s.Unsure && c.sure && certain || !s.Unsure && (!c.sure || s.First != list[i]) {
					t.Errorf("%s, slot %d: %s at %d (unsure %v), and it was %v", c.name, i, s, at, s.Unsure, list[i])
				}
				return nil
			})
			ends := all[i] == (format.Exception{}) && i%32 == 31 // nobody knows that the list did not end there
			if err != nil || !found && known && !ends || !found && i > 0 && i < 109 && c.alone {
				t.Errorf("%s, slot %d: nothing is suggested (%v)", c.name, i, err)
			}
		}
	}
}

// TestSuggestsStretches: several slots that are lost together are suggested together, each with what stood in it, and
// only where nothing speaks against it; each finding has that.
func TestSuggestsStretches(t *testing.T) {
	wild := func(i int) format.Exception {
		return format.Exception{Old: 1<<60 + format.OldChunk(i*7919), New: 1<<61 + format.NewChunk(i*i*104729)}
	}
	for _, c := range []struct {
		name         string
		chunk        int
		first, count int // what is suggested; count 0 for nothing
		from, end    int
		slots, size  int // of the list, and the device's in sectors; 200 and 2000 where that is not said
		other        func(all []format.Exception, i int) format.Exception
	}{
		{name: "2, behind the first", chunk: 4, first: 1, count: 2},
		{name: "2, before the last", chunk: 4, first: 197, count: 2},
		{name: "5", chunk: 4, first: 61, count: 5},
		{name: "over two areas", chunk: 4, first: 120, count: 20},
		{name: "a sector", chunk: 4, first: 32, count: 32},
		{name: "more", chunk: 4, from: 32, end: 65},
		{name: "a sector that is zero", chunk: 4, first: 32, count: 32, other: func([]format.Exception, int) format.Exception { return format.Exception{} }},
		{name: "a sector that is another", chunk: 4, first: 32, count: 32, other: func(all []format.Exception, i int) format.Exception { return all[i+64] }},
		{name: "an area", chunk: 1, first: 64, count: 32},
		{name: "an area that is the one before", chunk: 1, first: 64, count: 32, other: func(all []format.Exception, i int) format.Exception { return all[i-32] }},
		{name: "an area that is the one behind", chunk: 1, first: 64, count: 32, other: func(all []format.Exception, i int) format.Exception { return all[i+32] }},
		{name: "the first slots", chunk: 4, from: 0, end: 2},
		{name: "the last slots", chunk: 4, from: 198, end: 200},
		{name: "the last area of the device, but for its last slot", chunk: 1, from: 96, end: 127, slots: 128, size: 133},
		{name: "one beside a sound one", chunk: 4, from: 20, end: 22, other: func(_ []format.Exception, i int) format.Exception {
			return []format.Exception{wild(1), {Old: 900, New: 300}}[i-20]
		}},
		{name: "an area whose last slot is sound", chunk: 1, from: 64, end: 96, other: func(_ []format.Exception, i int) format.Exception {
			if i == 95 {
				return format.Exception{Old: 900, New: 300}
			}
			return wild(i)
		}},
	} {
		g, _ := format.NewGeometry(uint32(c.chunk))
		spec, list := fmt.Sprintf("device %d\nheader chunk=%d\n", cmp.Or(c.size, 2000), c.chunk), []format.Exception{}
		for i := range cmp.Or(c.slots, 200) {
			list = append(list, format.Exception{Old: format.OldChunk(i), New: g.DataChunk(uint64(i))})
		}
		from, end := c.from, c.end
		if c.count > 0 {
			from, end = c.first, c.first+c.count
		}
		for i, x := range list {
			switch {
			case i < from || i >= end:
			case c.other != nil:
				x = c.other(list, i)
			default:
				x = wild(i)
			}
			spec += fmt.Sprintf("ex %d %d %d\n", i, x.Old, x.New)
		}
		told, suggested := 0, 0
		_, err := check.Run(check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))}, func(f check.Finding) error {
			if f.Severity == check.Error {
				told++
			}
			s := f.Suggests
			if s == nil {
				return nil
			}
			suggested++
			for i := range s.Count {
				if at := int(g.Position(s.Slot(i))); at != c.first+i || s.At(i) != list[at] {
					t.Errorf("%s: slot %d, counted over all areas, was %v", c.name, at, s.At(i))
				}
			}
			if s.Count != c.count || s.Unsure {
				t.Errorf("%s: %s, unsure %v", c.name, s, s.Unsure)
			}
			return nil
		})
		if err != nil || c.count == 0 && suggested > 0 || c.count > 0 && suggested < told {
			t.Errorf("%s: %d findings, %d suggestions (%v)", c.name, told, suggested, err)
		}
	}
}

// TestSuggestions: what is suggested says how sure it is, and an error's remedy tells of it.
func TestSuggestions(t *testing.T) {
	for _, c := range []struct {
		spec, rule, says string
		unsure           bool
	}{
		{"ex 20 100 9999", "new-chunk-beyond-device", "slot 20 was 20 -> 22", false}, // no origin has the old one
		{"ex 20 99 9999", "new-chunk-beyond-device", "slot 20 was 20 -> 22", true},
	} {
		o := check.Options{Device: devicetest.Of(storespec.MustCompile(t, run40+c.spec)), Origin: 100 * 2048}
		f := first(t, report(t, o), c.rule)
		if f.Suggests == nil || f.Suggests.Unsure != c.unsure || !strings.Contains(f.Told(), "area 0 slot 20: new chunk") || !strings.Contains(f.Told(), c.says) {
			t.Errorf("%s: %+v: %s", c.spec, f.Suggests, f.Told())
		}
		if !strings.HasPrefix(f.Remedy(), "write what its neighbours show (--rebuild); or ") {
			t.Error(f.Remedy())
		}
	}
	// Two that share a chunk: neither fits its place, or both are in the stretch that is lost.
	r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, run40+"ex 10 90 70\nex 20 91 70"))})
	if f := first(t, r, "duplicate-new-chunk"); f.Suggests != nil {
		t.Error(f.Message())
	}
	r = report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, run40+"ex 20 90 70\nex 21 90 70"))})
	if f := first(t, r, "repeated-exception"); f.Suggests == nil || f.Suggests.Slot(0).Index != 20 || f.Suggests.Count != 2 {
		t.Error(f.Message())
	}
}

// TestSuggestsAtTheEnd: what is suggested in the last area that the device has room for.
func TestSuggestsAtTheEnd(t *testing.T) {
	spec := "device 132\nheader chunk=1\nfill 96 0\nfill 32\nex 96 288 0x1000000000000000"
	f := first(t, report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))}), "new-chunk-over-56-bits")
	if s := f.Suggests; s == nil || !s.Unsure || s.First != (format.Exception{Old: 288, New: 101}) {
		t.Error(f.Message())
	}
}
