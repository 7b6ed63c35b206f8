package corpus

import (
	"math/rand/v2"
	"slices"
)

// A Scenario is a way to make a store. All data that it writes is the lab's
// pattern; the origin starts with version 0.
type Scenario struct {
	Name          string
	Chunk         uint64 // sectors
	OriginSectors uint64
	COWSectors    uint64
	Type          string // of the snapshot; P if empty
	Stale         bool   // the COW device holds something else, but for its first 4 KiB
	Logged        bool   // through dm-log-writes
	Timed         bool   // comes out different each time
	Steps         []Step
}

// A Step is one thing that is done to a snapshot.
type Step func(*rig)

// Scenarios are the stores whose making takes one boot and no volume manager.
func Scenarios() []Scenario {
	return slices.Concat(emptyStores(), fullAreas(), writes(), overflows(), merges())
}

// emptyStores differ in chunk size only.
func emptyStores() []Scenario {
	return []Scenario{
		{Name: "empty-1", Chunk: 1, OriginSectors: 64, COWSectors: 80},
		{Name: "empty-8", Chunk: 8, OriginSectors: 64 * 8, COWSectors: 16 * 8},
		{Name: "empty-32", Chunk: 32, OriginSectors: 64 * 32, COWSectors: 16 * 32},
		{Name: "empty-1024", Chunk: 1024, OriginSectors: 2 * 1024, COWSectors: 16 * 1024},
	}
}

// fullAreas have the list end before, at and behind an area's end: an area of
// one sector holds 32 exceptions.
func fullAreas() []Scenario {
	areas := func(name string, exceptions int) Scenario {
		return Scenario{
			Name: name, Chunk: 1, OriginSectors: 400, COWSectors: 300,
			Steps: []Step{writeOrigin(sample(1, 400, exceptions), 1)},
		}
	}
	return []Scenario{
		areas("areas-31", 31),
		areas("areas-32", 32),
		areas("areas-33", 33),
		areas("areas-64", 64),
		areas("areas-167", 5*32+7),
	}
}

func writes() []Scenario {
	common := func(s Scenario) Scenario {
		s.Chunk, s.OriginSectors, s.COWSectors = 8, 600*8, 700*8
		return s
	}
	odd := common(Scenario{Name: "odd-origin", Steps: []Step{writeOrigin(sample(5, 599, 100), 4)}})
	odd.OriginSectors -= 3
	return []Scenario{
		common(Scenario{Name: "origin-and-snapshot-writes", Steps: []Step{
			writeSnapshot(sample(2, 600, 300), 3),
			writeOrigin(sample(3, 600, 200), 4),
		}}),
		common(Scenario{Name: "consecutive", Steps: []Step{
			writeOrigin(span(100, 140), 3),
			writeOrigin(span(20, 60), 4),
			writeOrigin(span(300, 420), 5),
		}}),
		{Name: "chunk-32", Chunk: 32, OriginSectors: 200 * 32, COWSectors: 260 * 32, Steps: []Step{
			writeOrigin(sample(6, 200, 60), 3),
			writeSnapshot(sample(7, 200, 60), 4),
		}},
		common(Scenario{Name: "stale-device", Stale: true, Steps: []Step{writeOrigin(sample(8, 600, 300), 4)}}),
		odd,
	}
}

// overflows end with a full store: 12 chunks have room for 10 exceptions.
func overflows() []Scenario {
	small := Scenario{Chunk: 8, OriginSectors: 64 * 8, COWSectors: 12 * 8}
	lost, refused := small, small
	lost.Name = "overflow"
	lost.Steps = []Step{
		writeOrigin(sample(9, 64, 5), 1), expectStatus("56/96 16"),
		writeOrigin(span(0, 64), 2), expectStatus("Invalid"),
	}
	// The type's O: a write to the snapshot that finds no room fails, and with
	// it those to come, but the store stays as it is.
	refused.Name, refused.Type = "overflow-snapshot-write", "PO"
	refused.Steps = []Step{
		writeOrigin(sample(9, 64, 5), 1), expectStatus("56/96 16"),
		writeSnapshotInVain(span(0, 64), 2), expectStatus("Overflow"),
	}
	return []Scenario{lost, refused}
}

func merges() []Scenario {
	return []Scenario{
		{Name: "merged", Chunk: 8, OriginSectors: 600 * 8, COWSectors: 700 * 8, Steps: []Step{
			writeOrigin(sample(10, 600, 400), 4), saveBefore, merge(nil),
		}},
		// Stopped when the last of its three areas is empty, and the one before is not full any more.
		{Name: "merge-stopped", Chunk: 8, OriginSectors: 600 * 8, COWSectors: 900 * 8, Timed: true, Steps: []Step{
			writeOrigin(sample(11, 600, 590), 4), saveBefore,
			merge(func(allocated uint64) bool { return allocated <= 4050 }),
		}},
		{Name: "logged", Chunk: 8, OriginSectors: 600 * 8, COWSectors: 700 * 8, Logged: true, Steps: []Step{
			writeOrigin(span(10, 20), 4),
			mark("snapshot"), writeSnapshot([]uint64{30, 31, 32, 15}, 5),
			saveBefore, mark("merge"), merge(nil),
		}},
	}
}

// sample picks m of the numbers below n, the same ones each time for a seed.
func sample(seed uint64, n, m int) []uint64 {
	picked := make([]uint64, m)
	for i, v := range rand.New(rand.NewPCG(20, seed)).Perm(n)[:m] {
		picked[i] = uint64(v)
	}
	return picked
}

// span is the numbers from first on, up to but without end.
func span(first, end uint64) []uint64 {
	numbers := make([]uint64, 0, end-first)
	for n := first; n < end; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}
