package check_test

import (
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// TestWords: the figures in what is said, and the command that helps.
func TestWords(t *testing.T) {
	const head = "device 200\nheader chunk=1\n"
	for _, c := range []struct{ spec, rule, says, fix string }{
		{"device 102500b\nheader chunk=8", "odd-tail", "the last 100 bytes, less than a chunk,", ""},
		{head + "fill 10 0\nex 10 500 33", "next-chunk-is-metadata", "the highest new chunk, 33, is metadata area 1.", ""},
		{head + "fill 10 0\nex 10 50 20", "leaked-chunks", "8 of the 19 data chunks below chunk 21 have no exception", ""},
		{head + "fill 5 0\nex 5 15 0x10000000", "full", "the highest new chunk is past the end of the device: no room", ""},
		{"device 16\nheader chunk=8", "full", "the next free chunk is 2, the device has 2 chunks: no room", ""},
		{"device 1", "too-small", "it has 1 of the 64 sectors that two chunks need", ""},
		{"device 1\nraw 100 01", "foreign-content", "not a COW store", ""},
		{"device 511b\nraw 100 01", "too-small", "the device has 511 bytes, too few for a header", ""},
		{"device 4000\nheader chunk=8 magic=0x50 valid=0", "bad-magic", "the magic is 0x00000050", "repair --header 8s --valid 0"},
		{"device 4000\nheader chunk=9 version=2", "bad-version", "the version is 2, not 1", ""},
		{"device 4000\nheader chunk=8 version=2 valid=5", "bad-version", "the version is 2, not 1", "repair --header 8s --valid 1"},
	} {
		f := first(t, report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, c.spec))}), c.rule)
		if !strings.Contains(f.Told()+".", c.says) || f.Fix() != c.fix {
			t.Errorf("%q: %s (%s)", c.spec, f.Told(), f.Fix())
		}
	}
}

// TestCutOffRemedy: where the entries around show what a list lost, its remedy is to write that.
func TestCutOffRemedy(t *testing.T) {
	for old, want := range map[string]string{
		" 100": "dmcow repair --rebuild --warnings writes those that their neighbours show",
		"":     "nothing on the device shows it",
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 600\nheader chunk=1\nfill 96"+old+"\ndata 9\nraw 17408 00*512"))
		if said := first(t, report(t, check.Options{Device: d}), "cut-off-list").Remedy(); !strings.Contains(said, want) {
			t.Error(said)
		}
	}
}

// TestStale: an area behind the list is told of where more than half of it may have been exceptions, and if the
// device has it.
func TestStale(t *testing.T) {
	for spec, want := range map[string]uint64{
		behind + run(0, 0, 5) + run(64, 0, 3) + "ex 67 1 0x1000000000000000":                 1,
		behind + run(0, 0, 5) + run(64, 0, 2) + "ex 66 1 1152921504606846976\nex 67 2 1<<60": 0,
	} {
		spec = strings.ReplaceAll(spec, "1<<60", "1152921504606846977")
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		if got := count(r, "stale-areas"); got != want {
			t.Errorf("%q: %v", spec, rules(r))
		}
	}
}

// TestWhatIsLost: how far a damaged exception's neighbours, and its other half, are in doubt.
func TestWhatIsLost(t *testing.T) {
	const head = "device 2000\nheader chunk=4\nfill 96 0\n"
	const wild, wilder = " 0x1000000000000000", " 0x1000000000000001"
	only, all, past := check.Meaning{UnlistedCertain: true}, check.Meaning{}, check.Meaning{Merging: check.ForcedMerge, DoubtsOrigin: true}
	for _, c := range []struct {
		spec, rule string
		means      check.Meaning
	}{
		{head + "ex 5 5 600", "new-chunk-beyond-device", only},
		{head + "ex 5 99 600", "new-chunk-beyond-device", only},
		{head + "ex 5 100 600", "new-chunk-beyond-device", all}, // which is no old chunk either
		{head + "ex 5 100 7", "old-chunk-beyond-origin", past},
		{head + "ex 5 5" + wild, "new-chunk-over-56-bits", only},
		{head + "ex 5 5" + wild + "\nex 6 6" + wilder, "new-chunk-over-56-bits", all}, // a sector is lost
		{head + "ex 5 5" + wild + "\nex 31 31" + wilder, "new-chunk-over-56-bits", all},
		{head + "ex 31 31" + wild + "\nex 32 32" + wilder, "new-chunk-over-56-bits", only},
		{head + "ex 5 5" + wild + "\nex 40 40" + wilder, "new-chunk-over-56-bits", only},
		{"device 600\nheader chunk=1\nfill 40 0\nex 31 31 0", "odd-terminator", all}, // the list went on
		{"device 600\nheader chunk=1\nfill 31 0\nex 31 31 0", "odd-terminator", only},
		{"device 600\nheader chunk=1\nfill 40 0\nex 5 5 0", "odd-terminator", only},
	} {
		o := check.Options{Device: devicetest.Of(storespec.MustCompile(t, c.spec)), Origin: 100 * 2048}
		r := report(t, o)
		first(t, r, c.rule)
		for _, tally := range r.Tallies {
			if tally.Name == c.rule && tally.Meaning != c.means {
				t.Errorf("%s: %+v, want %+v", c.spec[len(head)-1:], tally.Meaning, c.means)
			}
		}
	}
}
