package soak_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"dmcow/check"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
)

// cut is what is known of a store that a power cut left.
type cut struct {
	// own are the chunks of a sector each that were written through the snapshot: they may read as before
	// or after. All others read as the origin did before anything was written.
	own map[uint64]bool
	// damaged: something else has happened to the store since.
	damaged bool
}

const (
	cutOrigin = ordinaryOrigin // sectors
	cutCOW    = 300
)

// logged is what the driver wrote to a disk with an origin and its COW device, chunks of a sector each.
type logged struct {
	log []kernellab.LogEntry
	own map[uint64]bool
}

// record has the driver make a store, and many write at once to its origin, and some to the snapshot.
func (d *driver) record(rng *rand.Rand) logged {
	d.Helper()
	file := kernellab.LoopOf(d, append(kernellab.Pattern(0, cutOrigin, 0), make([]byte, cutCOW*kernellab.SectorSize)...))
	disk := kernellab.NewWriteLogNamed(d, "disk-log", file, 4<<20/kernellab.SectorSize)
	origin := kernellab.Create(d, "origin-part", fmt.Sprintf("0 %d linear %s 0", cutOrigin, disk.Path), false)
	cow := kernellab.Create(d, "cow-part", fmt.Sprintf("0 %d linear %s %d", cutCOW, disk.Path, cutOrigin), false)
	s := kernellab.NewSnapshot(d, origin.Path, cow.Path, "P", 1)
	l := logged{own: map[uint64]bool{}}
	chunks := rng.Perm(cutOrigin)[:50+rng.IntN(cutOrigin-50)]
	toSnapshot := []int{0, 0, 5}[rng.IntN(3)]
	all := make([][]uint64, 6) // what each writer writes; the first one to the snapshot
	for i, c := range chunks {
		if i < toSnapshot {
			l.own[uint64(c)] = true
			all[0] = append(all[0], uint64(c))
		} else {
			n := 1 + i%(len(all)-1)
			all[n] = append(all[n], uint64(c))
		}
	}
	var writers sync.WaitGroup
	for i, mine := range all {
		to := s.Origin.Path
		if i == 0 {
			to = s.View.Path
		}
		writers.Go(func() {
			if _, err := kernellab.WritePattern(to, 1, mine, 6); err != nil {
				d.Error(err)
			}
		})
	}
	writers.Wait()
	s.Down(d)
	disk.Flush(d) // or the log has writes before those that they waited for
	origin.Remove(d)
	cow.Remove(d)
	l.log = disk.End(d)
	kernellab.Detach(d, file)
	return l
}

// sample is what a power cut leaves somewhere in the log: all that was flushed, and any of the sectors
// that were written since.
func (l logged) sample(seed uint64) sample {
	rng := rand.New(rand.NewPCG(seed, 7))
	disk := append(kernellab.Pattern(0, cutOrigin, 0), make([]byte, cutCOW*kernellab.SectorSize)...)
	pending := kernellab.Group{}
	apply := func(some bool) {
		for _, at := range pending.Sectors() {
			if !some || rng.IntN(2) == 0 {
				copy(disk[at*kernellab.SectorSize:], pending[at])
			}
		}
		clear(pending)
	}
	for _, e := range l.log[:rng.IntN(len(l.log)+1)] {
		if e.Flush {
			apply(false)
		}
		for i := range e.Sectors {
			if at := e.Sector + i; rng.IntN(2) == 0 || pending[at] == "" { // of two versions, either one
				pending[at] = string(e.Data[i*kernellab.SectorSize:][:kernellab.SectorSize])
			}
		}
		if e.FUA {
			apply(false)
		}
	}
	apply(true)
	split := cutOrigin * kernellab.SectorSize
	s := sample{seed: seed, image: disk[split:], origin: disk[:split], spec: specOf(disk[split:]), cut: &cut{own: l.own}}
	if n := len(naive.Store{Image: s.image, Chunk: kernellab.SectorSize}.List()); rng.IntN(4) == 0 {
		m := &mutator{Rand: rng, chunk: 1, slots: 32, exceptions: n, device: cutCOW, old: cutOrigin, lines: slices.Clone(s.spec)}
		m.pick(damages)
		if worse, ok := (sample{seed: seed, spec: m.lines, origin: s.origin, cut: &cut{damaged: true}}).compiled(); ok {
			return worse
		}
	}
	return s
}

// specOf is a spec of an image, with a line for each exception and each sector of data.
func specOf(image []byte) []string {
	lines := []string{fmt.Sprintf("device %d", len(image)/kernellab.SectorSize), "layout chunk=1"}
	for at := 0; at < len(image); at += kernellab.SectorSize {
		sector := image[at:][:kernellab.SectorSize]
		step := kernellab.SectorSize
		if chunk := at / kernellab.SectorSize; chunk == 0 || chunk%33 == 1 {
			step = 16
		}
		for i := 0; i < len(sector); i += step {
			if piece := sector[i:][:step]; string(piece) != string(make([]byte, step)) {
				lines = append(lines, fmt.Sprintf("raw %d % x", at+i, piece))
			}
		}
	}
	return lines
}

// powerCut wants what a power cut left to be what the driver and dmcow show: the origin as it was.
func (t *trial) powerCut() string {
	if t.cut == nil || t.cut.damaged || !t.isServed() {
		return ""
	}
	want := content{kernellab.Pattern(0, cutOrigin, 0), map[int]bool{}}
	for c := range t.cut.own {
		want.bad[int(c)] = true
	}
	if diff := want.against(t.saw.view); diff != "" {
		return "the driver does not show what the origin had: " + diff
	}
	switch {
	case len(t.cut.own) > 0:
	case t.outcome() != check.Sound && t.says.report.Against(check.Meaning.Certain) != nil:
		return "only the origin was written to, and check says " + t.rules()
	case t.says.exported == nil:
		return fmt.Sprintf("only the origin was written to, and export says %v", t.says.refusal)
	}
	if t.says.certain == nil {
		return ""
	}
	for s := range t.says.certain.bad {
		want.bad[s] = true
	}
	if diff := want.against(*t.says.certain); diff != "" {
		return "the view does not show what the origin had: " + diff
	}
	return ""
}
