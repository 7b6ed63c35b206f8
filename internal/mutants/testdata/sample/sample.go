// Package sample has a mutant of each kind. What becomes of it stands behind its line, in the order in which the
// line has its mutants; * is for all of them.
package sample

type Size uint64

// What must be constant is left alone.
const (
	half  = 4 - 2
	names = "a" + "b"
)

var table = [half + 1]int{half - 1: 3}

func Within(n, limit int) bool { return n < limit } // killed, killed

func AtMost(n, limit int) bool { return n <= limit } // same, killed

func Over(n, limit Size) bool { return n > limit } // same, killed

func Same(a, b error) bool { return a == b } // killed

func Count(n int) (sum int) {
	for i := 0; i < n; i++ { // killed, killed, timed out
		sum++ // killed
	}
	return sum
}

func Down(m map[string]int) { m["a"]-- } // killed

func Turn(n int) int { return -n } // killed

func Nobody(n int) int { return n*2 + 1 } // not covered, not covered

func Area(a, b Size) Size { return a*b + 3%2 } // killed, killed, killed

func Shift(n uint, x uint64) bool { return x < 1<<n-1 } // same, killed, survived

func Share(n int) int { return 12 / n } // killed

func Both(a, b, c bool) bool { return a && b || c } // survived, killed

func Note(all *[]int, n int) {
	*all = append(*all, n) // killed
	clear(table[:])        // survived
}

func InChild(n int) bool { return n != 0 } // killed

func Name(s string) string { return names + s }
