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
	"syscall"

	"dmcow/format"
)

func main() {
	err := child(os.Args[1:])
	if errors.Is(err, errNoChild) {
		err = parent()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errNoChild says that bench was started by a person.
var errNoChild = errors.New("not a child")

// child does what bench starts itself for, in a process of its own: stores and images
// are written, the floor is walked, images are read, a merge is looked over.
func child(args []string) error {
	if len(args) < 3 {
		return errNoChild
	}
	path := args[1]
	n, err := strconv.ParseUint(args[2], 10, 64)
	switch {
	case err != nil:
	case args[0] == "synthesize" && len(args) == 4:
		return synthesize(path, n, args[3])
	case args[0] == "floor" && len(args) == 3:
		return walkFloor(path, n)
	case args[0] == "images" && len(args) == 4:
		return writeImages(path, args[3], n)
	case args[0] == "read" && len(args) == 4:
		return readAll(path, args[3])
	case args[0] == "mergeable" && len(args) == 5:
		return mergeable{n, args[3]}.write(path, args[4])
	case args[0] == "restore" && len(args) == 4:
		return mergeable{n, args[3]}.restore(path)
	case args[0] == "passthrough" && len(args) == 4:
		return passThrough(path, args[3])
	case args[0] == "merged" && len(args) == 4:
		return mergeable{n, args[3]}.check(path)
	}
	return errNoChild
}

// walkFloor walks the floor of a store of n exceptions.
func walkFloor(path string, n uint64) error {
	found, _, err := floor(path)
	if err == nil && found != n {
		err = fmt.Errorf("%s: %d exceptions, want %d", path, found, n)
	}
	return err
}

// options are the flags.
type options struct {
	dir         string
	runs        int
	huge, quick bool
	merge, view bool
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "make the stores below this `directory`")
	flag.BoolVar(&o.merge, "merge", false, "measure merges alone")
	flag.BoolVar(&o.view, "view", false, "measure export and mount alone")
	flag.IntVar(&o.runs, "runs", 5, "measure each command this `many` times")
	flag.BoolVar(&o.huge, "huge", false, "also measure 2^28 exceptions: sparse files of 1 TiB with 4 GiB of metadata; takes half an hour")
	flag.BoolVar(&o.quick, "quick", false, "try it out: once, on 2^20 exceptions")
	flag.Parse()
	if flag.NArg() > 0 || o.runs < 1 {
		return o, errors.New("see -help")
	}
	if o.quick {
		o.runs, o.huge = 1, false
	}
	return o, nil
}

// sizes are the numbers of exceptions to measure.
func (o options) sizes() []uint64 {
	switch {
	case o.quick:
		return []uint64{1 << 20}
	case o.huge:
		return []uint64{3, 1 << 20, 1 << 22, 1 << 24, 1 << 28}
	}
	return []uint64{3, 1 << 20, 1 << 22, 1 << 24}
}

// imageSize is the size of the images to measure create with.
func (o options) imageSize() format.Bytes {
	if o.quick {
		return 256 << 20
	}
	return 4 << 30
}

// mergeChunks is how many chunks the store has that is merged.
func (o options) mergeChunks() uint64 {
	if o.quick {
		return 1 << 15
	}
	return 1 << 17 // 512 MiB
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
	if !o.merge {
		if err := b.view(o.mergeChunks()); err != nil || o.view {
			return err
		}
	}
	if !o.merge {
		if err := b.metadata(o); err != nil {
			return err
		}
	}
	if err := b.merge(o.mergeChunks()); err != nil {
		return err
	}
	return b.mergeInLab()
}

// metadata measures what works on metadata, and create.
func (b *bench) metadata(o options) error {
	sizes := o.sizes()
	if err := checkRoom(b.dir, sizes[len(sizes)-1]); err != nil {
		return err
	}
	if err := b.all(sizes); err != nil {
		return err
	}
	return b.create(o.imageSize())
}
