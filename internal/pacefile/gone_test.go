package pacefile

import (
	"slices"
	"testing"
	"time"

	"dmcow/internal/pace"
)

// TestGone: a store that is read no more is dropped after a week, and one whose last reading is yet to come at once, as
// where a virtual machine was put back to an earlier state. Another one keeps its readings.
func TestGone(t *testing.T) {
	const now = 10 * 24 * time.Hour
	for name, c := range map[string]struct {
		last string // of the readings, in milliseconds
		kept int
	}{
		"just read":             {"863999000", 2},
		"now":                   {"864000000", 2},
		"almost a week ago":     {"259200001", 2},
		"a week ago":            {"259200000", 0},
		"a millisecond to come": {"864000001", 0},
		"hundreds of years off": {"9000000000000", 0},
	} {
		f := File{Stores: map[string]*pace.History{}, boot: "b", now: now}
		err := f.read([]byte(`{"dmcow_state":1,"boot":"b","stores":{"x":[[1000,1,9,0],[` + c.last + `,2,8,0]]}}`))
		if err != nil || f.Anew != "" {
			t.Errorf("%s: %v, %q", name, err, f.Anew)
			continue
		}
		kept := 0
		if h := f.Stores["x"]; h != nil {
			kept = len(h.Readings())
		}
		if kept != c.kept {
			t.Errorf("%s: %d readings, expected %d", name, kept, c.kept)
		}
	}
}

// TestBounded: whoever asks every second has no more readings than others.
func TestBounded(t *testing.T) {
	f := File{Stores: map[string]*pace.History{}}
	most := 0
	for i := range uint64(20_000) {
		f.now += time.Second
		most = max(most, len(f.Add("x", i, 1<<40-i, false).Readings()))
	}
	h := f.Stores["x"]
	if most > 500 || !slices.IsSortedFunc(h.Readings(), func(a, b pace.Reading) int { return int(a.At - b.At) }) {
		t.Errorf("%d readings at most", most)
	}
}
