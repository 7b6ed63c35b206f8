// Bench measures the dmcow program from outside, whole processes on synthetic
// stores, and prints ratios to the least that anything must do which reads
// their metadata (see floor). Ratios taken in one run on one machine can be
// compared; times cannot.
//
// It exits 0 whatever the figures are: what is over its limit is marked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"dmcow/format"
)

func main() {
	run := parent
	if len(os.Args) == 6 && !strings.HasPrefix(os.Args[1], "-") {
		run = child
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// child does what bench starts itself for, in a process of its own (see [bench.child]): stores and
// images are written, the floor is walked, a merge is looked over.
func child() error {
	args := os.Args[1:]
	n, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	path, m, other := args[1], mergeable{n, args[3]}, args[4]
	switch args[0] {
	case "synthesize":
		return synthesize(path, n, m.order)
	case "floor":
		return walkFloor(path, n)
	case "digits", "bits":
		found, err := bounds[args[0]](path)
		return checkCount(path, found, n, err)
	case "images":
		return errors.Join(writeImage(path, n, false), writeImage(other, n, true))
	case "mergeable":
		return m.write(path, other)
	case "restore":
		return m.restore(path)
	case "merged":
		return m.check(path)
	case "group":
		return writeGroup(path, n, m.order)
	case "layouts":
		return writeLayouts(path, int64(n))
	case "passthrough":
		return passThrough(path, nil, other)
	case "sums":
		return passSums(os.Stdin, os.Stdout)
	case "gather":
		store, dir, _ := strings.Cut(other, ":")
		pieces, err := m.pieces(store)
		if err != nil {
			return err
		}
		return passThrough(path, pieces, dir)
	}
	return errors.New("see -help")
}

func walkFloor(path string, n uint64) error {
	found, _, err := floor(path)
	return checkCount(path, found, n, err)
}

func checkCount(path string, found, n uint64, err error) error {
	if err == nil && found != n {
		err = fmt.Errorf("%s: %d exceptions, want %d", path, found, n)
	}
	return err
}

type options struct {
	dir         string
	runs        int
	merge, view bool
	layouts     bool
	sizes       []uint64     // numbers of exceptions
	imageSize   format.Bytes // of the images to measure create with
	mergeChunks uint64       // of the store that is merged
}

func parseOptions() (options, error) {
	o := options{sizes: []uint64{3, 1 << 20, 1 << 22, 1 << 24}, imageSize: 4 << 30, mergeChunks: 1 << 17}
	flag.StringVar(&o.dir, "dir", os.TempDir(), "make the stores below this `directory`")
	flag.BoolVar(&o.merge, "merge", false, "measure merges alone")
	flag.BoolVar(&o.view, "view", false, "measure export and mount alone")
	flag.BoolVar(&o.layouts, "layouts", false, "measure exports of origins of all layouts, and lists of large groups, alone")
	flag.IntVar(&o.runs, "runs", 5, "measure each command this `many` times")
	huge := flag.Bool("huge", false, "also measure 2^28 exceptions: sparse files of 1 TiB with 4 GiB of metadata; takes half an hour")
	quick := flag.Bool("quick", false, "try it out: once, on 2^20 exceptions")
	flag.Parse()
	switch {
	case flag.NArg() > 0 || o.runs < 1:
		return o, errors.New("see -help")
	case *quick:
		o.runs, o.sizes, o.imageSize, o.mergeChunks = 1, []uint64{1 << 20}, 256<<20, 1<<15
	case *huge:
		o.sizes = append(o.sizes, 1<<28)
	}
	return o, nil
}

// parent is what a person starts: it measures everything.
func parent() error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp(o.dir, "dmcow-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := build(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, dir: dir, programs: p, runs: o.runs}
	if o.layouts {
		return errors.Join(b.layouts(o.imageSize/16), b.groups())
	}
	if !o.merge {
		if err := b.view(o.mergeChunks); err != nil || o.view {
			return err
		}
		if err := b.metadata(o.sizes); err != nil {
			return err
		}
		if err := b.create(o.imageSize); err != nil {
			return err
		}
	}
	if err := b.merge(o.mergeChunks); err != nil {
		return err
	}
	return b.mergeInLab()
}
