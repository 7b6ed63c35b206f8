package cmd

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
)

// TestReceiveKilled kills receive at random moments, with an undo log and without, over a copy and to a new file. The
// same command run again ends well, and the log undoes it.
func TestReceiveKilled(t *testing.T) {
	base := devicetest.Numbered(8 << 20)
	source := bytes.Clone(base)
	for at := 0; at < len(source); at += 4096 {
		source[at+at/4096%4096] ^= 0xff
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	devicetest.WriteFile(t, file("delta"), deltatest.Make(t, delta.Forward, 8, base, source))
	devicetest.WriteFile(t, file("full"), deltatest.Make(t, delta.Full, 8, nil, source))
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 8))
	for _, args := range [][]string{
		{"receive", file("copy"), file("delta"), "--yes"},
		{"receive", file("copy"), file("delta"), "--undo", file("log"), "--yes"},
		{"receive", file("new"), file("full"), "--yes"},
	} {
		var took time.Duration
		begun := 0
		for n := range 8 {
			devicetest.WriteFile(t, file("copy"), base)
			os.Remove(file("new"))
			os.Remove(file("log"))
			if n < 2 {
				if ran, _ := killed(t, nil, args...); took == 0 || ran < took {
					took = ran
				}
				continue
			}
			after := time.Duration(rng.Float64() * float64(took))
			killed(t, &after, args...)
			if now, err := os.ReadFile(args[1]); err == nil && !bytes.Equal(now, base) {
				begun++
			}
			expect(t, 0, args...)
			if now, err := os.ReadFile(args[1]); err != nil || !bytes.Equal(now, source) {
				t.Fatalf("%v: killed after %v, and again: the target is something else (%v)", args, after, err)
			}
			if _, err := os.Stat(file("log")); err != nil {
				continue
			}
			expect(t, 0, "merge", file("log"), "--into", file("copy"), "--yes")
			if now, _ := os.ReadFile(file("copy")); !bytes.Equal(now, base) {
				t.Fatalf("%v: killed after %v: the log does not undo it", args, after)
			}
		}
		t.Logf("%v: %d of 6 were killed when they had written, in %v", args[1:], begun, took)
	}
}
