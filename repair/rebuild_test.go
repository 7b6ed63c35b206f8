package repair_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// runs is the image of a store whose list has some exceptions in runs of a length: of each, the
// chunks go on by one. The first run is cut, so that sectors do not end where runs do.
func runs(t *testing.T, rng *rand.Rand, chunk, exceptions, length int) (image []byte, start []int) {
	var spec strings.Builder
	e := 32 * chunk
	fmt.Fprintf(&spec, "device %d\nheader chunk=%d\ndata 9\n", (exceptions+exceptions/e+9)*chunk, chunk)
	bases := rng.Perm(exceptions) // of runs, far from each other
	begin, left := 0, 1+rng.IntN(length)
	for i := range exceptions {
		if left == 0 {
			begin, left = i, length
		}
		left--
		old := (1+bases[begin])*2*min(length, exceptions) + i - begin
		fmt.Fprintf(&spec, "ex %d %d %d\n", i, old, 2+i+i/e)
		start = append(start, begin)
	}
	return storespec.MustCompile(t, spec.String()), start
}

// TestRebuiltSectors loses each sector of lists with runs of several lengths, and has it rebuilt. The
// sectors that lie inside of a run come back whole; of others nothing is made up.
func TestRebuiltSectors(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{1, 2, 8, 64, 1 << 20} {
		lost, whole := 0, 0
		for _, chunk := range []int{1, 4} {
			exceptions := 4*32*chunk - 5
			image, start := runs(t, rng, chunk, exceptions, length)
			for first := 0; first < exceptions; first += 32 {
				inside := first > 0 && first+32 < exceptions && start[first-1] == start[first+32]
				another := (first + exceptions/2) / 32 % (exceptions / 32) * 32
				for what, sector := range map[string][]byte{
					"zeros":   make([]byte, format.SectorSize),
					"ones":    bytes.Repeat([]byte{0xff}, format.SectorSize),
					"another": sectorOf(image, chunk, another),
				} {
					if what == "another" && first == another {
						continue
					}
					damaged := bytes.Clone(image)
					copy(sectorOf(damaged, chunk, first), sector)
					d := devicetest.Of(damaged)
					p := mend(t, d, 0, repair.Choices{Rebuild: true, Warnings: true})
					back, same := d.Holds(image), d.Holds(damaged)
					if lost++; back {
						whole++
					} else if inside || !same {
						t.Errorf("runs of %d, chunk %d: exceptions from %d on became %s; mended: %v; undecided: %v; %s",
							length, chunk, first, what, p.Repaired, p.Undecided, findings(p.After))
					}
				}
			}
		}
		t.Logf("runs of %d: of %d lost sectors %d come back whole", length, lost, whole)
	}
}

// sectorOf is the sector of an image that has the exceptions from one on.
func sectorOf(image []byte, chunk, first int) []byte {
	s := naive.Store{Image: image, Chunk: chunk * format.SectorSize}
	return image[s.At(first):][:format.SectorSize]
}

// TestNothingToRebuildBy: who wants something rebuilt that nothing speaks for is told so; who does not want that, is not.
func TestNothingToRebuildBy(t *testing.T) {
	const said = "--rebuild finds nothing by which it could be rebuilt"
	for spec, rule := range map[string]*check.Rule{
		"device 400\nheader chunk=1\nfill 100\nraw 0x4400 ff*512": check.ImplausibleArea,
		"device 400\nheader chunk=1\nfill 40 100\nex 39 139 1":    check.NewChunkIsMetadata,
	} {
		for _, rebuild := range []bool{true, false} {
			p := patient{spec, 0, repair.Choices{Rebuild: rebuild}}
			plan := p.planFor(t, devicetest.Of(p.image(t)))
			if got := adviceOn(t, plan, rule).Advice; strings.HasPrefix(got, said) != rebuild {
				t.Errorf("%s, rebuilt %t: %s", rule.Name, rebuild, got)
			}
		}
	}
}
