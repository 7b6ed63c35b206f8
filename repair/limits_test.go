package repair_test

import (
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestSmallPlans: whatever a plan holds at most, run again until there is no more a repair ends in the same store, and
// waits for the same to be decided.
func TestSmallPlans(t *testing.T) {
	limits := [][3]int{{7, 1 << 20, 1 << 20}, {1 << 20, 32, 1 << 20}, {1 << 20, 1 << 20, 2}, {11, 32, 3}}
	several := map[[3]int]bool{} // where some repair takes more than one plan
	for name, p := range patients() {
		image := p.image(t)
		want, err := run(devicetest.Of(image), p.origin(image), p.choices)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range limits {
			t.Run(fmt.Sprintf("%s, at most %v", name, limit), func(t *testing.T) {
				repair.SetLimits(t, limit[0], limit[1], limit[2])
				if smallPlans(t, devicetest.Of(image), p, limit[1], want) > 1 {
					several[limit] = true
				}
			})
		}
	}
	for _, limit := range limits[1:] { // that of a round is not that of a plan
		if !several[limit] {
			t.Errorf("at most %v, and one plan holds all", limit)
		}
	}
}

// TestTooMuchForAPlan: gaps are closed together or not at all.
func TestTooMuchForAPlan(t *testing.T) {
	repair.SetLimits(t, 1<<20, 40, 1<<20)
	const store = "device 600\nheader chunk=4\nfill 128 0\ndata 9\nraw 2368 00*%d\nraw 3392 00*%d"
	for gap, closed := range map[int]bool{20: true, 21: false} {
		p := patient{fmt.Sprintf(store, 20*16, gap*16), 0, repair.Choices{Hidden: repair.KeepHidden}}
		plan := p.planFor(t, devicetest.Of(p.image(t)))
		if (len(plan.Steps) > 0) != closed {
			t.Errorf("gaps of 20 and %d slots: %v, %v", gap, plan.Repaired, plan.Undecided)
		}
		const why = "the gap cannot be closed: there are more than 40 slots to fill"
		if !closed && !strings.Contains(adviceOn(t, plan, check.HiddenExceptions).Lines[0], why) {
			t.Errorf("it does not say why: %v", plan.Undecided)
		}
	}
}

// smallPlans repairs a device in plans that hold little, and no more edits in a step than in a plan, and returns their
// number.
func smallPlans(t *testing.T, d *devicetest.Memory, p patient, edits int, want result) (plans int) {
	t.Helper()
	for more := true; more; plans++ {
		plan := p.planFor(t, d)
		if err := plan.Apply(d, nil, nil); err != nil {
			t.Fatal(err)
		}
		for _, s := range plan.Steps {
			if len(s.Edits) > edits {
				t.Errorf("a step of %d edits", len(s.Edits))
			}
		}
		if more = plan.More; more && len(plan.Steps) == 0 || plans > 200 {
			t.Fatal("it comes to no end")
		}
	}
	got, err := run(d, p.origin(d.Image()), p.choices)
	if err != nil || !got.keptAs(want) || got.decide(want.repeated) != want.decide(want.repeated) {
		t.Errorf("%d plans: %v; to be decided: %s; in one plan: %s; or it is another store", plans, err, got.decide(want.repeated), want.decide(want.repeated))
	}
	return plans
}

// TestLongAreas: areas of which a part is in memory at a time are gone through to their end.
func TestLongAreas(t *testing.T) {
	const store = "device 5120\nheader chunk=512\nfill 4 0\ndata 9\n"
	entries := func(from, to int, new string) string {
		var spec strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&spec, "ex %d %d %s\n", i, i, new)
		}
		return spec.String()
	}
	for name, c := range map[string]struct {
		spec    string
		want    string // what is behind the first four
		choices repair.Choices
	}{
		"thousands are bad":             {entries(4, 10000, "9999"), "", repair.Choices{Drop: true}},
		"thousands hide":                {entries(10, 10001, "7"), "", repair.Choices{Hidden: repair.DropHidden}},
		"a few hide far behind":         {"ex 5 4 6\nex 9001 5 7\nex 9002 6 8", "", repair.Choices{Hidden: repair.DropHidden}},
		"a gap of thousands":            {"ex 9001 4 6\nex 9002 5 7\nex 9003 6 8", "ex 4 6 8\nex 5 5 7\nex 6 4 6", repair.Choices{Hidden: repair.KeepHidden}},
		"a gap of just what is at once": {"ex 4099 4 6\nex 4100 5 7", "ex 4 5 7\nex 5 4 6", repair.Choices{Hidden: repair.KeepHidden}},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, store+c.spec))
			if p := mend(t, d, 0, c.choices); !d.Holds(storespec.MustCompile(t, store+c.want)) {
				t.Errorf("it is something else: %v, %v; %s", p.Repaired, p.Undecided, findings(p.After))
			}
		})
	}
}

// TestManyFaults has more faults than a plan holds: it says that there are more, and run
// again it comes to an end. All the others are there then.
func TestManyFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	const n = 1500000
	g, err := format.NewGeometry(8)
	if err != nil {
		t.Fatal(err)
	}
	d := devicetest.New(int64(g.Offset(g.DataChunk(n + 1000))))
	head := make([]byte, format.HeaderSize)
	format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}.Encode(head)
	d.Put(0, head)
	e := g.ExceptionsPerArea()
	area := make([]byte, g.ChunkBytes())
	for k := 0; k*e < n; k++ {
		clear(area)
		for i := 0; i < e && k*e+i < n; i++ {
			x := format.Exception{Old: format.OldChunk(k*e + i), New: g.DataChunk(uint64(k*e + i))}
			if i%2 == 0 {
				x.New |= 1 << 40
			}
			x.Encode(area[i*format.ExceptionSize:])
		}
		d.Put(int64(g.SlotOffset(format.Place{Area: format.AreaIndex(k)})), area)
	}
	o := options(d, 0, everything(repair.KeepFirst))
	for runs := 1; ; runs++ {
		p, err := repair.Make(o)
		if err != nil {
			t.Fatal(err)
		}
		if p.Writes() > 600000 {
			t.Errorf("a plan of %d writes", p.Writes())
		}
		if err := p.Apply(d, nil, nil); err != nil {
			t.Fatal(err)
		}
		if p.More {
			continue
		}
		if runs < 2 || p.After.Outcome() != check.Sound || p.After.Exceptions != n/2 {
			t.Errorf("after %d runs: %s", runs, findings(p.After))
		}
		return
	}
}
