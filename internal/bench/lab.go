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

// The environment of the benchmark: dmcow's path and how often to measure.
const (
	labProgram = "DMCOW_BENCH_PROGRAM"
	labRuns    = "DMCOW_BENCH_RUNS"
)

const labFile = "merges.json"

type labMerges struct {
	Order                        string
	Watched, Alone, Dmcow, Start []time.Duration // one after the other, again and again
}

// mergeInLab prints how much faster dmcow merges than the kernel.
func (b *bench) mergeInLab() error {
	if _, err := exec.LookPath("linux.uml"); err != nil {
		fmt.Print("\nMerge beside the kernel's: skipped, there is no linux.uml (Debian: user-mode-linux)\n")
		return nil
	}
	progress("merge beside the kernel's: a few minutes")
	all, err := b.runLab()
	if err != nil {
		return err
	}
	fmt.Printf("\nMerge of %d MiB in chunks of 4 KiB, half of a block device: how many times longer the kernel's\n"+
		"snapshot-merge target takes, in User-Mode Linux, in one boot, on the same devices. Watched: it is asked\n"+
		"for its status all the while, on the only processor. Start: what dmcow takes to do nothing, which is in\n"+
		"its times; where it would keep the limit without that, the limit is not marked.\n\n", labChunks*uint64(geometry().ChunkBytes())>>20)
	fmt.Printf("%-16s %9s %8s | %10s %7s %7s %7s %6s | %8s %7s | %5s\n",
		"order", "ms", "start ms", "watched ms", "times", "least", "most", "limit", "alone ms", "times", "runs")
	for _, m := range all {
		m.row()
	}
	return nil
}

func (b *bench) runLab() (all []labMerges, err error) {
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
	c.Env = append(os.Environ(), "DMCOW_LAB_PROCESSORS=all", "DMCOW_LAB_OUT="+b.dir, "DMCOW_LAB_IMAGES="+images,
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

func (m labMerges) row() {
	watched, alone, limit := timesLonger(m.Watched, m.Dmcow), timesLonger(m.Alone, m.Dmcow), labLimits[m.Order]
	start := milliseconds(median(m.Start))
	over := watched.elapsed < limit*(watched.floor-start)
	fmt.Printf("%-16s %9.0f %8.0f | %10.0f %7.2f %7.2f %7.2f %6.1f | %8.0f %7.2f | %5d%s\n", m.Order, watched.floor, start,
		watched.elapsed, watched.ratio, watched.least, watched.most, limit,
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
