package words

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 s":         900 * time.Millisecond,
		"59 s":        59 * time.Second,
		"1 min 30 s":  90 * time.Second,
		"10 min":      10*time.Minute + 30*time.Second,
		"2 h 10 min":  130 * time.Minute,
		"1 d 1 h":     25*time.Hour + 59*time.Minute,
		"700 d":       700 * 24 * time.Hour,
		"100 years":   100 * 365 * 24 * time.Hour,
		"9 d 23 h":    10*24*time.Hour - 1,
		"59 min":      time.Hour - 1,
		"23 h 59 min": 24*time.Hour - 1,
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, expected %q", d, got, want)
		}
	}
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		most int
		want string
	}{{0, "vg0/snäp"}, {8, "vg0/snäp"}, {7, "~0/snäp"}, {2, "~p"}, {1, "~"}} {
		if got := Tail("vg0/snäp", c.most, "~"); got != c.want {
			t.Errorf("%d: %q, expected %q", c.most, got, c.want)
		}
	}
}
