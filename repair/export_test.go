package repair

import "testing"

// SetLimits has plans hold less until a test ends, which must not run beside others.
func SetLimits(t testing.TB, singles, edits, sectors int) {
	was := [3]int{mostSingles, mostEdits, mostSectors}
	t.Cleanup(func() { mostSingles, mostEdits, mostSectors = was[0], was[1], was[2] })
	mostSingles, mostEdits, mostSectors = singles, edits, sectors
}
