package pace

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// filled has readings of a store that had so many exceptions, and gets so many a second.
func filled(from time.Duration, every time.Duration, n int, stored, perSecond float64, room uint64) *History {
	h := new(History)
	for i := range n {
		at := from + time.Duration(i)*every
		has := uint64(stored + perSecond*(at-from).Seconds())
		h.Add(Reading{At: at, Stored: has, Left: room - has})
	}
	return h
}

// TestKnownRate: a minute of a steady rate gives the time left within a tenth, however often it is read.
func TestKnownRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := time.Duration(rapid.IntRange(200, 10_000).Draw(t, "every")) * time.Millisecond
		rate := rapid.Float64Range(1, 50_000).Draw(t, "rate")
		n := int(time.Minute/every) + 2
		room := uint64(rate*rapid.Float64Range(120, 100_000).Draw(t, "seconds")) + 100
		h := filled(time.Hour, every, n, 7, rate, room)
		last, _ := h.Last()
		want := float64(last.Left) / rate
		f := h.Forecast()
		if !f.Known || !f.Ever || math.Abs(f.Left.Seconds()-want) > want/10 {
			t.Fatalf("%v left, expected %.1f s: %+v", f.Left, want, f)
		}
	})
}

func TestRates(t *testing.T) {
	h := filled(0, 5*time.Second, 1+12*20, 0, 10, 1<<30) // 20 minutes of 10 a second
	last, _ := h.Last()
	for range 12 { // and a minute of 100
		last = Reading{At: last.At + 5*time.Second, Stored: last.Stored + 500, Left: last.Left - 500}
		h.Add(last)
	}
	for window, want := range map[time.Duration]float64{Short: 100, Long: (14*10 + 100) / 15.0} {
		if got, known := h.Rate(window); !known || math.Abs(got-want) > want/50 {
			t.Errorf("over %v: %v, expected %v", window, got, want)
		}
	}
	if f := h.Forecast(); math.Abs(f.Left.Seconds()-float64(last.Left)/100) > 1e5 {
		t.Errorf("%v left: the faster rate counts", f.Left)
	}
	if got, known := new(History).Rate(Short); known || got != 0 {
		t.Error("a rate of nothing")
	}
	seldom := filled(0, 3*time.Hour, 3, 0, 1, 1<<20) // a plugin that runs every three hours
	if got, known := seldom.Rate(Short); !known || math.Abs(got-1) > 0.01 {
		t.Errorf("readings that come seldom: %v, %v", got, known)
	}
}

// TestSeldom: where readings come less often than once in a window, two that come one upon the other are no rate.
func TestSeldom(t *testing.T) {
	var h History
	for i, at := range []time.Duration{0, 5 * time.Minute, 5*time.Minute + time.Second, 5*time.Minute + 2*time.Second} {
		stored := uint64(min(i, 1) * 300)
		h.Add(Reading{At: at, Stored: stored, Left: 600 - stored})
		if rate, known := h.Rate(Short); known != (i > 0) || known && (rate < 0.99 || rate > 1) {
			t.Errorf("reading %d: %v a second, known: %v", i, rate, known)
		}
	}
}

func TestNotKnown(t *testing.T) {
	for name, c := range map[string]struct {
		h    *History
		want Forecast
	}{
		"nothing":           {new(History), Forecast{}},
		"one":               {filled(0, time.Second, 1, 5, 0, 100), Forecast{}},
		"nine seconds":      {filled(0, time.Second, 10, 5, 1, 100), Forecast{}},
		"nothing is stored": {filled(0, time.Second, 20, 5, 0, 100), Forecast{Known: true}},
		"full":              {filled(0, time.Second, 1, 100, 0, 100), Forecast{Known: true, Ever: true}},
	} {
		if got := c.h.Forecast(); got != c.want {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
}

// TestAnew: what cannot be the same store is a new one.
func TestAnew(t *testing.T) {
	base := Reading{At: time.Minute, Stored: 100, Left: 50}
	for name, c := range map[string]struct {
		next Reading
		keep int
	}{
		"it goes on":                {Reading{At: 2 * time.Minute, Stored: 120, Left: 30}, 2},
		"it was extended":           {Reading{At: 2 * time.Minute, Stored: 120, Left: 3000}, 2},
		"it was made anew":          {Reading{At: 2 * time.Minute, Stored: 3, Left: 147}, 1},
		"a merge begins":            {Reading{At: 2 * time.Minute, Stored: 100, Merging: true}, 1},
		"the clock went back":       {Reading{At: time.Second, Stored: 120, Left: 30}, 1},
		"the same moment once more": {Reading{At: time.Minute, Stored: 120, Left: 30}, 1},
	} {
		h := new(History)
		h.Add(base)
		h.Add(c.next)
		if got := len(h.Readings()); got != c.keep {
			t.Errorf("%s: %d readings, expected %d", name, got, c.keep)
		}
	}
}

func TestMerge(t *testing.T) {
	h := new(History)
	for i := range 61 {
		h.Add(Reading{At: time.Duration(i) * time.Second, Stored: uint64(10_000 - 50*i), Merging: true})
	}
	if f := h.Forecast(); !f.Known || math.Abs(f.Left.Seconds()-140) > 1 {
		t.Errorf("%+v, expected 140 s", f)
	}
}

// TestBounded: a day of readings takes no more than an hour's, and an hour of them can be drawn.
func TestBounded(t *testing.T) {
	h := filled(0, time.Second, 24*3600, 0, 1, 1<<40)
	last, _ := h.Last()
	first := h.Readings()[0]
	if n := len(h.Readings()); n > 400 || last.At-first.At < time.Hour {
		t.Errorf("%d readings, of %v", n, last.At-first.At)
	}
	for i, s := range h.Steps(60, time.Hour) {
		if math.Abs(s-60) > 1 {
			t.Errorf("minute %d: %v exceptions, expected 60", i, s)
		}
	}
	young := filled(0, time.Second, 100, 0, 1, 1<<40)
	if s := young.Steps(60, time.Hour); s[0] != -1 || s[59] != 60 || slices.Index(s, 60) != 59 {
		t.Errorf("a minute and a half: %v", s)
	}
}

func TestText(t *testing.T) {
	h := filled(time.Hour, 5*time.Second, 500, 7, 3, 1<<30)
	text, err := json.Marshal(h)
	var got History
	if err != nil || json.Unmarshal(text, &got) != nil || !slices.Equal(got.Readings(), h.Readings()) {
		t.Fatalf("%v, %d readings of %d", err, len(got.Readings()), len(h.Readings()))
	}
	for _, bad := range []string{`{}`, `[1]`, `[[1,2,3,2]]`, `[[5,1,1,0],[4,1,1,0]]`, `[[18446744073709551615,0,0,0]]`, `[[-1,0,0,0]]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was taken for a history", bad)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`[[1000,5,7,0],[2000,6,6,0]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var h History
		if json.Unmarshal(text, &h) != nil {
			return
		}
		if len(h.Readings()) > 1000 {
			t.Fatalf("%d readings", len(h.Readings()))
		}
		h.Forecast()
		h.Steps(7, time.Hour)
		again, err := json.Marshal(h)
		var same History
		if err != nil || json.Unmarshal(again, &same) != nil || !slices.Equal(same.Readings(), h.Readings()) {
			t.Fatalf("%s, %v: %s", text, err, again)
		}
	})
}
