package repair_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestUndecided has damage that one reading explains and another does as well: without
// the user's word it stays as it is, byte for byte.
func TestUndecided(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 40\ndata 9\n"
	var rising, parallel bytes.Buffer // of a device that was much larger
	for i := range 8 {
		fmt.Fprintf(&rising, "ex %d %d %d\n", 32+i, 200+i, 4000+i)
	}
	for i, new := range []int{4000, 4100, 4050, 4200, 4150} {
		fmt.Fprintf(&parallel, "ex %d %d %d\n", 32+i, 200+i, new)
	}
	for name, c := range map[string]struct {
		spec    string
		want    []string // rules
		choices repair.Choices
	}{
		"a repeated one, and a choice that its slot would turn round": {
			store + "ex 1 0 2\nex 20 400 120\nex 39 400 130", []string{"duplicate-old-chunk", "repeated-exception"}, repair.Choices{}},
		"a repeated one that may be the last":          {store + "ex 20 3 200\nex 30 3 3", []string{"duplicate-old-chunk"}, repair.Choices{}},
		"a repeated one":                               {store + "ex 20 3 3", []string{"repeated-exception"}, repair.Choices{}},
		"two of one chunk, with the same data":         {"device 400\nheader chunk=1\nfill 10\nex 9 3 11", []string{"duplicate-old-chunk"}, repair.Choices{}},
		"garbage that ends early":                      {"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*80 00*100 a5*332", []string{"hidden-exceptions"}, repair.Choices{}},
		"garbage that fills the area":                  {"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*512", []string{"implausible-area"}, repair.Choices{}},
		"an area that is a copy of another":            {"device 4000\nheader chunk=1\nfill 96\n" + again(32, 0), []string{"implausible-area"}, repair.Choices{}},
		"the image of a header":                        {store + "ex 32 0x170416e53 0x800000001", []string{"header-in-area"}, repair.Choices{}},
		"a torn commit, and no origin":                 {"device 400\nheader chunk=2\nfill 28 0\nex 32 82 34\nex 33 83 35", []string{"hidden-exceptions"}, repair.Choices{}},
		"an exception without its new chunk":           {store + "ex 40 7 0", []string{"odd-terminator"}, repair.Choices{}},
		"one that was damaged, at an area's beginning": {"device 400\nheader chunk=1\nfill 33\nex 32 5 0xff00000000000023", []string{"new-chunk-over-56-bits"}, repair.Choices{}},
		"a device that was much larger, copies in parallel": {
			"device 400\nheader chunk=1\nfill 32\n" + parallel.String(), []string{"implausible-area"}, repair.Choices{}},
		"two repeated ones, and a choice whose both would move": {
			store + "ex 1 0 2\nex 33 93 33\nex 38 400 120\nex 39 400 130", []string{"duplicate-old-chunk", "repeated-exception"}, repair.Choices{}},
		"hidden, the list going on in the next area": {
			"device 400\nheader chunk=1\nfill 40\nex 30 0 0\nex 31 9 5", []string{"hidden-exceptions"}, repair.Choices{}},
		"a gap between bad ones":            {store + "ex 20 7 9999\nex 21 0 0\nex 22 9 9999", []string{"hidden-exceptions"}, repair.Choices{Hidden: repair.KeepHidden}},
		"a device that was much larger":     {store + rising.String(), []string{"new-chunk-beyond-device"}, repair.Choices{}},
		"garbage, and exceptions behind it": {"device 400\nheader chunk=1\nfill 96\nraw 17408 a5*512", []string{"implausible-area"}, repair.Choices{}},
		"garbage, and what may be the rest of the list behind its end": {
			"device 400\nheader chunk=1\nfill 96\nraw 17408 a5*80 00*432", []string{"implausible-area"}, repair.Choices{}},
		"garbage, and one exception in it":              {"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*512\nex 40 200 60", []string{"implausible-area"}, repair.Choices{}},
		"garbage in the first area":                     {"device 400\nheader chunk=1\nraw 512 a5*512", []string{"implausible-area"}, repair.Choices{}},
		"hidden ones, of which one is in the list, too": {"device 400\nheader chunk=1\nfill 10\nex 12 3 3\nex 13 70 80", []string{"hidden-exceptions"}, repair.Choices{}},
		"no other field of the header":                  {"device 400\nheader chunk=1 magic=0 version=7\nfill 40", []string{"lost-header"}, repair.Choices{}},
		"shared":                                        {store + "ex 20 20 8", []string{"duplicate-new-chunk"}, repair.Choices{}},
		"shared, by one of several of which one is repeated": {
			store + "ex 1 3 2\nex 20 3 200\nex 30 3 2", []string{"duplicate-new-chunk", "duplicate-old-chunk"}, repair.Choices{Unshare: true}},
		"behind the device": {"device 100\nheader chunk=1\nlayout chunk=1\nfill 64", nil, repair.Choices{}},
	} {
		t.Run(name, func(t *testing.T) {
			image := storespec.MustCompile(t, c.spec)
			p, err := repair.Make(options(devicetest.Of(image), patient{}.origin(image), c.choices))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range p.Undecided {
				got = append(got, m.Rule.Name)
				if m.Advice == "" || len(m.Lines) == 0 {
					t.Errorf("nothing is said of what to do: %+v", m)
				}
			}
			if slices.Sort(got); !slices.Equal(got, c.want) || len(p.Steps) > 0 {
				t.Errorf("%v, expected %v; %d steps", got, c.want, len(p.Steps))
			}
		})
	}
}

// again are 32 exceptions from a slot on that repeat those of a fill from another one on.
func again(at, from int) (spec string) {
	for i := range 32 {
		spec += fmt.Sprintf("ex %d %d %d\n", at+i, 3*(from+i), 2+from+i)
	}
	return spec
}

// TestMendedByTheWord has damage that one word of the user's mends.
func TestMendedByTheWord(t *testing.T) {
	for name, c := range map[string]struct {
		spec    string
		want    string // spec of what it is to be
		choices repair.Choices
	}{
		"two of one chunk, with the same data": {
			"device 400\nheader chunk=1\nfill 10\nex 9 3 11", "device 400\nheader chunk=1\nfill 9", repair.Choices{Keep: repair.KeepFirst}},
		"one that is there twice": {
			"device 400\nheader chunk=1\nfill 10\nex 9 3 3", "device 400\nheader chunk=1\nfill 9", repair.Choices{Keep: repair.KeepFirst}},
		"garbage that ends early": {
			"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*80 00*100 a5*332", "device 400\nheader chunk=1\nfill 32", repair.Choices{Drop: true}},
		"garbage that was cleared in part": {
			"device 400\nheader chunk=2\nfill 64\nraw 68112 a5*16", "device 400\nheader chunk=2\nfill 64", repair.Choices{Drop: true}},
		"an exception without its new chunk, dropped": {
			"device 400\nheader chunk=1\nfill 10\nex 10 7 0", "device 400\nheader chunk=1\nfill 10", repair.Choices{Drop: true}},
		"an exception without its new chunk, rebuilt": {
			"device 400\nheader chunk=1\nfill 10\nex 10 7 0", "device 400\nheader chunk=1\nfill 10\nex 10 7 12", repair.Choices{Rebuild: true}},
		"a lost sector in a run": {
			"device 400\nheader chunk=2\nfill 100 0\nraw 0x600 00*512", "device 400\nheader chunk=2\nfill 100 0", repair.Choices{Rebuild: true, Warnings: true}},
		"a lost sector in a run, in the list's last area": {
			"device 600\nheader chunk=4\nfill 100 0\nraw 0xa00 00*512", "device 600\nheader chunk=4\nfill 100 0", repair.Choices{Rebuild: true}},
		"a sector of ones in a run": {
			"device 400\nheader chunk=2\nfill 100 0\nraw 0x600 ff*512", "device 400\nheader chunk=2\nfill 100 0", repair.Choices{Rebuild: true}},
		"an area of ones in a run": {
			"device 400\nheader chunk=1\nfill 100 0\nraw 0x4400 ff*512", "device 400\nheader chunk=1\nfill 100 0", repair.Choices{Rebuild: true}},
		"an old chunk of a run": {
			"device 400\nheader chunk=1\nfill 40 100\nex 20 118 22", "device 400\nheader chunk=1\nfill 40 100", repair.Choices{Rebuild: true}},
		"a new chunk between its neighbours'": {
			"device 400\nheader chunk=1\nfill 40\nex 20 60 15", "device 400\nheader chunk=1\nfill 40", repair.Choices{Rebuild: true}},
		"a new chunk out of place": {
			"device 400\nheader chunk=1\nfill 40\nex 20 60 300", "device 400\nheader chunk=1\nfill 40", repair.Choices{Rebuild: true}},
		"a sector that is a copy of another": {
			"device 800\nheader chunk=2\nfill 100 0\n" + copyOf(32, 0, 0), "device 800\nheader chunk=2\nfill 100 0", repair.Choices{Rebuild: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, c.spec))
			p := mend(t, d, patient{}.origin(d.Image()), c.choices)
			if !bytes.Equal(d.Image(), storespec.MustCompile(t, c.want)) {
				t.Errorf("it is something else: %v, %s", p.Repaired, findings(p.After))
			}
			if p.Loses() != (!c.choices.Rebuild || oldKept[name]) {
				t.Errorf("it says that something may be lost: %v", p.Loses())
			}
		})
	}
}

// oldKept are those of which nothing but the damaged entry says which old chunk it had.
var oldKept = map[string]bool{
	"an exception without its new chunk, rebuilt": true,
	"a new chunk between its neighbours'":         true,
	"a new chunk out of place":                    true,
}

// copyOf are 32 exceptions from a slot on that repeat those of a run from another one on.
func copyOf(at, from, old int) (spec string) {
	for i := range 32 {
		spec += fmt.Sprintf("ex %d %d %d\n", at+i, old+from+i, 2+from+i)
	}
	return spec
}

// TestNoEvidence: a header is not written where nothing but the user speaks for a store.
func TestNoEvidence(t *testing.T) {
	for name, spec := range map[string]string{
		"zeros behind a strange magic": "device 400\nraw 0 11 22 33 44",
		"text":                         "device 400\nraw 0 6c*204800",
		"zeros":                        "device 400",
	} {
		image := storespec.MustCompile(t, spec)
		_, err := repair.Make(options(devicetest.Of(image), 0, withHeader(repair.Choices{}, 8)))
		if !errors.As(err, new(*repair.HeaderError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCutInAnArea: of a device that ends inside an area, what is in that is lost, and
// nothing else but the last exception of the area before, which is full.
func TestCutInAnArea(t *testing.T) {
	image := storespec.MustCompile(t, "device 1000\nheader chunk=4\nfill 200 0\ndata 9")
	for sectors := 516; sectors < 524; sectors++ {
		d := devicetest.Of(image[:sectors*512])
		p := mend(t, d, 0, repair.Choices{Drop: true, Truncate: true})
		if p.After.Exceptions != 127 {
			t.Errorf("%d sectors: %s", sectors, findings(p.After))
		}
	}
}

// TestToldWhatIsDropped: an exception next to a gap is told like any other.
func TestToldWhatIsDropped(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=1\nfill 40\ndata 9\nex 20 0 0\nex 21 63 9999"))
	p := mend(t, d, 0, repair.Choices{Drop: true, Hidden: repair.KeepHidden})
	if len(p.Repaired) != 2 || p.Repaired[1].Rule != check.NewChunkBeyondDevice || p.Repaired[1].Count != 1 {
		t.Errorf("%+v", p.Repaired)
	}
}

// TestUnshareNextToDamage: the chunk that an exception names which waits to be decided is
// not given out, also if only the kernel sees that it names it.
func TestUnshareNextToDamage(t *testing.T) {
	image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40\nex 39 117 0x010000000000002a\nex 5 15 6\ndata 9")
	d := devicetest.Of(image)
	mend(t, d, 0, repair.Choices{Unshare: true})
	if !bytes.Equal(d.Image()[42*512:][:512], image[42*512:][:512]) {
		t.Error("it was written over")
	}
}

// TestUnshareBesideBeyond: an exception whose chunk is just past the device's end takes no room from a copy.
func TestUnshareBesideBeyond(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40\nex 39 117 200\nex 5 15 6\ndata 9"))
	if p := mend(t, d, 0, repair.Choices{Unshare: true}); len(p.Repaired) != 1 || p.Repaired[0].Rule != check.DuplicateNewChunk {
		t.Errorf("%v; %v", p.Repaired, p.Undecided)
	}
}

// TestOrderIsKept: what is dropped by another word of the user's does not change which of
// several exceptions of a chunk is the first, and which the last.
func TestOrderIsKept(t *testing.T) {
	image := storespec.MustCompile(t, "device 400\nheader chunk=1\nfill 40\nex 10 7 9999\nex 20 400 120\nex 30 400 130\nex 39 400 130\ndata 9")
	for keep, new := range map[repair.Keep]int{repair.KeepFirst: 120, repair.KeepLast: 130} {
		d := devicetest.Of(image)
		mend(t, d, 0, repair.Choices{Drop: true})
		mend(t, d, 0, repair.Choices{Keep: keep})
		p := pictureOf(d.Image(), crashOrigin)
		if got := p.saved(p.List())[400]; len(got) != 1 || got[0] != string(image[new*512:][:512]) {
			t.Errorf("%s: it is another one", keep)
		}
	}
}
