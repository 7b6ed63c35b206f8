package repair_test

import (
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// garbageFrom are so many entries from a slot on that no device has.
func garbageFrom(at, n int) (spec string) {
	for slot := at; slot < at+n; slot++ {
		spec += fmt.Sprintf("ex %d %#x %#x\n", slot, uint64(0xa5a5<<48)+uint64(977*slot%613), uint64(0x5a5a<<48)+uint64(331*slot%409))
	}
	return spec
}

// TestGarbageBehind: an area behind a full one is cleared as a whole where it has no possible exception, nor the next one has,
// and there are more than one or two, or the list ends before them. Otherwise what is impossible is dropped one by one.
func TestGarbageBehind(t *testing.T) {
	const full = "header chunk=2\nfill 128 0\ndata 9\n" // two areas
	for name, c := range map[string]struct {
		device  int // sectors
		spec    string
		cleared bool
		want    string // of the list; empty for the two areas
	}{
		"all of it":                  {600, garbageFrom(128, 64), true, ""},
		"three":                      {600, garbageFrom(128, 3), true, ""},
		"two":                        {600, garbageFrom(128, 2), false, ""},
		"one, behind the list's end": {600, garbageFrom(131, 1), true, ""},
		"one before the list's end, and one behind it": {600, garbageFrom(128, 1) + garbageFrom(130, 1), false, garbageFrom(128, 1) + garbageFrom(130, 1)},
		"in the area behind, too":                      {800, garbageFrom(128, 96), true, garbageFrom(192, 32)},
		"a possible one in the area behind":            {800, garbageFrom(128, 3) + "ex 200 9 200", false, "ex 200 9 200"},
		"a possible one two areas behind":              {1000, garbageFrom(128, 3) + "ex 260 9 200", true, "ex 260 9 200"},
		"the last one of the device":                   {264, garbageFrom(128, 63), true, ""},
		"none, but a bad one elsewhere":                {600, "ex 5 5 9999", false, "ex 5 127 130\nex 127 0 0"},
		"none, and the device ends with the list":      {264, "ex 5 5 9999", false, "ex 5 127 130\nex 127 0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			device := fmt.Sprintf("device %d\n", c.device)
			d := devicetest.Of(storespec.MustCompile(t, device+full+c.spec))
			p := mend(t, d, 500*1024, repair.Choices{Drop: true})
			if cleared := len(p.Repaired) > 0 && p.Repaired[0].Rule == check.ImplausibleArea; cleared != c.cleared || cleared && len(p.Repaired[0].Lines) != 1 {
				t.Errorf("%+v", p.Repaired)
			}
			if !d.Holds(storespec.MustCompile(t, device+full+c.want)) {
				t.Errorf("it is something else: %v", pictureOf(d.Image(), 500).List())
			}
			if p := (patient{device + full + c.spec, 0, repair.Choices{}}); len(p.planFor(t, devicetest.Of(p.image(t))).Steps) > 0 {
				t.Error("nobody said that it is to be cleared")
			}
		})
	}
}

// TestGarbageAtTheCut: the last area on a device that was cut off is garbage for itself, whatever stands in those before it.
func TestGarbageAtTheCut(t *testing.T) {
	p := patient{"device 264\nheader chunk=2\nfill 128 0\ndata 9\n" + garbageFrom(64, 60) + garbageFrom(128, 64), 0, repair.Choices{Drop: true, Truncate: true}}
	d := devicetest.Of(p.image(t))
	plan := mend(t, d, 500*1024, p.choices)
	if line := plan.Repaired[0].Lines[0]; !strings.HasPrefix(line, "area 2: ") || plan.After.Exceptions != 64+4 || plan.Undecided != nil {
		t.Errorf("%v, %v; %s", plan.Repaired, plan.Undecided, findings(plan.After))
	}
}

// TestRepeatsOrGarbage: of an area most of whose entries repeat others or are impossible, the user is asked about what is
// left when those that repeat are gone: garbage where most of that is impossible.
func TestRepeatsOrGarbage(t *testing.T) {
	for name, c := range map[string]struct {
		repeats, bad, times, good int
		garbage                   bool
	}{
		"three are bad":                         {61, 3, 1, 0, true},
		"two are bad":                           {61, 2, 1, 0, false},
		"half of the others":                    {58, 3, 1, 3, false},
		"more than half of the others":          {57, 4, 1, 3, true},
		"more than half, of a list's last area": {43, 3, 1, 0, true},
		"half, of a list's last area":           {43, 3, 1, 3, false},
		"bad ones that stand twice":             {54, 3, 2, 4, false},
		"bad ones that stand three times":       {52, 3, 3, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			spec, at := "device 600\nheader chunk=2\nfill 64 0\n", 64
			for i := range c.repeats {
				spec += fmt.Sprintf("ex %d %d %d\n", at+i, i, 2+i)
			}
			at += c.repeats
			for range c.times {
				for i := range c.bad {
					spec += fmt.Sprintf("ex %d %d %d\n", at+i, 300+7*i, 100000+9000*i)
				}
				at += c.bad
			}
			for i := range c.good {
				spec += fmt.Sprintf("ex %d %d %d\n", at+i, 200+i, 67+i)
			}
			p := patient{spec: spec + "data 9"}
			advice := adviceOn(t, p.planFor(t, devicetest.Of(p.image(t))), check.ImplausibleArea).Advice
			if got := !strings.Contains(advice, "--keep first"); got != c.garbage {
				t.Error(advice)
			}
			p.choices.Keep = repair.KeepFirst
			if plan := p.planFor(t, devicetest.Of(p.image(t))); (len(plan.Steps) == 0) != c.garbage {
				t.Errorf("with --keep first: %v, %v", plan.Repaired, plan.Undecided)
			}
		})
	}
}
