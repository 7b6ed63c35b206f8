package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The kernel's merge is measured in User-Mode Linux, in one boot with dmcow's (see
// BenchmarkKernelMerge).

// labLimits say how many times longer the kernel's merge must take that is watched, by
// the store's order.
var labLimits = map[string]float64{"random": 45, "runs": 3.1, "sequential": 1}

const labChunks = 1 << 15 // 128 MiB

// The environment of the benchmark: dmcow's path, how often to measure, and the pause after the kernel was asked for
// its status.
const (
	labProgram = "DMCOW_BENCH_PROGRAM"
	labRuns    = "DMCOW_BENCH_RUNS"
	labPause   = "DMCOW_BENCH_PAUSE"
)

const labFile = "merges.json"

type labMerges struct {
	Order                              string
	Watched, Alone, Dmcow, Start, Copy []time.Duration // one after the other, again and again
}

// mergeInLab prints how much faster dmcow merges than the kernel.
func (b *bench) mergeInLab() error {
	if _, err := exec.LookPath("linux.uml"); err != nil {
		fmt.Print("\nMerge beside the kernel's: skipped, there is no linux.uml (Debian: user-mode-linux)\n")
		return nil
	}
	fmt.Printf("\nMerge of %d MiB in chunks of 4 KiB, half of a block device: how many times longer the kernel's\n"+
		"snapshot-merge target takes, in User-Mode Linux, in one boot, on the same devices. Watched: it is asked\n"+
		"for its status all the while. Start: what dmcow takes to do nothing, which is in its times; where it\n"+
		"would keep the limit without that, the limit is not marked. dd: what dd takes to copy as much from the\n"+
		"one device to the other, 2 MiB at once, direct, and to sync.\n", labChunks*uint64(geometry().ChunkBytes())>>20)
	for _, s := range labSetups {
		progress("merge beside the kernel's, " + s.name + ": a few minutes")
		all, err := b.runLab(s)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s\n\n%-12s %6s %6s %6s | %10s %7s %7s %7s %6s | %8s %7s | %5s\n", s.text,
			"order", "ms", "start", "dd", "watched ms", "times", "least", "most", "limit", "alone ms", "times", "runs")
		for _, m := range all {
			m.row(s)
		}
	}
	return nil
}

// labSetups are the ways in which the lab runs. Its kernel has one processor, and it and each process in it are a
// process of the machine outside: on all processors, each switch between two of them wakes another processor up, and the
// kernel's merge, a step at a time, waits for that most. The limits are of that setup.
var labSetups = []labSetup{
	{name: "on all processors", text: "On all processors:", env: []string{"DMCOW_LAB_PROCESSORS=all"}, limits: labLimits},
	// Asked without a pause, the kernel does not get to the end of its merge there.
	{name: "on one", text: "On one processor, where the kernel is many times faster; it is asked every 10 ms:", env: []string{labPause + "=10ms"}},
}

type labSetup struct {
	name, text string
	env        []string
	limits     map[string]float64
}

func (b *bench) runLab(s labSetup) (all []labMerges, err error) {
	umlexec, inside := filepath.Join(b.dir, "umlexec"), filepath.Join(b.dir, "bench.test")
	origin, store := filepath.Join(b.dir, "lab-origin"), filepath.Join(b.dir, "lab-store")
	m := mergeable{n: labChunks}
	if err := errors.Join(
		goBuild(b.ctx, umlexec, "dmcow/internal/kernellab/umlexec"),
		goTool(b.ctx, "test", "-c", "-o", inside, "dmcow/internal/bench"),
		makeSparse(origin, m.originSize()),
		makeSparse(store, m.storeSize()),
	); err != nil {
		return nil, err
	}
	images := origin + string(filepath.ListSeparator) + store
	c := exec.CommandContext(b.ctx, umlexec, inside, "-test.run=^$", "-test.bench=^BenchmarkKernelMerge$", "-test.benchtime=1x")
	c.Env = append(append(os.Environ(), s.env...), "DMCOW_LAB_OUT="+b.dir, "DMCOW_LAB_IMAGES="+images,
		labProgram+"="+b.dmcow, fmt.Sprintf("%s=%d", labRuns, b.runs))
	if said, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("merge in the lab: %w\n%s", err, said)
	}
	figures, err := os.ReadFile(filepath.Join(b.dir, labFile))
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(figures, &all)
}

func (m labMerges) row(s labSetup) {
	watched, alone, start := timesLonger(m.Watched, m.Dmcow), timesLonger(m.Alone, m.Dmcow), milliseconds(median(m.Start))
	limit, over := "-", false
	if l, limited := s.limits[m.Order]; limited {
		limit, over = fmt.Sprintf("%.1f", l), watched.elapsed < l*(watched.floor-start)
	}
	fmt.Printf("%-12s %6.0f %6.0f %6.0f | %10.0f %7.2f %7.2f %7.2f %6s | %8.0f %7.2f | %5d%s\n", m.Order, watched.floor, start,
		milliseconds(median(m.Copy)), watched.elapsed, watched.ratio, watched.least, watched.most, limit,
		alone.elapsed, alone.ratio, len(m.Watched), mark(over))
}

// timesLonger is how the kernel's merges compare with dmcow's.
func timesLonger(kernel, dmcow []time.Duration) figures {
	var pairs []pair
	for i := range kernel {
		pairs = append(pairs, pair{sample{elapsed: dmcow[i]}, sample{elapsed: kernel[i]}})
	}
	return figuresOf(pairs)
}
