package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
)

// logged is an origin and a COW device on one disk, with three logs of what is
// written: to the disk, which shows in what order both were, and to each of them,
// which shows what that alone was told to flush.
type logged struct {
	disk, origin, cow *kernellab.WriteLog
	parts             []*kernellab.Device // of the disk, one for each of them
}

func (u unmerged) logged(t *testing.T) (l logged) {
	t.Helper()
	room := uint64(8<<20+2*len(u.cow)) / kernellab.SectorSize // the lab has little memory
	l.disk = kernellab.NewWriteLogNamed(t, "disk-log", kernellab.LoopOf(t, append(bytes.Clone(u.origin), u.cow...)), room)
	part := func(name string, start, sectors int) *kernellab.WriteLog {
		d := kernellab.Create(t, name, fmt.Sprintf("0 %d linear %s %d", sectors, l.disk.Path, start), false)
		l.parts = append(l.parts, d)
		return kernellab.NewWriteLogNamed(t, name+"-log", d.Path, room)
	}
	sectors := len(u.origin) / kernellab.SectorSize
	l.origin = part("origin", 0, sectors)
	l.cow = part("cow", sectors, len(u.cow)/kernellab.SectorSize)
	return l
}

// end ends all logs, and takes off the devices.
func (l logged) end(t *testing.T) (disk, origin, cow []kernellab.LogEntry) {
	t.Helper()
	origin, cow = l.origin.End(t), l.cow.End(t)
	for _, part := range l.parts {
		part.Remove(t)
	}
	return l.disk.End(t), origin, cow
}

// toStep are stores for which the kernel's merge takes many steps.
func toStep(t *testing.T) map[string]unmerged {
	t.Helper()
	rng := rand.New(rand.NewPCG(15, 4))
	all := map[string]unmerged{
		"chunk 1":    scattered(t, rng, 1, 700, 400, 90),
		"chunk 8":    scattered(t, rng, 8, 900*8-3, 600, 30),
		"chunk 1024": scattered(t, rng, 1024, 12*1024-1, 8, 3),
	}
	stores := corpus.Load(t)
	for _, name := range []string{"odd-origin", "merge-stopped", "power-cut"} {
		all[name] = loaded(t, stores[name])
	}
	return all
}

const allSteps = "--steps=1000000"

// TestKernelMergeStepWritesAsTheKernel: all steps write the same sectors with the
// same data as the kernel's merge does, between the same flushes, on each device
// and on a disk that has both.
func TestKernelMergeStepWritesAsTheKernel(t *testing.T) {
	kernellab.Require(t)
	for name, u := range toStep(t) {
		t.Run(name, func(t *testing.T) {
			kernel := u.logged(t)
			kernelMerges(t, kernel.origin.Path, kernel.cow.Path, u.chunk)
			disk, origin, cow := kernel.end(t)
			ours := u.logged(t)
			expect(t, 0, "merge-step", "--yes", allSteps, ours.cow.Path, "--into", ours.origin.Path)
			disk2, origin2, cow2 := ours.end(t)
			for name, logs := range map[string][2][]kernellab.LogEntry{"origin": {origin, origin2}, "COW device": {cow, cow2}, "disk": {disk, disk2}} {
				want, got := kernellab.Groups(logs[0]), kernellab.Groups(logs[1])
				if diff := kernellab.SameOrder(want, got); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
				if len(want) == 0 {
					t.Errorf("%s: nothing was written", name)
				}
			}
		})
	}
}

// TestKernelMergeClearsWhatIsDurable: before merge clears an exception, its chunk is
// on the origin, durably. What is cleared of the list between two flushes lies in one area, so that
// a power cut leaves behind the list's end what a torn commit does; what stands behind
// that already goes in any order.
func TestKernelMergeClearsWhatIsDurable(t *testing.T) {
	kernellab.Require(t)
	stores := toStep(t)
	stores["several batches"] = scattered(t, rand.New(rand.NewPCG(15, 5)), 1, 34000, 20000, 60)
	for name, u := range stores {
		t.Run(name, func(t *testing.T) {
			l := u.logged(t)
			expect(t, 0, "merge", "--yes", "--memory=1M", l.cow.Path, "--into", l.origin.Path)
			disk, origin, _ := l.end(t)
			u.checkOrder(t, disk)
			if last := len(origin) - 1; last < 0 || !origin[last].Flush {
				t.Error("the last write to the origin was not flushed")
			}
		})
	}
}

// replay replays the log of a disk that has both devices.
type replay struct {
	*testing.T
	was     naive.Store // before the merge
	cow     naive.Store
	origin  []byte
	pending map[uint64]bool // sectors of the origin that are not durable
	end     int             // where the list ends, durably
	areas   []int           // of which slots of the list were cleared since the last flush
}

// checkOrder wants the log to be that of a merge which may be cut off anywhere.
func (u unmerged) checkOrder(t *testing.T, log []kernellab.LogEntry) {
	t.Helper()
	now := unmerged{u.chunk, bytes.Clone(u.origin), bytes.Clone(u.cow)}
	r := &replay{T: t, was: u.store(), cow: now.store(), origin: now.origin, pending: map[uint64]bool{}}
	r.flush()
	size := uint64(len(r.origin))
	for _, e := range log {
		if e.Flush {
			r.flush()
		}
		switch at := e.Sector * kernellab.SectorSize; {
		case e.Sectors == 0:
		case at < size:
			copy(r.origin[at:], e.Data)
			for i := range e.Sectors {
				r.pending[e.Sector+i] = true
			}
		default:
			r.clear(at-size, e.Data)
			copy(r.cow.Image[at-size:], e.Data)
		}
		if e.FUA {
			r.flush()
		}
	}
	r.flush()
	for n := range r.was.List() {
		if x, _ := r.cow.Slot(n); x != (naive.Exception{}) {
			t.Fatalf("slot %d is not cleared", n)
		}
	}
}

// flush makes durable what was written.
func (r *replay) flush() {
	r.Helper()
	if len(r.areas) > 1 {
		r.Errorf("of areas %v something was cleared together", r.areas)
	}
	clear(r.pending)
	r.areas = nil
	r.end = min(len(r.was.List()), len(r.cow.List()))
}

// clear wants what is written to the COW device to clear slots, and looks at each of
// them.
func (r *replay) clear(at uint64, data []byte) {
	r.Helper()
	const entry = 16 // bytes
	chunk, slots := uint64(r.cow.Chunk), r.cow.PerArea()
	for i := 0; i < len(data); i += entry {
		x, now := naive.Decode(r.cow.Image[at:]), naive.Decode(data[i:])
		area := int(at/chunk) / (slots + 1)
		slot := area*slots + int(at%chunk/entry)
		switch {
		case x == now:
		case at < chunk || r.cow.IsData(at/chunk) || now != (naive.Exception{}):
			r.Fatalf("byte %d of the COW device is written", at)
		default:
			r.merged(slot, x)
			if slot < r.end && !slices.Contains(r.areas, area) {
				r.areas = append(r.areas, area)
			}
		}
		at += entry
	}
}

// merged wants the exception in a slot to have been merged, durably.
func (r *replay) merged(slot int, x naive.Exception) {
	r.Helper()
	chunk := uint64(r.cow.Chunk)
	at := x.Old * chunk
	end := min(at+chunk, uint64(len(r.origin)))
	if !bytes.Equal(r.origin[at:end], r.cow.Data(x.New)[:end-at]) {
		r.Fatalf("slot %d is cleared, and old chunk %d is not merged", slot, x.Old)
	}
	for s := at / kernellab.SectorSize; s < end/kernellab.SectorSize; s++ {
		if r.pending[s] {
			r.Fatalf("slot %d is cleared, and sector %d of the origin is not durable", slot, s)
		}
	}
}

// TestKernelMergeGoesOnBehindSteps: after any number of steps, the kernel goes on, and
// ends as without them.
func TestKernelMergeGoesOnBehindSteps(t *testing.T) {
	kernellab.Require(t)
	for name, u := range toStep(t) {
		t.Run(name, func(t *testing.T) {
			origin, cow, want := u.byKernel(t)
			shown, _ := expect(t, 0, "merge-step", "--dry-run", allSteps, cow, "--into", origin)
			all := strings.Count(shown, "\n")
			view := viewOf(t, origin, cow, u.chunk)
			for _, steps := range []int{1, 2, 5, all / 2} {
				if steps = min(steps, all); steps == 0 {
					t.Fatal("no step")
				}
				u.reset(t, origin, cow)
				done, _ := expect(t, 0, "merge-step", "--yes", fmt.Sprintf("--steps=%d", steps), cow, "--into", origin)
				if strings.ReplaceAll(done, "merged", "would merge") != strings.Join(strings.SplitAfter(shown, "\n")[:steps], "") {
					t.Errorf("%d steps: %s", steps, done)
				}
				if viewOf(t, origin, cow, u.chunk) != view {
					t.Errorf("after %d steps the snapshot shows something else", steps)
				}
				kernelMerges(t, origin, cow, u.chunk)
				want.want(t, origin, cow)
			}
		})
	}
}

// TestKernelMergeGoesOnBehindTheKernel: both commands end a merge that the kernel has
// begun, as the kernel ends it.
func TestKernelMergeGoesOnBehindTheKernel(t *testing.T) {
	kernellab.Require(t)
	stores := toStep(t)
	for _, name := range []string{"chunk 1", "chunk 8"} {
		u := stores[name]
		t.Run(name, func(t *testing.T) {
			origin, cow := u.loops(t)
			// A merge to a fast origin would be over before anybody could look.
			slow := kernellab.Create(t, "slow", fmt.Sprintf("0 %d delay %s 0 0 %[2]s 0 10", len(u.origin)/kernellab.SectorSize, origin), false)
			var at []uint64
			kernellab.Merge(t, slow.Path, cow, "P", u.chunk, func(allocated uint64) bool {
				at = append(at, allocated)
				return allocated < at[0]*2/3
			})
			slow.Remove(t)
			begun := unmerged{u.chunk, kernellab.MustRead(t, origin), kernellab.MustRead(t, cow)}
			if left := usageOf(t, cow); *left.Exceptions == 0 || bytes.Equal(begun.cow, u.cow) {
				t.Fatalf("the kernel was not stopped in the middle: %s", *left.Status)
			}
			kernelMerges(t, origin, cow, u.chunk)
			want := mergedOf(t, origin, cow)
			for _, command := range [][]string{{"merge"}, {"merge-step", allSteps}} {
				begun.reset(t, origin, cow)
				expect(t, 0, append(command, "--yes", cow, "--into", origin)...)
				want.want(t, origin, cow)
			}
		})
	}
}
