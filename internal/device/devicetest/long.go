package devicetest

import (
	"os"
	"slices"
	"testing"
)

// Long skips a test that only make test-all runs. Such a test is called TestLong… or
// TestKernelLong…, and does more of what another test does that make test runs.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("DMCOW_LONG") == "" {
		t.Skip("takes long: DMCOW_LONG=1, or make test-all, runs it")
	}
}

// LongBut is Long for all cases of a test but some, which show what the others show, too. With
// DMCOW_LONG=others only the others run.
func LongBut(t testing.TB, name string, some ...string) {
	t.Helper()
	switch {
	case !slices.Contains(some, name):
		Long(t)
	case os.Getenv("DMCOW_LONG") == "others":
		t.Skip("make test runs this case")
	}
}
