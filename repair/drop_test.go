package repair_test

import (
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestTruncated: of a list that leads past the device's end the last exception on it goes, too, for there has to be an end;
// unless another one goes.
func TestTruncated(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 100 100\ndata 9\n"
	for name, c := range map[string]struct {
		spec  string
		drop  bool
		want  string // in the line
		count uint64 // exceptions
	}{
		"nothing else goes":   {store, false, "end the list on the device, and drop its last exception (195 -> 99)", 95},
		"another one goes":    {store + "ex 40 140 5000", true, "end the list on the device", 95},
		"others go":           {store + "ex 40 140 5000\nex 95 195 5001", true, "end the list on the device", 94},
		"the last one is bad": {store + "ex 95 195 5001", true, "end the list on the device, and drop its last exception (195 -> 5001)", 95},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, c.spec)[:100*512])
			p := mend(t, d, 0, repair.Choices{Truncate: true, Drop: c.drop})
			i := slices.IndexFunc(p.Repaired, func(m repair.Resolution) bool { return m.Rule == check.AreaBeyondDevice })
			if i < 0 || len(p.Repaired[i].Lines) != 1 || !strings.HasSuffix(p.Repaired[i].Lines[0], c.want) || p.After.Exceptions != c.count {
				t.Errorf("%+v; %s", p.Repaired, findings(p.After))
			}
		})
	}
}

// TestWaitsForTheOrder: what is dropped moves the list's last exceptions, and waits as long as one of these is of a chunk
// that has several of which one is to be chosen. Others do not hinder.
func TestWaitsForTheOrder(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 40 100\ndata 9\n"
	for name, c := range map[string]struct {
		spec  string
		waits bool
	}{
		"the second one is the last":                         {"ex 5 105 9999\nex 20 400 120\nex 39 400 130", true},
		"the second one stays":                               {"ex 5 105 9999\nex 20 400 120\nex 38 400 130", false},
		"the first one moves, too":                           {"ex 5 105 9999\nex 6 106 9998\nex 38 400 120\nex 39 400 130", true},
		"the second of three is the last":                    {"ex 5 105 9999\nex 20 400 120\nex 30 400 130\nex 39 400 131", true},
		"three that stay":                                    {"ex 5 105 9999\nex 20 400 120\nex 30 400 130\nex 38 400 131", false},
		"what goes is the last":                              {"ex 39 139 9999\nex 20 400 120\nex 38 400 130", false},
		"it is bad itself, and the last":                     {"ex 20 400 120\nex 30 400 130\nex 39 400 9999", false},
		"one that repeats the first is the last":             {"ex 5 105 9999\nex 20 400 120\nex 30 400 130\nex 39 400 120", true},
		"one that repeats the first is the last one but one": {"ex 5 105 9999\nex 20 400 120\nex 30 400 130\nex 38 400 120", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, store+c.spec))
			p := mend(t, d, 0, repair.Choices{Drop: true})
			advice := ""
			if i := slices.IndexFunc(p.Undecided, func(m repair.Resolution) bool { return m.Rule == check.NewChunkBeyondDevice }); i >= 0 {
				advice = p.Undecided[i].Advice
			}
			if waits := strings.Contains(advice, "decide about duplicate-old-chunk first"); waits != c.waits || waits == (len(p.Steps) > 0) {
				t.Errorf("%q; %v", advice, p.Repaired)
			}
			adviceOn(t, p, check.DuplicateOldChunk)
		})
	}
}

// TestKept: of several exceptions of one chunk, alike or not, the first or the last one in the list is kept.
func TestKept(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 40 100\ndata 9\n"
	for spec, want := range map[string][2]uint64{
		"ex 5 400 120\nex 20 400 130":                                {120, 130},
		"ex 5 400 120\nex 20 400 130\nex 30 400 140":                 {120, 140},
		"ex 5 400 120\nex 20 400 130\nex 30 400 140\nex 39 400 130":  {120, 130},
		"ex 5 400 120\nex 20 400 130\nex 30 400 120":                 {120, 120},
		"ex 5 400 120\nex 20 400 130\nex 30 400 120\nex 31 400 130":  {120, 130},
		"ex 5 400 120\nex 6 400 130\nex 7 400 140\nex 8 400 150":     {120, 150},
		"ex 5 400 120\nex 6 400 130\nex 7 400 9999\nex 8 400 9999":   {120, 130},
		"ex 3 400 9999\nex 5 400 120\nex 6 400 130\nex 39 400 9999":  {120, 130},
		"ex 3 400 9999\nex 5 400 120\nex 6 400 120\nex 39 400 130\n": {120, 130},
	} {
		for i, keep := range []repair.Keep{repair.KeepFirst, repair.KeepLast} {
			d := devicetest.Of(storespec.MustCompile(t, store+spec))
			p := mend(t, d, 0, repair.Choices{Keep: keep, Drop: true})
			var got []uint64
			for _, x := range pictureOf(d.Image(), 500).List() {
				if x.Old == 400 {
					got = append(got, x.New)
				}
			}
			if len(got) != 1 || got[0] != want[i] || len(p.Undecided) > 0 {
				t.Errorf("%q, %s: %v; %v", spec, keep, got, p.Undecided)
			}
		}
	}
}

// TestLastWaits: an exception that has moved, and repeats one of several of which one is to be chosen, stays as long as without
// it another one would be the last.
func TestLastWaits(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 40 100\ndata 9\n"
	for spec, stays := range map[string]bool{
		"ex 3 400 120\nex 5 400 130\nex 20 400 140\nex 39 400 130": true,
		"ex 3 400 120\nex 5 400 140\nex 20 400 130\nex 39 400 140": true,
		"ex 3 400 120\nex 5 400 130\nex 39 400 130":                false,
	} {
		d := devicetest.Of(storespec.MustCompile(t, store+spec))
		p := mend(t, d, 0, repair.Choices{Drop: true})
		adviceOn(t, p, check.DuplicateOldChunk)
		if (len(p.Steps) == 0) != stays {
			t.Errorf("%q: %v", spec, p.Repaired)
		}
	}
}
