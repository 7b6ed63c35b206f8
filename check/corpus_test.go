package check_test

import (
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
)

// remarks are the warnings that are due on a sound store, straight from their
// descriptions.
func remarks(image []byte) (names []string) {
	s := naive.Of(image)
	highest := uint64(1)
	all := s.List()
	for _, x := range all {
		highest = max(highest, x.New)
	}
	stride := uint64(s.PerArea() + 1)
	next := highest + 1
	if len(all) > 0 && next%stride == 1 && next < s.Chunks() {
		names = append(names, "next-chunk-is-metadata")
		next++
	}
	filled := uint64(len(all)+1)%(stride-1) == 0 // by the next exception
	room := 1 + uint64(len(all)+1)/(stride-1)*stride
	if next >= s.Chunks() || filled && room >= s.Chunks() {
		names = append(names, "full")
	}
	return names
}

// TestStoresOfTheKernel: what the kernel makes has no errors.
func TestStoresOfTheKernel(t *testing.T) {
	for name, s := range corpus.Load(t) {
		image := s.COW(t)
		o := check.Options{
			Device: devicetest.Of(image),
			Origin: format.Bytes(s.OriginSectors * kernellab.SectorSize),
		}
		r := report(t, o)
		var warnings []string
		for _, tally := range r.Tallies {
			switch tally.Severity {
			case check.Error:
				t.Errorf("%s: %s: %s", name, tally.Name, tally.Findings[0].Message())
			case check.Warning:
				warnings = append(warnings, tally.Name)
			}
		}
		want := remarks(image)
		if s.Status == "Invalid" { // it is lost already
			want = slices.DeleteFunc(want, func(name string) bool { return name == "full" })
		}
		if !slices.Equal(warnings, want) {
			t.Errorf("%s: %v, want %v", name, warnings, want)
		}
		if want := s.Status == "Invalid"; (r.Outcome() == check.Invalid) != want {
			t.Errorf("%s: %s, the kernel says %s", name, r.Outcome(), s.Status)
		}
	}
}
