package devicetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed is what chance begins with in a test: DMCOW_SEED, or a new one each time, which
// a test that fails tells.
func Seed(t testing.TB) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("DMCOW_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with DMCOW_SEED=%d", n)
		}
	})
	return n
}
