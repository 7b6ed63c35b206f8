package dump

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// numbers are those around which decimal digits go wrong.
func numbers() []uint64 {
	values := []uint64{0, math.MaxUint64, math.MaxUint64 - 1, 1<<56 - 1}
	for v := uint64(1); v < math.MaxUint64/10; v *= 10 {
		values = append(values, v-1, v, v+1, 2*v+1, 9*v)
	}
	for v := uint64(0); v < shortLimit; v += 997 {
		values = append(values, v)
	}
	return values
}

func checkNumber(t *testing.T, v uint64, w int) {
	t.Helper()
	want := strconv.FormatUint(v, 10)
	if v < shortLimit {
		text, n := short(v)
		if got := string(appendWord(text)[:n]); got != want {
			t.Fatalf("short(%d) = %q", v, got)
		}
	}
	want = "x" + strings.Repeat(" ", max(0, w-len(want))) + want
	if got := string(appendNumber([]byte("x"), v, w)); got != want {
		t.Fatalf("appendNumber(%d) in %d columns = %q", v, w, got)
	}
}

func appendWord(text uint64) []byte {
	var b []byte
	for range 8 {
		b, text = append(b, byte(text)), text>>8
	}
	return b
}

func TestNumber(t *testing.T) {
	for _, v := range numbers() {
		for _, w := range []int{0, 8, 14} {
			checkNumber(t, v, w)
		}
	}
}

func FuzzNumber(f *testing.F) {
	f.Add(uint64(99_999_999))
	f.Add(uint64(100_000_000))
	f.Fuzz(func(t *testing.T, v uint64) {
		checkNumber(t, v, 0)
		checkNumber(t, v, 14)
	})
}
