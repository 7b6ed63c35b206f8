package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// bench is one run of the benchmark.
type bench struct {
	ctx context.Context
	dir string
	programs
	runs int
}

// sample is what one process took.
type sample struct {
	elapsed time.Duration
	cpu     time.Duration // in user and kernel mode, on all cores
	peak    int64         // of its resident set, in KiB
}

// run runs a program with its output going to /dev/null.
//
// A process that is started by vfork shares its parent's memory until it calls
// exec, and its peak counts from there: it is never below that of the parent.
// So bench has to stay small itself, and does what takes memory in children.
func (b *bench) run(program string, args ...string) (sample, error) {
	c := exec.CommandContext(b.ctx, program, args...)
	var said bytes.Buffer
	c.Stderr = &said
	start := time.Now()
	err := c.Run()
	elapsed := time.Since(start)
	if err != nil {
		return sample{}, fmt.Errorf("%s %v: %w\n%s", program, args, err, bytes.TrimSpace(said.Bytes()))
	}
	ended := c.ProcessState
	usage := ended.SysUsage().(*syscall.Rusage)
	return sample{elapsed, ended.UserTime() + ended.SystemTime(), int64(usage.Maxrss)}, nil
}

// storeFile is a synthetic store.
type storeFile struct {
	path  string
	n     uint64
	order string
}

// String is the store's name in tables.
func (s storeFile) String() string {
	size := strconv.FormatUint(s.n, 10)
	for bit := 10; bit < 64; bit++ {
		if s.n == 1<<bit {
			size = "2^" + strconv.Itoa(bit)
		}
	}
	return size + " " + s.order
}

// withStore calls f with a store of n exceptions, which it makes and removes.
func (b *bench) withStore(n uint64, order string, f func(storeFile) error) error {
	s := storeFile{filepath.Join(b.dir, "store"), n, order}
	defer os.Remove(s.path)
	progress("%v: writing the store", s)
	if _, err := b.run(b.self, "synthesize", s.path, strconv.FormatUint(n, 10), order); err != nil {
		return err
	}
	if _, err := b.floor(s); err != nil { // the first walk warms the cache
		return err
	}
	return f(s)
}

func (b *bench) floor(s storeFile) (sample, error) {
	return b.run(b.self, "floor", s.path, strconv.FormatUint(s.n, 10))
}

// pair is a walk of the floor and what was run after it.
type pair struct{ floor, command sample }

func (p pair) ratio() float64 { return float64(p.command.elapsed) / float64(p.floor.elapsed) }

// cpuRatio is the ratio of processor time: it stays when others use the machine
// too, and dmcow is left with one of the cores that it would use.
func (p pair) cpuRatio() float64 { return float64(p.command.cpu) / float64(max(p.floor.cpu, 1)) }

// compare runs the floor, then each of the commands, and that as often as runs
// says. Before each it calls prepare. It returns each command's pairs.
func (b *bench) compare(s storeFile, commands []command, runs int, prepare func() error) ([][]pair, error) {
	pairs := make([][]pair, len(commands))
	for range runs {
		if err := prepare(); err != nil {
			return nil, err
		}
		floor, err := b.floor(s)
		if err != nil {
			return nil, err
		}
		for i, c := range commands {
			if err := prepare(); err != nil {
				return nil, err
			}
			x, err := b.run(b.dmcow, append(c.args, s.path)...)
			if err != nil {
				return nil, err
			}
			pairs[i] = append(pairs[i], pair{floor, x})
		}
	}
	return pairs, nil
}

// median is the middle one of values, the upper of two.
func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// each is f of each of values.
func each[V, T any](values []V, f func(V) T) []T {
	var all []T
	for _, v := range values {
		all = append(all, f(v))
	}
	return all
}

// milliseconds is a time as the tables have it.
func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// progress tells on standard error what is being done.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
