package check_test

import (
	"fmt"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
)

// report checks a device.
func report(t testing.TB, o check.Options) check.Report {
	t.Helper()
	r, err := check.Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rules are the names of those that found something.
func rules(r check.Report) (names []string) {
	for _, t := range r.Tallies {
		names = append(names, t.Name)
	}
	return names
}

// TestDamaged: what is found on each damaged store, and nothing else.
func TestDamaged(t *testing.T) {
	for _, c := range damaged.Load(t) {
		r := report(t, check.Options{
			Device: devicetest.Of(c.Image),
			Origin: format.Sectors(damaged.OriginSectors).Bytes(),
		})
		got, want := rules(r), slices.Clone(c.Rules)
		slices.Sort(got)
		slices.Sort(want)
		if string(r.Outcome()) != c.Result || !slices.Equal(got, want) {
			t.Errorf("%s: %s: %v, want %s: %v", c.Name, r.Outcome(), got, c.Result, want)
		}
	}
}

// noHarmSeen are the stores with errors by which the kernel did no harm in what
// was tried, and why they are errors all the same; with a version behind them, for
// the kernels from that on.
var noHarmSeen = map[string]string{
	"repeated":                "where the exceptions are in a run, the kernel cannot merge it (repeated-in-a-run)",
	"repeated-in-a-run, 6.12": "where a larger chunk is listed before, the kernel cannot merge it (repeated-in-a-run-before-larger)",
	"old-at-origin-end":       "a merge drops the exception's data without a word",
	"odd-terminator":          "it ends the list there, as it must; but it never writes such an entry, so that an exception was lost",
}

// TestSeveritiesAreTheKernels: a store with errors is one that the kernel refuses,
// writes over or does ill by, in the way that the rules say; one without is one
// that it serves.
func TestSeveritiesAreTheKernels(t *testing.T) {
	for _, kernel := range damaged.Versions(t) {
		version := fmt.Sprintf("%d.%d", kernel[0], kernel[1])
		t.Run(version, func(t *testing.T) { testSeverities(t, version, damaged.Verdicts(t, kernel)) })
	}
}

func testSeverities(t *testing.T, version string, verdicts map[string]damaged.Verdict) {
	for _, c := range damaged.Load(t) {
		v, known := verdicts[c.Name]
		if !known {
			t.Errorf("%s: kernel.json has nothing of it", c.Name)
			continue
		}
		r := report(t, check.Options{
			Device: devicetest.Of(c.Image),
			Origin: format.Sectors(damaged.OriginSectors).Bytes(),
		})
		noHarm := noHarmSeen[c.Name] != "" || noHarmSeen[c.Name+", "+version] != ""
		switch fate, found := r.Fate(), rules(r); {
		case r.Outcome() == check.Uninitialized:
			if !v.Formatted {
				t.Errorf("%s: the kernel did not format it: %+v", c.Name, v)
			}
		case r.Outcome() == check.Invalid:
			if v.Status != "Invalid" {
				t.Errorf("%s: the kernel did not call it invalid: %+v", c.Name, v)
			}
		case r.Outcome() == check.Damaged:
			if (fate == check.Formats) != v.Formatted || (fate == check.Refuses) != (v.Refused != "") || v.Right() != noHarm {
				t.Errorf("%s: fate %d for %v, and the kernel: %+v", c.Name, fate, found, v)
			}
		case slices.Contains(found, "full"):
			if v.View != damaged.AsListed || v.After != damaged.Lost {
				t.Errorf("%s: the kernel did not lose it: %+v", c.Name, v)
			}
		case !v.Right():
			t.Errorf("%s: %v, and the kernel: %+v", c.Name, found, v)
		}
	}
}
