package check_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// first is the first finding of a rule.
func first(t *testing.T, r check.Report, rule string) check.Finding {
	t.Helper()
	for _, tally := range r.Tallies {
		if tally.Name == rule {
			return tally.Findings[0]
		}
	}
	t.Fatalf("no %s: %v", rule, rules(r))
	panic("unreachable")
}

// TestGarbageOrDamage: from how many bad entries on an area is garbage, and not
// damaged in places.
func TestGarbageOrDamage(t *testing.T) {
	wild := func(first, n int) (spec string) {
		for i := first; i < first+n; i++ {
			spec += fmt.Sprintf("ex %d %d %d\n", i, 1000+i, uint64(i+3)<<58|uint64(i*7919))
		}
		return spec
	}
	again := func(first, n int) (spec string) { // of exceptions from 0 on
		for i := first; i < first+n; i++ {
			spec += fmt.Sprintf("ex %d %d %d\n", i, i-first, 300+i)
		}
		return spec
	}
	many5000 := ""
	for i := range 40 {
		many5000 += fmt.Sprintf("ex %d %d %d\n", i, i, 5000+i)
	}
	for _, c := range []struct {
		name    string
		chunk   int
		fill    int
		spec    string
		garbage bool
	}{
		{"2 of 2 impossible", 1, 0, wild(0, 2), false},
		{"3 of 3", 1, 0, wild(0, 3), true},
		{"3 of 5", 1, 2, wild(2, 3), true},
		{"3 of 6", 1, 3, wild(3, 3), false},
		{"16 of 32", 1, 16, wild(16, 16), false},
		{"17 of 32", 1, 15, wild(15, 17), true},
		{"31 of 31 repeat others", 1, 32, again(32, 31), false},
		{"32 of 32", 1, 32, again(32, 32), true},
		{"31 of 32, and one is impossible", 1, 32, again(32, 31) + "ex 63 63 0x7000000000000000", true},
		{"32 of 63", 2, 64, again(64, 32) + "ex 96 500 400\nex 97 501 401\n" + many(98, 29), true},
		{"32 of 64", 2, 64, again(64, 32) + many(96, 32), false},
		{"3 at twice the device's size", 1, 0, "ex 0 0 4000\nex 1 1 4000\nex 2 2 4000", true},
		{"3 before that", 1, 0, "ex 0 0 3999\nex 1 1 3999\nex 2 2 3999", false},
		{"3 at the end of all devices", 1, 0, "ex 0 0x40000000000000 2\nex 1 0x40000000000000 100\nex 2 0x40000000000000 200", true},
		{"40 of 40 in an order", 2, 0, many5000, false},
		{"half of them in an order", 1, 0, "ex 0 0 5000\nex 1 1 5001\nex 2 2 5002\nex 3 3 9000", true},
		{"more in an order: of a device that was larger", 1, 0, "ex 0 0 5000\nex 1 1 5001\nex 2 2 5002\nex 3 3 5003", false},
	} {
		spec := fmt.Sprintf("device 2000\nheader chunk=%d\nfill %d 0\n%s", c.chunk, c.fill, c.spec)
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		if got := count(r, "implausible-area") == 1; got != c.garbage {
			t.Errorf("%s: %v", c.name, rules(r))
		}
		if r.Outcome() != check.Damaged {
			t.Errorf("%s: %s", c.name, r.Outcome())
		}
	}
}

// TestGarbageAreas: each area of garbage is told for itself, one behind the other, too.
func TestGarbageAreas(t *testing.T) {
	spec := "device 2000\nheader chunk=1\nfill 128 0\n"
	for i := range 96 {
		if i < 64 || i >= 80 { // of the third area, a half is sound
			spec += fmt.Sprintf("ex %d %d %d\n", 32+i, 1000+i, uint64(i+3)<<58|uint64(i*7919))
		}
	}
	r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
	var got []string
	for _, f := range r.Of(check.ImplausibleArea).Findings {
		if got = append(got, f.Told()); !f.IsGarbage() {
			t.Errorf("%s: no garbage", f.Told())
		}
	}
	const tail = " hold no possible exception, or repeat another"
	if want := []string{"area 1: 32 of the 32 slots from slot 0 on" + tail, "area 2: 32 of the 32 slots from slot 0 on" + tail}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	others := r.Of(check.NewChunkOver56Bits)
	if others.Count != 16 || len(others.Findings) != check.Shown || others.Findings[0].IsGarbage() {
		t.Errorf("%d others, of which %d are kept", others.Count, len(others.Findings))
	}
	if r.Exceptions != 128 || r.Areas != 5 {
		t.Errorf("%d exceptions in %d areas", r.Exceptions, r.Areas)
	}
}

// many are sound exceptions from a slot on.
func many(first, n int) (spec string) {
	for i := first; i < first+n; i++ {
		spec += fmt.Sprintf("ex %d %d %d\n", i, 600+i, 457+i-first)
	}
	return spec
}

// TestGarbageLeavesNoTrace: the chunks that only garbage names are free for others,
// and those that others had before are not.
func TestGarbageLeavesNoTrace(t *testing.T) {
	for _, base := range []uint64{0, 1 << 33, 1<<32 - 500, 1<<32 - 20} { // low and high chunks, and both
		spec := "device 4000\nheader chunk=2\n"
		ex := func(slot int, old, new uint64) { spec += fmt.Sprintf("ex %d %d %d\n", slot, base+old, new) }
		for i := range 64 { // area 0
			ex(i, uint64(i), 262+uint64(i))
		}
		for i := range 64 { // area 1 repeats it, but for some
			if i < 10 {
				ex(64+i, 500+uint64(i), 800+uint64(i))
			} else {
				ex(64+i, uint64(i), 652+uint64(i))
			}
		}
		ex(127, 63, 0x7000000000000001) // and one that is broken
		for i := range 10 {             // what only garbage had
			ex(128+i, 500+uint64(i), 800+uint64(i))
		}
		ex(138, 3, 900) // what area 0 has
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		if f := first(t, r, "implausible-area"); f.Area != 1 || !strings.HasPrefix(f.Message(), "54 of the 64 slots from slot 0 on") {
			t.Errorf("%v: %s", f.Place, f.Message())
		}
		if r.Count(check.Error) != 2 {
			t.Errorf("%d errors: %v", r.Count(check.Error), rules(r))
		}
		if f := first(t, r, "duplicate-old-chunk"); f.Place != (format.Place{Area: 2, Index: 10}) || *f.Other != (format.Place{Index: 3}) {
			t.Errorf("%v with %v", f.Place, f.Other)
		}
	}
}

// TestPlaces: where findings are, in areas and pieces other than the first.
func TestPlaces(t *testing.T) {
	const head = "device 2000\nheader chunk=1\nfill 100 0\n"
	for _, c := range []struct {
		spec, rule string
		place      format.Place
		says       string
	}{
		{"ex 70 70 0x4000000000000000", "new-chunk-over-56-bits", format.Place{Area: 2, Index: 6}, "new chunk 0x4000000000000000 does not fit in 56 bits"},
		{"ex 64 0x170416e53 0x800000001", "header-in-area", format.Place{Area: 2}, "image of a header"},
		{"ex 65 0x170416e53 0x800000001", "new-chunk-beyond-device", format.Place{Area: 2, Index: 1}, "new chunk 34359738369"},
		{"ex 64 0x170416e53 0x800000003", "new-chunk-beyond-device", format.Place{Area: 2}, "new chunk 34359738371"},
		{"ex 64 64 67", "new-chunk-is-metadata", format.Place{Area: 2}, "its own metadata area: the mark of CVE-2013-4299"},
		{"ex 65 65 67", "new-chunk-is-metadata", format.Place{Area: 2, Index: 1}, "new chunk 67 is metadata area 2"},
		{"ex 64 64 66", "out-of-order", format.Place{Area: 2}, "in 1 places"},
		{"ex 70 70 75\nex 71 71 74\nex 80 80 85\nex 81 81 84", "out-of-order", format.Place{Area: 2, Index: 7}, "in 2 places"},
		{"ex 64 64 66\nex 70 70 66", "out-of-order", format.Place{Area: 2}, "in 2 places"},
		{"ex 102 5 7", "hidden-exceptions", format.Place{Area: 3, Index: 6}, "the list ends at slot 4 of this area, and 1 exception follows, up to slot 6"},
		{"ex 103 5 7\nex 105 5 7", "hidden-exceptions", format.Place{Area: 3, Index: 7}, "2 exceptions follow, up to slot 9; a torn commit does not explain them"},
		{"ex 100 9 0", "odd-terminator", format.Place{Area: 3, Index: 4}, "old chunk 9"},
		{"ex 128 5 7", "stale-areas", format.Place{Area: 4}, "or the list was cut off here"},
	} {
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, head+c.spec))})
		f := first(t, r, c.rule)
		if f.Place != c.place || !strings.Contains(f.Message(), c.says) {
			t.Errorf("%s: %s at %v: %s", c.spec, f.Name, f.Place, f.Message())
		}
	}
}

// TestSecondSlot: an exception that breaks a rule is found among one that does not, in a list of two.
func TestSecondSlot(t *testing.T) {
	for spec, rule := range map[string]string{
		"ex 1 1 2000": "new-chunk-beyond-device", "ex 1 1 34": "new-chunk-is-metadata", "ex 1 1 1": "new-chunk-is-metadata",
		"ex 1 0x40000000000000 3": "old-chunk-beyond-origin",
	} {
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, "device 2000\nheader chunk=1\nfill 1 0\n"+spec))})
		if f := first(t, r, rule); f.Index != 1 || r.Count(check.Error) != 1 {
			t.Errorf("%s: %v", spec, rules(r))
		}
	}
}

// TestPlacesInLargeAreas: an area that comes in pieces is numbered through.
func TestPlacesInLargeAreas(t *testing.T) {
	const chunk = 256 // sectors: an area of 8192 exceptions, in two pieces
	g, _ := format.NewGeometry(chunk)
	d := devicetest.New(int64(g.Offset(9000)))
	d.Put(0, storespec.MustCompile(t, "device 2\nheader chunk=256")[:16])
	area := make([]byte, g.ChunkBytes())
	for i := range 8000 {
		x := format.Exception{Old: format.OldChunk(i), New: format.NewChunk(2 + i)}
		switch i {
		case 5000:
			x.New = 100000
		case 6000:
			x.Old = 4500
		case 7000:
			x.New = 2 + 6999
		}
		x.Encode(area[i*16:])
	}
	d.Put(int64(g.Offset(1)), area)
	r := report(t, check.Options{Device: d})
	for rule, index := range map[string]int{"new-chunk-beyond-device": 5000, "duplicate-old-chunk": 6000, "duplicate-new-chunk": 7000} {
		if f := first(t, r, rule); f.Area != 0 || f.Index != index {
			t.Errorf("%s at %v, want index %d", rule, f.Place, index)
		}
	}
	if f := first(t, r, "duplicate-old-chunk"); f.Other == nil || f.Other.Index != 4500 {
		t.Errorf("the other one: %v", f.Other)
	}
	// And where new chunks fall for the first time.
	for i := range 8000 {
		x := format.Exception{Old: format.OldChunk(i), New: format.NewChunk(2 + i)}
		if i == 6000 || i == 6001 {
			x.New = format.NewChunk(2 + 12001 - i)
		}
		x.Encode(area[i*16:])
	}
	d.Put(int64(g.Offset(1)), area)
	if f := first(t, report(t, check.Options{Device: d}), "out-of-order"); f.Place != (format.Place{Index: 6001}) {
		t.Errorf("out of order at %v", f.Place)
	}
}

// TestOriginsEnd: a chunk that begins on the origin is on it, however short.
func TestOriginsEnd(t *testing.T) {
	image := storespec.MustCompile(t, "device 800\nheader chunk=8\nex 0 99 2")
	for bytes, want := range map[format.Bytes]uint64{100 * 4096: 0, 99*4096 + 512: 0, 99*4096 + 1: 0, 99 * 4096: 1, 50 * 4096: 1} {
		r := report(t, check.Options{Device: devicetest.Of(image), Origin: bytes})
		if got := count(r, "old-chunk-beyond-origin"); got != want {
			t.Errorf("origin of %d bytes: %d, want %d", bytes, got, want)
		}
	}
	// Without an origin, what lies on no device at all.
	for old, want := range map[uint64]uint64{1<<51 - 1: 0, 1 << 51: 1} {
		spec := fmt.Sprintf("device 800\nheader chunk=8\nex 0 %d 2", old)
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		if got := count(r, "old-chunk-beyond-origin"); got != want {
			t.Errorf("old chunk %d: %d, want %d", old, got, want)
		}
	}
}

// phases are stores of which a check does all that it can do, with the content of their origins.
var phases = map[string]struct{ spec, origin string }{
	"a walk":         {"device 400\nheader chunk=1\nfill 200", ""},
	"naming":         {"device 400\nheader chunk=1\nfill 200\nex 100 5 103", ""},
	"a lost header":  {"device 400\nlayout chunk=1\nfill 200", ""},
	"the list empty": {"device 4000\nlayout chunk=8\nfill 200\nheader chunk=1", ""},
	"a lost sector":  {"device 2000\nheader chunk=4\nfill 96 0\ndata 9\nraw 2560 00*512\nraw 135168 00*65536", "raw 0 00"},
	"a torn commit":  {"device 2000\nheader chunk=4\nfill 96 0\nraw 2560 00*512\nraw 69632 11*2048", "raw 20480 11*2048"},
	"a list cut off": {"device 600\nheader chunk=1\nfill 96\ndata 9\nraw 17408 00*512", "raw 0 00"},
	"an older life":  {"device 600\nheader chunk=1\nfill 96\nraw 17408 00*512", "raw 0 00"},
	"out of place":   {"device 600\nheader chunk=4\nfill 40\nex 20 60 120", "raw 0 00"},
	"a copied area":  {"device 600\nheader chunk=1\nfill 100 0\nraw 17408 00*512\n" + rows(32, 32), "raw 0 00"},
}

// optionsOf check one of them.
func optionsOf(t *testing.T, spec, origin string) (o check.Options, d, content *devicetest.Memory) {
	t.Helper()
	d = devicetest.Of(storespec.MustCompile(t, spec))
	o.Device = d
	if origin != "" {
		content = devicetest.Of(storespec.MustCompile(t, "device 400\n"+origin))
		o.Origin, o.Content = format.Bytes(content.Size()), content
	}
	return o, d, content
}

// TestVisitStops: in whichever phase, an error of Visit ends the check.
func TestVisitStops(t *testing.T) {
	const mostAhead = 12 // reads of a walk that runs ahead, and of what looks at few places
	stop := errors.New("stop")
	for name, c := range phases {
		for n := 0; ; n++ {
			o, d, _ := optionsOf(t, c.spec, c.origin)
			visits, reads := 0, 0
			o.Visit = func(format.AreaIndex) error {
				if visits++; visits > n {
					reads = len(d.Reads())
					return stop
				}
				return nil
			}
			_, err := check.Make(o)
			if visits <= n {
				if err != nil || n == 0 {
					t.Errorf("%s: %d visits, %v", name, visits, err)
				}
				break
			}
			if !errors.Is(err, stop) || visits > n+1 {
				t.Errorf("%s: visit %d stopped it: %v, after %d more", name, n, err, visits-n-1)
			}
			if more := len(d.Reads()) - reads; more > mostAhead {
				t.Errorf("%s: visit %d stopped it, and %d reads came behind that", name, n, more)
			}
		}
	}
}

// TestTellingStops: an error of the one who is told ends a check, whatever it was told.
func TestTellingStops(t *testing.T) {
	stop := errors.New("stop")
	all := map[string][]byte{}
	for name, c := range phases {
		all[name] = storespec.MustCompile(t, c.spec)
	}
	for _, c := range damaged.Load(t) {
		all[c.Name] = c.Image
	}
	for name, image := range all {
		for n := 1; ; n++ {
			told := 0
			_, err := check.Run(check.Options{Device: devicetest.Of(image)}, func(check.Finding) error {
				if told++; told == n {
					return stop
				}
				return nil
			})
			if told < n {
				break
			}
			if !errors.Is(err, stop) || told > n {
				t.Fatalf("%s: finding %d stopped it: %v, after %d more", name, n, err, told-n)
			}
		}
	}
}

// TestEveryReadFails: whatever cannot be read, it is said, or all is found that is found with it.
func TestEveryReadFails(t *testing.T) {
	bad := errors.New("bad sector")
	for name, c := range phases {
		o, _, _ := optionsOf(t, c.spec, c.origin)
		want := report(t, o)
		for n := 0; ; n++ {
			o, d, content := optionsOf(t, c.spec, c.origin)
			fault := devicetest.NthOp{N: n, Kinds: devicetest.Read, Err: bad}
			d.Fault = fault.Fault
			if content != nil {
				content.Fault = fault.Fault
			}
			r, err := check.Make(o)
			if !fault.Failed() {
				break
			}
			said := errors.Is(err, bad) || len(r.Unread) > 0
			misses := slices.ContainsFunc(want.Tallies, func(w check.Tally) bool { return w.Severity != check.Info && count(r, w.Name) < w.Count })
			if !said && (err != nil || misses || r.Certain() && !want.Certain()) {
				t.Errorf("%s: without read %d: %v, %v, certain %v", name, n, err, rules(r), r.Certain())
			}
		}
	}
}

// TestOrderOfRules: errors first, and those before the others that are to be seen
// to before the others.
func TestOrderOfRules(t *testing.T) {
	var names []string
	for _, r := range check.Rules() {
		names = append(names, r.Name)
	}
	before := func(a, b string) {
		i, j := slices.Index(names, a), slices.Index(names, b)
		if i < 0 || j < 0 || i > j {
			t.Errorf("%s does not come before %s", a, b)
		}
	}
	before("wrong-chunk-size", "implausible-area")
	before("area-beyond-device", "new-chunk-beyond-device")
	before("new-chunk-over-56-bits", "new-chunk-is-metadata")
	before("new-chunk-is-metadata", "new-chunk-beyond-device")
	before("new-chunk-beyond-device", "old-chunk-beyond-origin")
	before("zeroed-header", "hidden-exceptions")
	before("full", "unfinished-store")

	spec := "device 34\nheader chunk=1 valid=2\nfill 32\nex 3 3 90\nex 4 3 6"
	r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
	want := []string{"area-beyond-device", "new-chunk-beyond-device", "duplicate-old-chunk", "valid-not-one"}
	if got := rules(r); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
