package repair_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestKernelServesWhatIsMended mends each damaged store, with the user's word on all and
// without. The kernel loads what a check finds no error in, serves exactly the exceptions
// that were to be kept, and merges them.
func TestKernelServesWhatIsMended(t *testing.T) {
	kernellab.Require(t)
	served := map[string]int{}
	for i, c := range damaged.Load(t) {
		keep := []repair.Keep{repair.KeepFirst, repair.KeepLast}[i%2]
		for name, choices := range map[string]repair.Choices{"alone": {}, "with all flags": everything(keep)} {
			t.Run(c.Name+", "+name, func(t *testing.T) {
				if name != "alone" && hasAny(c.Rules, headerRules) && c.Name != "all-ones" {
					choices = withHeader(choices, rightChunk(c.Image))
				}
				if serveMended(t, c.Image, damaged.OriginSectors, choices) {
					served[name]++
				}
			})
		}
	}
	if served["alone"] != len(unaided) || served["with all flags"] < 40 {
		t.Errorf("the kernel has served %v", served)
	}
}

// TestKernelServesTheMatrix does the same with stores damaged in any way of the matrix.
func TestKernelServesTheMatrix(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 3))
	tried, served := 0, 0
	for _, chunk := range []int{1, 2} {
		const exceptions = 101
		image := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0\ndata 9", matrixSectors, chunk, exceptions))
		for m := range damaged.Matrix(image, chunk, exceptions, matrixOrigin) {
			if rng.IntN(30) > 0 {
				continue
			}
			t.Run(fmt.Sprintf("chunk %d, %s", chunk, m.Name), func(t *testing.T) {
				choices := everything([]repair.Keep{repair.KeepFirst, repair.KeepLast}[rng.IntN(2)])
				if !headerSurvives(m.Image, image) {
					choices = withHeader(choices, uint32(chunk))
				}
				tried++
				if serveMended(t, m.Image, int64(matrixOrigin*chunk), choices) {
					served++
				}
			})
		}
	}
	if 3*served < tried { // others are sound as they are, or marked invalid
		t.Errorf("of %d the kernel has served %d", tried, served)
	}
}

// serveMended mends a store whose origin has so many sectors, and has the kernel load it,
// where something was mended and it is sound. It reports whether it was.
func serveMended(t *testing.T, image []byte, origin int64, c repair.Choices) bool {
	d := devicetest.Of(image)
	p, err := repair.Make(options(d, format.Sectors(origin).Bytes(), c))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) == 0 || p.After.Outcome() != check.Sound {
		return false // there is nothing that was not there before, or more to be decided
	}
	want := wanted(naive.Of(d.Image()).Chunk, image, origin, c)
	originLoop, cow := kernellab.LoopOf(t, kernellab.Pattern(0, uint64(origin), 0)), kernellab.LoopOf(t, d.Image())
	chunk := uint64(p.Geometry().ChunkSectors())
	s := kernellab.NewSnapshot(t, originLoop, cow, "P", chunk)
	if !bytes.Equal(kernellab.MustRead(t, s.View.Path), want) {
		t.Error("the snapshot shows something else")
	}
	s.Down(t)
	looks := 0
	_, last := kernellab.Merge(t, originLoop, cow, "P", chunk, func(uint64) bool {
		looks++
		return looks == 10000
	})
	if strings.Contains(last, "ailed") || last == "Invalid" || !bytes.Equal(kernellab.MustRead(t, originLoop), want) {
		t.Errorf("merged by the kernel (%s), the origin holds something else", last)
	}
	return true
}

// wanted is what the snapshot of a damaged store is to show, by the oracle, when it was
// mended with the user's word: the lab's pattern, and what was saved.
func wanted(chunk int, image []byte, origin int64, c repair.Choices) []byte {
	view := kernellab.Pattern(0, uint64(origin), 0)
	p := pictureIn(image, chunk, uint64(int(origin)*format.SectorSize/chunk))
	list := p.List()
	if c.Hidden == repair.KeepHidden {
		list = p.gapless()
	}
	if at := len(list); c.Truncate && c.Hidden == repair.KeepHidden {
		if _, onDevice := p.Slot(at); !onDevice && at > 0 && len(p.saved(list)) == len(list) {
			list = list[:at-1] // the last one makes room for the list's end
		}
	}
	for old, all := range p.saved(list) {
		data := all[0]
		if c.Keep == repair.KeepLast {
			data = all[len(all)-1]
		}
		copy(view[int(old)*chunk:], data)
	}
	return view
}
