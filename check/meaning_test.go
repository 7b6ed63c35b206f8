package check_test

import (
	"testing"

	"dmcow/check"
)

// TestMeanings goes through all rules: an error that says nothing is taken for the worst, and one that
// is not the worst still keeps others from writing to the store; what is no error keeps nobody
// from anything.
func TestMeanings(t *testing.T) {
	worst := check.Meaning{}
	if worst.Certain() || worst.Writable || worst.Merging != check.NoMerge {
		t.Error("a rule that says nothing allows something")
	}
	known := map[string]check.Meaning{ // of the errors that do not mean the worst
		"repeated-exception":      {NamedCertain: true, Merging: check.RescueMerge},
		"old-chunk-beyond-origin": {Merging: check.ForcedMerge, DoubtsOrigin: true},
		"new-chunk-out-of-place":  {UnlistedCertain: true, Merging: check.ForcedMerge},
		"new-chunk-over-56-bits":  {UnlistedCertain: true},
		"new-chunk-is-metadata":   {UnlistedCertain: true},
		"new-chunk-beyond-device": {UnlistedCertain: true},
		"duplicate-new-chunk":     {UnlistedCertain: true},
		"odd-terminator":          {UnlistedCertain: true},
	}
	mentions := map[string]bool{"cut-off-list": true, "leaked-chunks": true, "older-store": true}
	seen := 0
	for _, r := range check.Rules() {
		m := r.Means
		if r.Severity != check.Error {
			if !m.Certain() || !m.Writable || m.Merging != check.AnyMerge || m.Mention != mentions[r.Name] {
				t.Errorf("%s, %s: %+v", r.Name, r.Severity, m)
			}
			continue
		}
		if m.Writable {
			t.Errorf("%s: a store with that error may be written to", r.Name)
		}
		if want, ok := known[r.Name]; m != worst || ok {
			if seen++; m != want {
				t.Errorf("%s: %+v, expected %+v", r.Name, m, want)
			}
		}
	}
	if seen != len(known) {
		t.Errorf("%d rules say what they mean, expected %d", seen, len(known))
	}
}
