package soak_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
)

// never are the rules that no sample breaks: what LVM has on record, and what dmcow was cut off at.
var never = []*check.Rule{check.LVMChunkSizeDiffers, check.UnfinishedStore}

// TestSamples wants the mutator to break the rules, and to make the same of the same number.
func TestSamples(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(900) {
		s := newSample(seed)
		if again := newSample(seed); !bytes.Equal(s.image, again.image) || !bytes.Equal(s.origin, again.origin) {
			t.Fatalf("store %d is another one the next time", seed)
		}
		c, err := ask(s.image, s.origin)
		if err != nil {
			t.Fatalf("store %d: %v\n%s", seed, err, strings.Join(s.spec, "\n"))
		}
		seen[string(c.report.Outcome())]++
		for _, x := range c.report.Tallies {
			seen[x.Name]++
		}
	}
	for _, r := range check.Rules() {
		if (seen[r.Name] == 0) != slices.Contains(never, r) {
			t.Errorf("%s: %d samples break it", r.Name, seen[r.Name])
		}
	}
	t.Log(seen)
}
