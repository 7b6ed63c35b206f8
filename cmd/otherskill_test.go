package cmd

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
)

// TestMergeOfVolumesKilled kills merges of a snapshot that has others beside it, on images,
// at random moments. Each time all snapshots show what they did, and the same command run
// again ends the merge as if nothing had been.
func TestMergeOfVolumesKilled(t *testing.T) {
	f, disks := lvmImages(t, "several")
	var before [][]byte
	for _, d := range disks {
		content, err := os.ReadFile(d)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, content)
	}
	args := append([]string{"merge", "--yes", "--memory", "1M", f.Merge}, pv(disks)...)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(7, seed))
	t.Logf("seed %d", seed)
	var took time.Duration
	landed := map[string]int{}
	for n := range 24 {
		for i, d := range disks {
			devicetest.WriteFile(t, d, before[i])
		}
		if n < 3 {
			if ran, _ := killed(t, nil, args...); took == 0 || ran < took {
				took = ran
			}
			f.checkMerged(t, disks)
			continue
		}
		after := time.Duration(rng.Float64() * rng.Float64() * float64(took)) // more often early: the end is idle
		killed(t, &after, args...)
		landed[f.cutOff(t, disks)]++
		expect(t, 0, args...)
		f.checkMerged(t, disks)
	}
	t.Logf("of kills in %v: %v", took, landed)
	if landed["before the list was cleared"] == 0 {
		t.Error("none found it at work")
	}
}

// checkMerged wants the origin to be what the snapshot was that was merged, and the others
// to show what they did.
func (f lvmFacts) checkMerged(t *testing.T, disks []string) {
	t.Helper()
	merged := f.Snapshots[f.Merge]
	if got := corpus.Digest(volumeContent(t, merged.Origin, disks)); got != merged.View {
		t.Error("the origin is not what the snapshot was")
	}
	f.checkViews(t, disks)
}

// checkViews wants all snapshots to show what they did.
func (f lvmFacts) checkViews(t *testing.T, disks []string) {
	t.Helper()
	for name, s := range f.Snapshots {
		if s.State == "valid" && corpus.Digest(lvmView(t, name, s.Origin, disks)) != s.View {
			t.Errorf("%s does not show what it showed", name)
		}
	}
}

// cutOff wants all snapshots to show what they did, and says where the kill has landed.
func (f lvmFacts) cutOff(t *testing.T, disks []string) string {
	t.Helper()
	f.checkViews(t, disks)
	if *usageOf(t, append([]string{f.Merge}, pv(disks)...)...).Exceptions == 0 {
		return "at the end"
	}
	return "before the list was cleared"
}
