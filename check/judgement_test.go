package check_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// evidence is a store, and what a check makes of it.
type evidence struct {
	name, spec string
	origin     string // a spec of its content, of 400 sectors; empty where it is not known
	rule       string // what is found; empty for no error and no mention
	certain    bool   // it leaves no doubt
	says       string
}

// run40 are 40 exceptions in a row; 4 sectors of 32 make an area.
const run40 = "device 2000\nheader chunk=4\nfill 40 0\ndata 9\n"

// gone is a store of 96 exceptions in a row that lost its second sector, 32 to 63.
const gone = "device 2000\nheader chunk=4\nfill 96 100\ndata 9\nraw 2560 00*512\n"

// elevens are 5 exceptions, and data chunks 7 to 65 that hold what is not on the origin.
const elevens = "device 2000\nheader chunk=4\nfill 5 0\nraw 14336 11*120832\n"

// large is a commit that was torn behind its first exception, with chunks that are not read at once; on
// the origin the second chunk is short.
const large = "device 1280\nheader chunk=256\nex 0 0 2\nex 32 1 3\n"

// behind is a store with two sectors to an area.
const behind = "device 600\nheader chunk=2\n"

var evidences = []evidence{
	// What hides behind the list's end, and whether anybody misses it.
	{"torn, and the origin is not known", run40 + "ex 64 300 66\nex 65 301 67", "", "hidden-exceptions", false,
		"a torn commit explains them if the data of 2 of them equals the origin's; else a sector of the list was lost before them (--origin shows which)"},
	{"torn, of chunks that are there", run40 + "ex 64 3 66\nex 65 4 67", "", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, of data chunks that were given out again", run40 + "ex 64 300 5\nex 65 301 6", "", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, and one differs", run40 + "ex 64 30 66\nex 65 70 67", "raw 0 00", "hidden-exceptions", false,
		"a torn commit does not explain 1 of them, first slot 65 (70 -> 67): its data differs from the origin's"},
	{"torn, and all equal", "device 2000\nheader chunk=4\nfill 40 0\nex 64 70 66\nex 65 71 67", "raw 0 00", "hidden-exceptions", true, "the snapshot reads the same without them"},
	{"lost, and what is behind equals the origin", "device 2000\nheader chunk=4\nfill 96 0\ndata 9\nraw 2560 00*512\nraw 135168 00*65536", "raw 0 00", "hidden-exceptions", false,
		"a torn commit does not explain them: 32 exceptions are missing before them, and 32 data chunks without an exception, such as chunk 34, hold data that is not on the origin"},
	{"lost, and the origin's last chunk is short", "device 1200\nheader chunk=32\nfill 8 0\nex 32 9 34\n" + halves(10, 34), "raw 0 00", "hidden-exceptions", false, "22 data chunks without an exception, such as chunk 11, hold data that is not on the origin"},
	{"lost, and the list's entries are in parallel order", "device 2000\nheader chunk=4\nfill 96 0\nex 31 31 34\nex 32 32 33\ndata 9\nraw 2560 00*512\nraw 135168 00*65536", "raw 0 00", "hidden-exceptions", false, "that is not on the origin"},
	{"torn, and copies ran in parallel", "device 2000\nheader chunk=4\nfill 96 0\nex 31 31 34\nex 32 32 33\nraw 2560 00*512", "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, in any order", "device 2000\nheader chunk=4\nfill 96 0\nraw 2560 00*512\nraw 69632 11*2048", "raw 0 00\nraw 20480 11*2048", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, and saved since", "device 2000\nheader chunk=4\nfill 96 0\nraw 2560 00*512\nraw 69632 11*2048\nraw 4096 11*2048", "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, of chunks of no order", run40 + "ex 64 30 300", "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn or lost, and more chunks are missing than are looked at", "device 135000\nheader chunk=2\nfill 20 0\nex 32 30 67000", "raw 0 00", "hidden-exceptions", false,
		"12 exceptions are missing before them, and of more than 65536 data chunks without one, none is looked at"},
	{"a copy of the last sector", "device 2000\nheader chunk=4\nfill 72 0\ndata 9\nraw 2560 00*512\n" + run(32, 64, 8), "raw 0 00", "hidden-exceptions", false,
		"first slot 64 (64 -> 66): its sector is a copy of the one where the list ends"},
	{"the same twice", "device 2000\nheader chunk=4\nfill 40 0\nex 64 70 66\nex 65 71 66", "raw 0 00", "hidden-exceptions", false,
		"first slot 65 (71 -> 66): another slot there has one of its chunks"},
	{"a gap inside a sector, and all equal", "device 2000\nheader chunk=4\nfill 40 0\nex 41 70 66", "raw 0 00", "hidden-exceptions", false, "slot 41 is in the sector where the list ends"},
	{"the first sector lost, and what is behind equals the origin", "device 2000\nheader chunk=4\nfill 96 0\ndata 9\nraw 2048 00*512\nraw 69632 00*131072", "raw 0 00", "hidden-exceptions", false,
		"32 exceptions are missing before them, and 32 data chunks without an exception, such as chunk 2, hold data that is not on the origin"},
	{"lost, and nothing is like the origin's short last chunk", "device 1200\nheader chunk=32\nfill 8 0\nex 32 9 34\ndata 9\nraw 557056 00*16384", "raw 0 00", "hidden-exceptions", false, "such as chunk 10, hold data"},
	{"torn, behind a chunk that was leaked", "device 2000\nheader chunk=4\n" + run(0, 0, 31) + "ex 31 31 34\nraw 67584 11*2048\n" + run(64, 43, 10), "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"lost, and the gap's last chunk is not on the origin", "device 2000\nheader chunk=4\n" + run(0, 0, 32) + "raw 88064 11*2048\n" + run(64, 42, 10), "raw 0 00", "hidden-exceptions", false, "32 exceptions are missing before them, and 1 data chunks without an exception, such as chunk 43"},
	{"lost, and 10 of its chunks are on the origin", "device 2000\nheader chunk=4\nfill 96 0\ndata 9\nraw 2560 00*512\nraw 135168 00*65536\nraw 69632 00*20480", "raw 65536 07*65536", "hidden-exceptions", false, "and 22 data chunks without an exception, such as chunk 44, hold"},
	{"torn, of the origin's last chunk", "device 2000\nheader chunk=4\n" + run(0, 0, 32) + run(64, 33, 10) + "raw 69632 07*2048", "raw 202752 07*2048", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, of the origin's short last chunk", "device 1200\nheader chunk=32\nfill 8 0\nex 32 9 11\nraw 163840 07*8192", "raw 196608 07*8192", "hidden-exceptions", true, "a torn commit explains them"},
	{"torn, and one of parallel copies failed", "device 2000\nheader chunk=4\n" + run(0, 0, 31) + "ex 31 31 34\nraw 81920 11*2048\n" + run(64, 65, 10), "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"lost, and 8 exceptions are an order", elevens + "ex 32 70 66\nex 33 71 67\nex 34 72 68", "raw 0 00", "hidden-exceptions", false, "27 exceptions are missing before them, and 27 data chunks"},
	{"7 are none", elevens + "ex 32 70 66\nex 33 71 67", "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"nor 8 that do not rise behind the end", elevens + "ex 32 70 66\nex 33 71 68\nex 34 72 67", "raw 0 00", "hidden-exceptions", true, "a torn commit explains them"},
	{"a large chunk, equal to the origin's end", large + "raw 458752 07*8192", "raw 196608 07*8192", "hidden-exceptions", true, "a torn commit explains them"},
	{"a large chunk, that differs in its last byte", large + "raw 458752 07*8191", "raw 196608 07*8192", "hidden-exceptions", false, "its data differs from the origin's"},
	{"the same exception twice", "device 2000\nheader chunk=4\nfill 40 0\nex 64 70 66\nex 65 70 66", "raw 0 00", "hidden-exceptions", false, "another slot there has one of its chunks"},
	{"lost, and the first data chunk is an order", "device 2000\nheader chunk=4\nraw 16384 11*118784\n" + run(0, 1, 5) + "ex 32 70 2\nex 33 71 66\nex 34 72 67", "raw 0 00", "hidden-exceptions", false, "27 exceptions are missing before them"},
	{"past the origin's end", run40 + "ex 64 100 66", "raw 0 00", "hidden-exceptions", false, "it is not a possible exception"},
	{"the first sector", "device 2000\nheader chunk=4\nfill 96 100\ndata 9\nraw 2048 00*512\n", "", "hidden-exceptions", false, "the list ends at slot 0 of this area, and 64 exceptions follow"},

	// What the entries around say.
	{"a lost sector in a run", gone, "", "hidden-exceptions", false,
		"32 exceptions are lost here: by their neighbours, old chunks 132 to 163, new chunks 34 to 65, which no exception has"},
	{"a lost sector where a run ended", "device 2000\nheader chunk=4\nfill 50 100\nfill 46 10\ndata 9\nraw 2560 00*512\n", "", "hidden-exceptions", false,
		"32 exceptions are lost here: new chunks 34 to 65 fit between their neighbours, and no exception has them"},
	{"a lost entry", "device 2000\nheader chunk=4\nfill 96 100\ndata 9\nex 40 0 0", "", "hidden-exceptions", false, "by its neighbours, slot 40 was 140 -> 42"},
	{"a lost entry, whose data chunk another has", "device 2000\nheader chunk=4\nfill 96 100\ndata 9\nex 40 0 0\nex 95 3 42", "", "hidden-exceptions", false, "!by its neighbours, slot 40"},
	{"a lost sector, whose first old chunk hides", gone + "ex 95 132 97", "", "hidden-exceptions", false, "are lost here: new chunks 34 to 65 fit"},
	{"its last old chunk", gone + "ex 95 163 97", "", "hidden-exceptions", false, "are lost here: new chunks 34 to 65 fit"},
	{"its first new chunk", gone + "ex 95 195 34", "", "hidden-exceptions", false, "!lost here"},
	{"its last new chunk", gone + "ex 95 195 65", "", "hidden-exceptions", false, "!lost here"},
	{"an old chunk in a run", run40 + "ex 20 19 22", "", "duplicate-old-chunk", false, "by its neighbours, slot 20 was 20 -> 22"},
	{"a new chunk in a run", run40 + "ex 20 20 21", "", "duplicate-new-chunk", false, "by its neighbours, slot 20 was 20 -> 22"},
	{"a new chunk out of any order", "device 2000\nheader chunk=4\nfill 40\ndata 9\nex 20 60 400", "", "new-chunk-out-of-place", false, "by its neighbours, slot 20 was 60 -> 22"},
	{"a new chunk that moved on with those behind", "device 2000\nheader chunk=4\nfill 20\nex 20 60 60\nex 21 63 61\nex 22 66 62", "", "leaked-chunks", true, ""},
	{"the last one, moved by a repair, and the list went on", "device 2000\nheader chunk=4\nfill 39\nex 20 117 41\nex 39 200 42\nex 40 203 43", "", "leaked-chunks", true, ""},
	{"two, moved by a repair, and the list went on", "device 2000\nheader chunk=4\nfill 38\nex 20 117 41\nex 30 114 40\nex 38 200 42\nex 39 203 43", "", "leaked-chunks", true, ""},
	{"out of place, and another moved by a repair", "device 2000\nheader chunk=4\nfill 39\ndata 9\nex 20 117 41\nex 30 90 400\nex 39 200 42\nex 40 203 43", "", "new-chunk-out-of-place", false, "slot 30 was 90 -> 32"},
	{"a neighbour that was moved into a hole", "device 2000\nheader chunk=1\nex 0 10 2\nex 1 11 3\nex 2 500 40\nex 3 13 1\nex 4 14 6\nex 5 15 7", "", "new-chunk-is-metadata", false, "!lost here"},
	{"the last lost its new chunk", run40 + "ex 40 77 0", "", "odd-terminator", false, "slot 40 was 77 -> 42"},
	{"the last lost its new chunk, and its old one is another's", run40 + "ex 40 7 0", "", "odd-terminator", false, "!new chunk 42"},

	// What stands in the area behind.
	{"cut off at a sector", "device 600\nheader chunk=1\nfill 96 100\ndata 9\nraw 17408 00*512", "", "cut-off-list", true,
		"32 exceptions are lost here: by their neighbours, old chunks 132 to 163, new chunks 35 to 66, which no exception has"},
	{"cut off, or an earlier life", "device 600\nheader chunk=1\nfill 96\ndata 9\nraw 17408 00*512", "", "cut-off-list", true,
		"32 exceptions before them may be lost, or these are of an earlier life of the device"},
	{"an earlier life, whose chunks are there", "device 600\nheader chunk=1\nfill 96 0\nraw 512 00*512\nfill 32 50\nraw 17408 00*512", "", "", true, ""},
	{"cut off, and the origin holds all of it", "device 600\nheader chunk=1\nfill 96\nraw 17408 00*512", "raw 0 00", "stale-areas", true, "of an earlier life"},
	{"cut off, and the origin holds something else", "device 600\nheader chunk=1\nfill 96\ndata 9\nraw 17408 00*512", "raw 0 00", "cut-off-list", true, "may be lost"},
	{"cut off, and the nearest that goes on", behind + run(0, 0, 32) + "ex 64 70 50", "", "cut-off-list", true, "before slot 32 of area 0, and this area holds 1 exception that fit behind it: 32 exceptions before them may be lost"},
	{"too near to go on", behind + run(0, 0, 32) + "ex 64 70 49", "", "stale-areas", true, ""},
	{"one that goes on, and one past the device's end", behind + run(0, 0, 32) + "ex 64 70 50\nex 65 71 301", "", "stale-areas", true, ""},
	{"of the next free chunk", behind + run(0, 0, 5) + "ex 64 60 7", "", "stale-areas", true, ""},
	{"an earlier life of which 16 chunks are of the area before", behind + run(0, 0, 5) + run(64, 8, 16), "", "stale-areas", true, ""},
	{"17 chunks of the area before", behind + run(0, 0, 5) + run(64, 8, 17), "", "misplaced-area", false, "0 name leaked data chunks of the list, 17 name chunks of the areas before it"},
	{"as many of it as others", behind + run(0, 0, 5) + run(64, 8, 17) + stripe(81, 17), "", "misplaced-area", false, "34 exceptions"},
	{"fewer of it than others", behind + run(0, 0, 5) + run(64, 8, 17) + stripe(81, 18), "", "stale-areas", true, ""},
	{"as many leaked chunks as others", behind + run(0, 0, 5) + "ex 5 90 20\nex 64 60 8\n" + stripe(65, 1), "", "misplaced-area", false, "1 name leaked data chunks"},
	{"fewer leaked chunks than others", behind + run(0, 0, 5) + "ex 5 90 20\nex 64 60 8\n" + stripe(65, 2), "", "stale-areas", true, ""},
	{"a copy, half of it in its own stripe", "device 600\nheader chunk=1\nex 0 40 35\nex 1 41 5\nex 32 40 35\nex 33 41 5", "", "stale-areas", true, ""},
	{"swapped areas", "device 600\nheader chunk=1\nfill 33 0\ndata 9\n" + "raw 512 00*512\nex 0 32 35\nraw 17408 00*512\n" + rows(32, 32), "", "misplaced-area", false,
		"32 exceptions that no earlier life of the device explains: 32 name leaked data chunks of the list"},
	{"an area that became a copy of the next", "device 600\nheader chunk=1\nfill 33 0\ndata 9\nraw 512 00*512\nex 0 32 35", "", "misplaced-area", false,
		"which holds the same as area 0 (1 exception): that area was overwritten by a copy of this one"},
	{"a sector that became a copy of the next area's", "device 900\nheader chunk=2\nfill 65 0\ndata 9\nraw 1536 00*512\nex 32 64 67", "", "misplaced-area", false,
		"which holds the same as area 0 (1 exception): that area was overwritten by a copy of this one"},
	{"a copy of the last area behind it", "device 600\nheader chunk=1\nfill 20 0\ndata 9\n" + rows(32, 20), "", "stale-areas", true, ""},
}

// rows are n exceptions of a run from old chunk 0 on, from a slot on.
func rows(slot, n int) (spec string) {
	for i := range n {
		spec += fmt.Sprintf("ex %d %d %d\n", slot+i, i, 2+i)
	}
	return spec
}

// halves has some 32-sector chunks hold nothing but zeros in their first half, and something else
// behind.
func halves(first, end int) (spec string) {
	for c := first; c < end; c++ {
		spec += fmt.Sprintf("raw %d %02x*8192\n", c*16384+8192, c)
	}
	return spec
}

// run are n exceptions from a slot on, of a run that slot 0 would begin.
func run(slot, first, n int) (spec string) {
	for i := range n {
		spec += fmt.Sprintf("ex %d %d %d\n", slot+i, first+i, 2+first+i)
	}
	return spec
}

// stripe are n exceptions from a slot on whose data chunks are of area 1's stripe.
func stripe(slot, n int) (spec string) {
	for i := range n {
		spec += fmt.Sprintf("ex %d %d %d\n", slot+i, 200+i, 67+i)
	}
	return spec
}

// TestGapIsLookedUpNearby: where a torn commit's data chunks hold what comes behind the exceptions before them, or
// before those behind them, not all of the origin is read.
func TestGapIsLookedUpNearby(t *testing.T) {
	for name, c := range map[string]struct{ list, hidden, first int }{ // their first old chunks, and of the gap the first
		"behind those before": {10, 80, 42}, "before those behind": {0, 82, 50},
	} {
		spec := "device 2000\nheader chunk=4\n"
		for i := range 32 {
			spec += fmt.Sprintf("ex %d %d %d\nraw %d %02x*2048\n", i, c.list+i, 2+i, (34+i)*2048, c.first+i)
		}
		for i := range 10 {
			spec += fmt.Sprintf("ex %d %d %d\nraw %d %02x*2048\n", 64+i, c.hidden+i, 66+i, (66+i)*2048, c.hidden+i)
		}
		o, _, content := optionsOf(t, spec, origin100)
		if r := report(t, o); !r.HiddenVoid() {
			t.Errorf("%s: %s", name, first(t, r, "hidden-exceptions").Message())
		}
		for _, read := range content.Reads() {
			if read.Offset < 2048*10 {
				t.Errorf("%s: the origin is read at byte %d", name, read.Offset)
			}
		}
	}
}

// origin100 are 100 chunks of 4 sectors, each with its number in all of its bytes.
var origin100 = func() (spec string) {
	for i := range 100 {
		spec += fmt.Sprintf("raw %d %02x*2048\n", i*2048, i)
	}
	return spec
}()

// TestJudgement: what is said of damage goes by what there is to see, and where nothing tells, it is in
// doubt.
func TestJudgement(t *testing.T) {
	for _, e := range evidences {
		t.Run(e.name, func(t *testing.T) {
			o := check.Options{Device: devicetest.Of(storespec.MustCompile(t, e.spec))}
			if e.origin != "" {
				content := storespec.MustCompile(t, "device 400\n"+e.origin)
				o.Origin, o.Content = format.Bytes(len(content)), bytes.NewReader(content)
			}
			r, err := check.Make(o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Certain() != e.certain {
				t.Errorf("certain %v: %v", r.Certain(), rules(r))
			}
			if e.rule == "" {
				for _, tally := range r.Tallies {
					if tally.Severity == check.Error || tally.Meaning.Mention {
						t.Errorf("%s: %s", tally.Name, tally.Findings[0].Message())
					}
				}
				return
			}
			said := first(t, r, e.rule).Message()
			if want, not := strings.CutPrefix(e.says, "!"); strings.Contains(said, want) == not {
				t.Errorf("it says: %s", said)
			}
			if r.HiddenVoid() != (e.rule != "hidden-exceptions" || e.certain) {
				t.Errorf("what hides is void: %v", r.HiddenVoid())
			}
		})
	}
}
