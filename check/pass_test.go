package check_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// count is how often a rule found something.
func count(r check.Report, rule string) uint64 {
	for _, t := range r.Tallies {
		if t.Name == rule {
			return t.Count
		}
	}
	return 0
}

// TestDuplicatesAreNamed: which exception is told of, by which rule, and which other
// it names.
func TestDuplicatesAreNamed(t *testing.T) {
	const head = "device 800\nheader chunk=1\nfill 70 0\n"
	for _, c := range []struct {
		spec string
		want []string // "RULE AREA.INDEX with AREA.INDEX"
	}{
		{"ex 40 3 200", []string{"duplicate-old-chunk 1.8 with 0.3"}},
		{"ex 40 200 5", []string{"duplicate-new-chunk 1.8 with 0.3"}},
		{"ex 40 3 5", []string{"repeated-exception 1.8 with 0.3"}},
		{"ex 40 3 200\nex 69 3 201", []string{"duplicate-old-chunk 1.8 with 0.3", "duplicate-old-chunk 2.5 with 0.3"}},
		// The later of two is told, and once.
		{"ex 40 3 10", []string{"duplicate-old-chunk 1.8 with 0.3"}},
		// Repeated from one that is a duplicate itself.
		{"ex 40 3 200\nex 50 3 200", []string{"duplicate-old-chunk 1.8 with 0.3", "repeated-exception 1.18 with 1.8"}},
		// The first chunk of which no bitmap knows.
		{"ex 3 0x100000000 5\nex 40 0x100000000 42", []string{"duplicate-old-chunk 1.8 with 0.3"}},
		{"ex 3 0x100000000 5\nex 63 63 66\nex 64 0x100000000 68\nex 65 0 0", []string{"duplicate-old-chunk 2.0 with 0.3"}},
		// The list's end, whose old or new chunks fall.
		{"ex 3 200 5\nex 64 205 68\nex 65 204 69\nex 66 203 70\nex 67 202 71\nex 68 201 72\nex 69 200 73", []string{"duplicate-old-chunk 2.5 with 0.3"}},
		{"ex 3 3 200\nex 64 64 205\nex 65 65 204\nex 66 66 203\nex 67 67 202\nex 68 68 201\nex 69 69 200", []string{"duplicate-new-chunk 2.5 with 0.3"}},
		{"ex 1 300 3\nex 2 301 4\nex 64 1 68\nex 65 0 69\nex 66 0 0", []string{"duplicate-old-chunk 2.1 with 0.0"}},
		// All that do not break a rule by themselves.
		{"ex 64 64 0x7000000000000000\nex 65 3 200\nex 66 0 0", []string{"duplicate-old-chunk 2.1 with 0.3"}},
		// One that breaks a rule by itself has no say.
		{"ex 3 3 0x7000000000000000\nex 40 3 200", nil},
	} {
		var got []string
		_, err := check.Run(check.Options{Device: devicetest.Of(storespec.MustCompile(t, head+c.spec))}, func(f check.Finding) error {
			if f.Other != nil {
				got = append(got, fmt.Sprintf("%s %d.%d with %d.%d", f.Name, f.Area, f.Index, f.Other.Area, f.Other.Index))
			}
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q (%v)", c.spec, got, c.want, err)
		}
	}
}

// long is a device of so many chunks with a list of n exceptions.
func long(t *testing.T, sectors uint32, n uint64, chunks format.NewChunk, exception func(i uint64) format.Exception) *devicetest.Memory {
	t.Helper()
	g, err := format.NewGeometry(sectors)
	if err != nil {
		t.Fatal(err)
	}
	d := devicetest.New(int64(g.Offset(chunks)))
	d.Put(0, storespec.MustCompile(t, fmt.Sprintf("device 2\nheader chunk=%d", sectors))[:16])
	e, area := uint64(g.ExceptionsPerArea()), make([]byte, g.ChunkBytes())
	for i := range n {
		x := exception(i)
		x.Encode(area[i%e*16:])
		if i%e == e-1 || i == n-1 {
			d.Put(int64(g.Offset(g.AreaLocation(format.AreaIndex(i/e)))), area)
			clear(area)
		}
	}
	return d
}

// TestManyDuplicates: more hits than are kept at a time are all told, once each and
// in the list's order, by the right rule. Of repeated exceptions each names the other
// one, of duplicates the first ones do.
func TestManyDuplicates(t *testing.T) {
	const n, named = 150000, 1 << 15
	g, _ := format.NewGeometry(1)
	for rule, again := range map[string]func(i uint64) format.Exception{ // of exception i of the first half
		"duplicate-old-chunk": func(i uint64) format.Exception {
			return format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i + n)}
		},
		"duplicate-new-chunk": func(i uint64) format.Exception {
			return format.Exception{Old: format.OldChunk(i + n), New: g.DataChunk(i)}
		},
		"repeated-exception": func(i uint64) format.Exception { return format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)} },
	} {
		var want []uint64
		d := long(t, 1, 2*n, g.DataChunk(2*n)+100, func(i uint64) format.Exception {
			if i >= n && i%3 == 0 { // no more than half of an area, which would be garbage
				want = append(want, i)
				return again(i - n)
			}
			return format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
		})
		var got []uint64
		_, err := check.Run(check.Options{Device: d}, func(f check.Finding) error {
			if f.Severity != check.Error {
				return nil
			}
			i := uint64(f.Area)*32 + uint64(f.Index)
			got = append(got, i)
			isNamed := rule == "repeated-exception" || len(got) <= named
			if f.Name != rule || (f.Other != nil) != isNamed || isNamed && uint64(f.Other.Area)*32+uint64(f.Other.Index) != i-n {
				t.Fatalf("%s at %d, as number %d: %+v; want %s", f.Name, i, len(got), f.Other, rule)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d findings, want %d (%v)", rule, len(got), len(want), err)
		}
		if len(want) <= named {
			t.Error("that is no more than are kept at a time")
		}
	}
}

// TestManyRepeats: where there are more repeated exceptions than it is looked at of what, each is told
// once, too, in the list's order: the others as what is worse, without the other one.
func TestManyRepeats(t *testing.T) {
	const first, named = 256, 1 << 19
	g, _ := format.NewGeometry(8)
	d := long(t, 8, first+named+100, g.DataChunk(named*2), func(i uint64) format.Exception {
		return format.Exception{Old: format.OldChunk(i % first), New: g.DataChunk(i % first)}
	})
	n, stop := uint64(first), errors.New("stop")
	_, err := check.Run(check.Options{Device: d, Single: true}, func(f check.Finding) error {
		if f.Severity != check.Error {
			return nil
		}
		want := check.RepeatedException
		if n >= first+named {
			want = check.DuplicateOldChunk
		}
		if g.Position(f.Place) != n || f.Rule != want || (f.Other == nil) != (want == check.DuplicateOldChunk) || f.Other != nil && g.Position(*f.Other) != n%first {
			t.Fatalf("%s at %d, and the other one is %v; want %s at %d", f.Name, g.Position(f.Place), f.Other, want.Name, n)
		}
		if n++; n == first+named+100 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != first+named+100 {
		t.Errorf("up to %d, %v", n, err)
	}
}

// TestManySuggestions: of 4096 exceptions that break a rule it is looked for what they were, and where there are
// more of none, but all are told; of those that share chunks with others, of the first 4096.
func TestManySuggestions(t *testing.T) {
	const most = 4096
	g, _ := format.NewGeometry(8)
	for _, n := range []uint64{most, most + 1} {
		for rule, bad := range map[string]func(i uint64) format.NewChunk{
			"new-chunk-beyond-device": func(i uint64) format.NewChunk { return g.DataChunk(20000 + i) },
			"duplicate-new-chunk":     func(i uint64) format.NewChunk { return g.DataChunk(i - 1) },
		} {
			d := long(t, 8, 3*n+3, 20000, func(i uint64) format.Exception {
				x := format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
				if i%3 == 1 && i < 3*n {
					x.New = bad(i)
				}
				return x
			})
			told, suggested, want := uint64(0), uint64(0), uint64(most)
			if n > most && rule == "new-chunk-beyond-device" {
				want = 0
			}
			_, err := check.Run(check.Options{Device: d}, func(f check.Finding) error {
				if f.Name == rule {
					told++
				}
				if f.Suggests != nil {
					suggested++
				}
				return nil
			})
			if err != nil || told != n || suggested != want {
				t.Errorf("%d of %s: %d are told, %d suggestions (%v)", n, rule, told, suggested, err)
			}
		}
	}
}

// TestGarbageTakesNoMemory: chunk numbers near 2^64 and near 2^32 make nothing
// grow, however many there are.
func TestGarbageTakesNoMemory(t *testing.T) {
	spec := "device 20000\nheader chunk=1\n"
	for i := range 15000 {
		spec += fmt.Sprintf("ex %d %d %d\n", i, uint64(1)<<40+uint64(i)*7919<<20, 2+i+i/32)
	}
	d := devicetest.Of(storespec.MustCompile(t, spec))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := report(t, check.Options{Device: d})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	if r.Outcome() != check.Sound {
		t.Errorf("%v", rules(r))
	}
	// And a duplicate among them is found.
	d = devicetest.Of(storespec.MustCompile(t, spec+fmt.Sprintf("ex 15000 %d 16000\n", uint64(1)<<40)))
	if r = report(t, check.Options{Device: d}); count(r, "duplicate-old-chunk") != 1 {
		t.Errorf("%v", rules(r))
	}
}

// TestTooManyHighChunks: there is a limit to how many chunks from 2^32 on are
// remembered, and the report says when it was reached.
func TestTooManyHighChunks(t *testing.T) {
	const n = 1 << 17
	g, _ := format.NewGeometry(8)
	for more, want := range map[uint64]bool{0: false, 1: true} {
		d := long(t, 8, n+more, g.DataChunk(n)+1000, func(i uint64) format.Exception {
			return format.Exception{Old: format.OldChunk(1<<33 + 3*i), New: g.DataChunk(i)}
		})
		r := report(t, check.Options{Device: d})
		if slices.ContainsFunc(r.Untested, func(s string) bool { return strings.Contains(s, "too many to remember") }) != want {
			t.Errorf("%d more: %q", more, r.Untested)
		}
	}
}

// TestLargeAreas: an area that comes in pieces is one area, with one finding where
// it is garbage, and what is behind its pieces' ends is found, too.
func TestLargeAreas(t *testing.T) {
	const chunk = 512 // sectors: an area of 16384 exceptions, 256 KiB
	g, _ := format.NewGeometry(chunk)
	d := devicetest.New(int64(g.Offset(g.AreaLocation(1)) + 4*g.ChunkBytes()))
	d.Put(0, storespec.MustCompile(t, "device 2\nheader chunk=512")[:16])
	garbage := make([]byte, g.ChunkBytes())
	for i := range garbage {
		garbage[i] = 0xa5
	}
	d.Put(int64(g.Offset(1)), garbage)
	r := report(t, check.Options{Device: d})
	if count(r, "implausible-area") != 1 || r.Count(check.Error) != 1 {
		t.Errorf("%v", rules(r))
	}
	// Exceptions hidden in the area's last piece.
	clear(garbage)
	x := format.Exception{Old: 5, New: 2}
	x.Encode(garbage)
	x = format.Exception{Old: 6, New: 3}
	x.Encode(garbage[len(garbage)-16:])
	d.Put(int64(g.Offset(1)), garbage)
	if r = report(t, check.Options{Device: d}); count(r, "hidden-exceptions") != 1 {
		t.Errorf("%v", rules(r))
	}
}

// TestUnreadable: what can be read is checked, and what cannot is said; also where
// that is behind the list's end, or in the header's chunk.
func TestUnreadable(t *testing.T) {
	bad := errors.New("bad sector")
	image := storespec.MustCompile(t, "device 4096\nheader chunk=8\nfill 300 0\nex 5 4 7")
	for name, c := range map[string]struct {
		bad    int64
		unread bool
		dups   uint64
	}{
		"none":                 {-1, false, 1},
		"area 1":               {258 * 8 * 512, true, 1},
		"behind the list":      {258*8*512 + 4000, true, 1},
		"the header's chunk":   {512 * 6, true, 0}, // then nothing is known of it
		"data":                 {8192, false, 1},
		"a sector of area 0":   {4096 + 1024, true, 1},
		"area 0 from there on": {4096 + 64, true, 0},
	} {
		d := devicetest.Of(image)
		if c.bad >= 0 {
			d.Fault = devicetest.BadByte(c.bad, bad)
		}
		r, err := check.Make(check.Options{Device: d})
		if err == nil && (len(r.Unread) > 0) != c.unread {
			t.Errorf("%s: unread %v, want %v", name, r.Unread, c.unread)
		}
		if (err != nil) != (name == "the header's chunk") || err != nil && !errors.Is(err, bad) {
			t.Errorf("%s: %v", name, err)
		}
		if got := count(r, "duplicate-old-chunk"); got != c.dups {
			t.Errorf("%s: %d duplicates, want %d", name, got, c.dups)
		}
	}
}

// TestUnreadableLater: what can no longer be read when duplicates are named is said;
// they are told all the same.
func TestUnreadableLater(t *testing.T) {
	bad := errors.New("bad sector")
	d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=1\nfill 70 0\nex 40 3 200"))
	reads := 0 // of area 0, with which a walk begins
	d.Fault = func(op devicetest.Op) (int, error) {
		if op.Offset == 512 && op.Length > 0 {
			if reads++; reads > 1 {
				return 0, bad
			}
		}
		return 0, nil
	}
	r := report(t, check.Options{Device: d})
	if len(r.Unread) == 0 || !errors.Is(r.Unread[0], bad) {
		t.Errorf("%v", r.Unread)
	}
	if f := first(t, r, "duplicate-old-chunk"); f.Other != nil || !strings.Contains(f.Message(), "somewhere before it") {
		t.Errorf("%v: %s", f.Other, f.Message())
	}
}

// TestNextChunk: there are no warnings about chunks that there cannot be.
func TestNextChunk(t *testing.T) {
	for spec, want := range map[string][]string{
		"device 34\nheader chunk=1\nfill 10 0\nex 10 500 33":       {"full", "leaked-chunks"},
		"device 200\nheader chunk=1\nfill 10 0\nex 10 500 33":      {"next-chunk-is-metadata", "leaked-chunks"},
		"device 200\nheader chunk=1\nfill 5 0\nex 5 15 max":        {"new-chunk-over-56-bits"}, // the kernel's next chunk wraps to 0
		"device 200\nheader chunk=1\nfill 5 0\nex 5 15 0x10000000": {"new-chunk-beyond-device", "full"},
	} {
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		if got := rules(r); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", spec, got, want)
		}
	}
}
