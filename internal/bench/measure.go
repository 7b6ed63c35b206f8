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
// exec, and its peak counts from there: it is never below the parent's.
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

// child starts this program for a part of the work (see the function child): path, n and order are
// those of a store, more is what else it takes.
func (b *bench) child(what, path string, n uint64, order, more string) (sample, error) {
	return b.run(b.self, what, path, strconv.FormatUint(n, 10), order, more)
}

// withStore calls f with a store of n exceptions, which it makes and removes.
func (b *bench) withStore(n uint64, order string, f func(storeFile) error) error {
	s := storeFile{filepath.Join(b.dir, "store"), n, order}
	defer os.Remove(s.path)
	progress("%v: writing the store", s)
	if _, err := b.child("synthesize", s.path, n, order, ""); err != nil {
		return err
	}
	if _, err := b.floor(s); err != nil { // the first walk warms the cache
		return err
	}
	return f(s)
}

func (b *bench) floor(s storeFile) (sample, error) { return b.child("floor", s.path, s.n, s.order, "") }

// pair is what the floor took, and what was run after it.
type pair struct{ floor, command sample }

type measure func() (sample, error)

// compare runs the floor, then each of the commands, and that so many times. It returns
// each command's pairs.
func compare(runs int, floor measure, commands ...measure) ([][]pair, error) {
	pairs := make([][]pair, len(commands))
	for range runs {
		f, err := floor()
		if err != nil {
			return nil, err
		}
		for i, command := range commands {
			c, err := command()
			if err != nil {
				return nil, err
			}
			pairs[i] = append(pairs[i], pair{f, c})
		}
	}
	return pairs, nil
}

// warmed compares one command with its floor. It runs both once more than it counts: the
// first time warms the cache.
func (b *bench) warmed(what string, floor, command measure) (figures, error) {
	pairs, err := compare(b.runs+1, func() (sample, error) {
		progress("%s", what)
		return floor()
	}, command)
	if err != nil {
		return figures{}, err
	}
	return figuresOf(pairs[0][1:]), nil
}

// figures are what the tables say of pairs: medians, but for the ends of a range.
type figures struct {
	floor, elapsed     float64 // in ms
	ratio, least, most float64 // of command to floor
	// cpu is the ratio of processor time: it stays when others use the machine too, and
	// dmcow is left with one of the cores that it would use.
	cpu   float64
	peak  float64 // the highest of the commands', in MiB
	bound float64 // what bounds the commands takes so many ms; 0 if that is not measured
}

func figuresOf(pairs []pair) (f figures) {
	var floors, elapsed, ratios, cpus []float64
	for _, p := range pairs {
		floors = append(floors, milliseconds(p.floor.elapsed))
		elapsed = append(elapsed, milliseconds(p.command.elapsed))
		ratios = append(ratios, float64(p.command.elapsed)/float64(p.floor.elapsed))
		cpus = append(cpus, float64(p.command.cpu)/float64(max(p.floor.cpu, 1)))
		f.peak = max(f.peak, float64(p.command.peak)/1024)
	}
	f.floor, f.elapsed, f.ratio, f.cpu = median(floors), median(elapsed), median(ratios), median(cpus)
	f.least, f.most = slices.Min(ratios), slices.Max(ratios)
	return f
}

// median is the middle one of values, the upper of two.
func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func mark(over bool) string {
	if over {
		return "  OVER"
	}
	return ""
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
