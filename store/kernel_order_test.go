package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/kernellab"
	"dmcow/store"
)

// A step is done by the kernel and by the engine, each to its own devices, and
// from one to the next the store is loaded again.
type step struct {
	write []uint64 // chunks of the origin to be overwritten, one after the other
	merge bool     // else, merge all
}

// TestKernelWritesTheSameInTheSameOrder has the kernel and the engine take the
// same steps, both on dm-log-writes: between the same flushes they write the
// same. The steps lead across several ends of areas, exactly to them and a little
// beyond, and over merges.
func TestKernelWritesTheSameInTheSameOrder(t *testing.T) {
	kernellab.Require(t)
	odd := func(first, n uint64) (all []uint64) {
		for i := range n {
			all = append(all, first+2*i)
		}
		return all
	}
	for _, c := range []struct {
		name  string
		chunk uint64
		fill  uint64 // exceptions that are there before
		steps []step
	}{
		{"chunk 1", 1, 0, []step{
			{write: from(0, 20)}, {write: odd(100, 12)}, {write: odd(101, 1)}, {write: from(200, 70)},
			{merge: true}, {write: from(300, 40)}, {merge: true}, {merge: true}, {write: from(0, 1)},
		}},
		{"chunk 1, all of an area at once", 1, 0, []step{{write: from(0, 32)}, {write: from(32, 32)}, {merge: true}}},
		{"chunk 8", 8, 0, []step{{write: from(0, 250)}, {write: odd(300, 6)}, {write: odd(301, 260)}, {merge: true}, {write: from(0, 3)}}},
		{"chunk 32", 32, 1020, []step{{write: odd(1024, 4)}, {write: odd(1025, 4)}, {merge: true}}},
		{"chunk 32, the next area", 32, 2040, []step{{write: odd(2048, 8)}, {write: odd(2049, 4)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0", 2200*c.chunk, c.chunk, c.fill)
			kernel, engine := newRigOf(t, c.chunk, c.fill, 2200, spec), newRigOf(t, c.chunk, c.fill, 2200, spec)
			var logs [2][]kernellab.Group
			for i, r := range []*rig{kernel, engine} {
				log := kernellab.NewWriteLog(t, r.cow, 64<<20/kernellab.SectorSize)
				for n, s := range c.steps {
					r.take(s, log.Path, r == engine, uint64(n)+1)
				}
				logs[i] = kernellab.Groups(log.End(t))
			}
			if diff := kernellab.SameOrder(logs[0], logs[1]); diff != "" {
				t.Error(diff)
			}
			if len(logs[0]) == 0 {
				t.Error("nothing was written")
			}
			if kernellab.MustDigest(kernel, kernel.cow) != kernellab.MustDigest(engine, engine.cow) {
				t.Error("the COW devices differ")
			}
			if kernellab.MustDigest(kernel, kernel.origin) != kernellab.MustDigest(engine, engine.origin) {
				t.Error("the origins differ")
			}
		})
	}
}

func (r *rig) take(s step, cow string, engine bool, version uint64) {
	r.Helper()
	switch {
	case engine && s.merge:
		r.mergeSteps(cow, -1)
	case engine:
		r.engine(cow, version, s.write, 1)
	case s.merge:
		kernellab.Merge(r, r.origin, cow, "P", r.chunk, nil)
	default:
		r.kernel(cow, version, s.write)
	}
}

// TestKernelInitializesLessSafely compares the making of a store. The kernel
// writes the header and clears area 0 with no flush between them; the engine has
// area 0 durably clear before the header goes out, so that no power cut leaves
// old exceptions under a new header. The outcome is the same.
func TestKernelInitializesLessSafely(t *testing.T) {
	kernellab.Require(t)
	const stale = "device 800\nlayout chunk=8\nraw 4096 a5*16384"
	kernel, engine := newRig(t, 8, 50, stale), newRig(t, 8, 50, stale)

	log := kernellab.NewWriteLog(t, kernel.cow, 1<<20/kernellab.SectorSize)
	kernel.load(log.Path).Down(t)
	together := kernellab.Groups(log.End(t))

	log = kernellab.NewWriteLog(t, engine.cow, 1<<20/kernellab.SectorSize)
	d, err := device.OpenWritable(log.Path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := format.NewGeometry(8)
	if err == nil {
		err = store.Initialize(d, g, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	apart := kernellab.Groups(log.End(t))

	if len(together) != 1 || len(together[0]) != 16 {
		t.Errorf("the kernel wrote %d groups", len(together))
	}
	area0 := from(8, 8)
	if len(apart) != 2 || !slices.Equal(apart[1].Sectors(), []uint64{0}) || !slices.Equal(apart[0].Sectors(), append(from(1, 7), area0...)) {
		t.Errorf("the engine wrote %d groups: %v", len(apart), apart)
	}
	if !bytes.Equal(kernellab.MustRead(kernel, kernel.cow), kernellab.MustRead(engine, engine.cow)) {
		t.Error("the stores differ")
	}
}

// TestKernelDropsTheSame compares what marks a snapshot invalid: the same field.
// The kernel writes all of chunk 0 and clears what stands behind the header, with
// neither flush nor FUA; the engine writes one sector, durably.
func TestKernelDropsTheSame(t *testing.T) {
	kernellab.Require(t)
	const full = "device 96\nheader chunk=8\nfill 10 0"
	kernel, engine := newRig(t, 8, 50, full), newRig(t, 8, 50, full)

	log := kernellab.NewWriteLog(t, kernel.cow, 1<<20/kernellab.SectorSize)
	up := kernel.load(log.Path)
	if _, err := kernellab.WritePattern(up.Origin.Path, 8, []uint64{20}, 1); err != nil {
		t.Fatal(err)
	}
	up.Down(t)
	byKernel := kernellab.Groups(log.End(t))

	log = kernellab.NewWriteLog(t, engine.cow, 1<<20/kernellab.SectorSize)
	s, _, done := engine.opened(log.Path)
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
	done()
	byEngine := kernellab.Groups(log.End(t))

	if len(byKernel) != 1 || len(byKernel[0]) != 8 || len(byEngine) != 1 || len(byEngine[0]) != 1 ||
		byKernel[0][0] != byEngine[0][0] {
		t.Errorf("the kernel wrote %v, the engine %v", byKernel, byEngine)
	}
	if got := engine.status(engine.cow); got != "Invalid" {
		t.Errorf("status %q", got)
	}
}
