package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// fio is how long fio takes to write what a merge writes to its origin, in ms: the same pieces in the same order, to
// the same file, but not the same data. Without fio it is zero.
func (b *bench) fio(m mergeFiles) (float64, error) {
	if _, err := exec.LookPath("fio"); err != nil {
		return 0, nil
	}
	progress("merge, %s: fio", m.order)
	log := m.origin + ".log"
	defer os.Remove(log)
	if err := into(log, func(f *os.File) error { return m.writeLog(f, m.origin) }); err != nil {
		return 0, err
	}
	var all []float64
	for range b.runs {
		said, err := exec.CommandContext(b.ctx, "fio", "--name=merge", "--read_iolog="+log, "--ioengine=libaio",
			"--direct=1", "--iodepth=32", "--end_fsync=1", "--output-format=json").Output()
		if err != nil {
			return 0, fmt.Errorf("fio: %w\n%s", err, said)
		}
		var figures struct {
			Jobs []struct {
				Runtime float64 `json:"job_runtime"` // in ms, without fio's own start
			}
		}
		if err := json.Unmarshal(said, &figures); err != nil || len(figures.Jobs) != 1 {
			return 0, fmt.Errorf("fio: no figures (%v)\n%s", err, said)
		}
		all = append(all, figures.Jobs[0].Runtime)
	}
	return median(all), nil
}

// writeLog writes a log for fio (version 2 of its format) of the writes of a merge: chunks that are neighbours on the
// origin are one, as far as fio takes it.
func (m mergeable) writeLog(f *os.File, path string) error {
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "fio version 2 iolog\n%[1]s add\n%[1]s open\n", path)
	all, size := slices.Sorted(slices.Values(m.old())), uint64(geometry().ChunkBytes())
	for len(all) > 0 {
		n := 1
		for n < min(len(all), longestRun) && all[n] == all[0]+uint64(n) {
			n++
		}
		fmt.Fprintf(w, "%s write %d %d\n", path, all[0]*size, uint64(n)*size)
		all = all[n:]
	}
	fmt.Fprintf(w, "%s close\n", path)
	return w.Flush()
}
