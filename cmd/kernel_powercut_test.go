package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/storespec"
)

// Versions of the data that power cuts are tried with: what the origin held first, and what was
// written to origin and snapshot.
const (
	heldFirst = iota
	toOrigin
	toSnapshot
)

// TestKernelPowerCuts writes to an origin, to its snapshot, and to both, from many sides at once, and
// cuts the power at moments out of the log of the disk that has them. What is left of
// writes to the origin shows the snapshot, and merges, without being asked; what is left of writes
// to the snapshot, whose data never was the origin's, where the evidence allows it, and never
// shows anything else than what may be there.
func TestKernelPowerCuts(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(18, devicetest.Seed(t)))
	for _, c := range []struct {
		name string
		to   []int
		cuts int
	}{
		{"origin", []int{toOrigin}, 20},
		{"snapshot", []int{toSnapshot}, 20},
		{"both", []int{toOrigin, toSnapshot}, 20},
	} {
		for _, chunk := range []uint64{4, 8} {
			t.Run(fmt.Sprintf("%s, chunks of %d", c.name, chunk), func(t *testing.T) {
				u, log := writeLogged(t, rng, chunk, c.to)
				dir := t.TempDir()
				torn, refused := 0, 0
				wide := u.wideCommits(log)
				for n := range c.cuts {
					at := rng.IntN(len(log))
					if n%4 > 0 && len(wide) > 0 {
						at = wide[rng.IntN(len(wide))]
					}
					state := u.cut(rng, log, at)
					if state.isTorn() {
						torn++
					}
					if !state.survives(t, dir, len(c.to) == 1 && c.to[0] == toOrigin) {
						refused++
					}
				}
				t.Logf("%d cuts: %d have left entries behind the list's end, %d were refused", c.cuts, torn, refused)
			})
		}
	}
}

// writeLogged has the kernel serve an empty store while several write to it, and returns what there
// was before, and the log of the disk that has origin and COW device, in this order.
func writeLogged(t *testing.T, rng *rand.Rand, chunk uint64, to []int) (u unmerged, disk []kernellab.LogEntry) {
	t.Helper()
	const sectors, writers, each = 6000, 32, 15
	u = unmerged{
		chunk, kernellab.Pattern(0, sectors, heldFirst),
		storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=%d", 2*sectors, chunk)),
	}
	both := append(bytes.Clone(u.origin), u.cow...)
	log := kernellab.NewWriteLogNamed(t, "disk-log", kernellab.LoopOf(t, both), 64<<20/kernellab.SectorSize)
	lower := kernellab.Create(t, "lower-origin", fmt.Sprintf("0 %d linear %s 0", sectors, log.Path), false)
	cow := kernellab.Create(t, "lower-cow", fmt.Sprintf("0 %d linear %s %d", 2*sectors, log.Path, sectors), false)
	s := kernellab.NewSnapshot(t, lower.Path, cow.Path, "P", chunk)
	path := map[int]string{toOrigin: s.Origin.Path, toSnapshot: s.View.Path}
	var all sync.WaitGroup
	for i := range writers {
		version := to[i%len(to)]
		var chunks []uint64
		for range each {
			first := rng.Uint64N(sectors/chunk - 4)
			for n := range 1 + rng.Uint64N(4) {
				chunks = append(chunks, first+n)
			}
		}
		all.Go(func() {
			if _, err := kernellab.WritePattern(path[version], chunk, chunks, uint64(version)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.Down(t)
	lower.Remove(t)
	cow.Remove(t)
	log.Flush(t)
	return u, log.End(t)
}

// wideCommits are the entries of the log that change more than one sector of the list: they can be
// torn so that a gap is left.
func (u unmerged) wideCommits(log []kernellab.LogEntry) (all []int) {
	disk := append(bytes.Clone(u.origin), u.cow...)
	for i, e := range log {
		changed := 0
		for n := range uint64(len(e.Data) / kernellab.SectorSize) {
			if !bytes.Equal(disk[(e.Sector+n)*kernellab.SectorSize:][:kernellab.SectorSize], e.Data[n*kernellab.SectorSize:][:kernellab.SectorSize]) {
				changed++
			}
		}
		copy(disk[e.Sector*kernellab.SectorSize:], e.Data)
		if e.FUA && changed > 1 {
			all = append(all, i)
		}
	}
	return all
}

// cut is what a power cut at an entry of the log leaves of both devices: all that was flushed before,
// and of what was not, some sectors.
func (u unmerged) cut(rng *rand.Rand, log []kernellab.LogEntry, at int) unmerged {
	disk := append(bytes.Clone(u.origin), u.cow...)
	flushed := 0
	for i, e := range log[:at+1] { // a write with a flush begins when that is done
		if e.Flush {
			flushed = i
		}
	}
	often := rng.Float64()
	for i, e := range log[:at+1] { // what comes behind may have waited for this one
		whole := i < flushed || e.FUA && i < at
		for n := range uint64(len(e.Data) / kernellab.SectorSize) {
			if whole || rng.Float64() < often {
				copy(disk[(e.Sector+n)*kernellab.SectorSize:][:kernellab.SectorSize], e.Data[n*kernellab.SectorSize:])
			}
		}
	}
	return unmerged{u.chunk, disk[:len(u.origin)], disk[len(u.origin):]}
}

// isTorn reports whether entries stand behind the list's end in its area.
func (u unmerged) isTorn() bool {
	s := u.store()
	e, n := s.PerArea(), len(s.List())
	for i := n; i < (n/e+1)*e; i++ {
		if x, _ := s.Slot(i); x.New != 0 {
			return true
		}
	}
	return false
}

// survives reports whether what a power cut has left is taken for what it is, and wants that to show
// what it may.
func (u unmerged) survives(t *testing.T, dir string, must bool) bool {
	t.Helper()
	cow, origin, out := filepath.Join(dir, "cow"), filepath.Join(dir, "origin"), filepath.Join(dir, "out")
	u.reset(t, origin, cow)
	defer os.Remove(out)
	status, _, stderr := dmcow("export", cow, "--origin", origin, out)
	if status != 0 {
		if must {
			t.Errorf("export: exit status %d: %s", status, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("refused, and a file is left")
		}
		if status, _, _ := dmcow("merge", "--yes", cow, "--into", origin); status == 0 {
			t.Error("the export is refused, and not the merge")
		}
		return false
	}
	u.mayShow(t, out)
	expect(t, 0, "merge", "--yes", cow, "--into", origin)
	u.mayShow(t, origin)
	return true
}

// mayShow wants each sector of a file to be what the origin held first, or what was written to the
// snapshot: and all of a chunk that is not being written.
func (u unmerged) mayShow(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(len(content) / kernellab.SectorSize) {
		sector := content[n*kernellab.SectorSize:][:kernellab.SectorSize]
		if !bytes.Equal(sector, kernellab.Pattern(n, 1, heldFirst)) && !bytes.Equal(sector, kernellab.Pattern(n, 1, toSnapshot)) {
			t.Fatalf("%s: sector %d is neither what the origin held nor what was written to the snapshot", filepath.Base(path), n)
		}
	}
}
