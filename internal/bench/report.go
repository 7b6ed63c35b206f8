package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// The limits, beside those of the commands.
const (
	memoryLimit  = 24.0 // MiB, for any size
	coldLimit    = 0.33 // times the floor, on a cold cache
	startupLimit = 8.0  // ms more than an empty Go program
	sizeLimit    = 12.0 // MiB, of the program
)

type command struct {
	name   string
	args   []string // without the store
	limits []limit  // times the floor, on a warm cache, by the number of exceptions
	bits   float64  // for each chunk, that it may take beside memoryLimit
	bound  string   // its name in bounds; empty for none
}

// limit is what a command must keep on a store of so many exceptions and more. In
// smaller stores it is starting up that takes the time.
type limit struct {
	from  uint64
	ratio float64
}

var commands = []command{
	{"usage", []string{"usage", "--output", "json"}, []limit{{1 << 24, 0.7}}, 0, ""},
	{"csv", []string{"dump", "--output", "csv"}, []limit{{1 << 24, 2.2}}, 0, "digits"},
	{"json", []string{"dump", "--output", "json"}, []limit{{1 << 24, 2.3}}, 0, "digits"},
	{"human", []string{"dump", "--output", "human"}, []limit{{1 << 24, 3.5}}, 0, "digits"},
	{"check", []string{"check", "--output", "json"}, []limit{{1 << 22, 1.3}, {1 << 24, 1.1}, {1 << 28, 2}}, 2, "bits"},
}

// ratio is the limit for a store of n exceptions, 0 if there is none.
func (c command) ratio(n uint64) (ratio float64) {
	for _, l := range c.limits {
		if n >= l.from {
			ratio = l.ratio
		}
	}
	return ratio
}

// memory is how much the command may take for a store of n exceptions, in MiB.
func (c command) memory(n uint64) float64 {
	size, _ := extent(n)
	return memoryLimit + c.bits*float64(geometry().Chunks(size))/8/(1<<20)
}

func (b *bench) metadata(sizes []uint64) error {
	if err := checkRoom(b.dir, slices.Max(sizes)); err != nil {
		return err
	}
	if err := b.size(); err != nil {
		return err
	}
	if err := b.withStore(3, "sequential", b.startup); err != nil {
		return err
	}
	fmt.Printf("\nWarm cache: times the floor, which reads each area with one pread and looks at each\n"+
		"new chunk. Median, least and most (runs: %d); cpu is the ratio of processor time. Of the\n"+
		"peaks of memory, the highest. Bound: the floor, and in the same loop, with Go's own library, a line\n"+
		"of CSV for each exception, or a bit in a set for each old chunk: what takes no longer is not marked.\n\n", b.runs)
	head()
	for _, n := range sizes {
		for _, order := range ordersOf(n) {
			if err := b.withStore(n, order, b.warm); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nLess memory than this program's own %.1f MiB cannot be told.\n", ownPeak())
	return b.cold(sizes)
}

// ordersOf are the orders to measure n exceptions in: a few have none.
func ordersOf(n uint64) []string {
	if n < 1<<10 {
		return []string{"sequential"}
	}
	return orders
}

func (b *bench) size() error {
	info, err := os.Stat(b.dmcow)
	if err != nil {
		return err
	}
	mib := float64(info.Size()) / (1 << 20)
	fmt.Printf("Size of the program: %.1f MiB, limit %.0f%s\n", mib, sizeLimit, mark(mib > sizeLimit))
	return nil
}

func (b *bench) startup(s storeFile) error {
	progress("startup")
	for _, output := range []string{"csv", "human"} {
		pairs, err := compare(40*b.runs, func() (sample, error) { return b.run(b.empty) }, func() (sample, error) {
			return b.run(b.dmcow, "dump", "--output", output, s.path)
		})
		if err != nil {
			return err
		}
		var more []float64
		for _, p := range pairs[0] {
			more = append(more, milliseconds(p.command.elapsed-p.floor.elapsed))
		}
		m := median(more)
		fmt.Printf("Startup: a dump of 3 exceptions (%s) takes %.1f ms more than an empty Go program (median of %d), limit %.0f%s\n",
			output, m, len(more), startupLimit, mark(m > startupLimit))
	}
	return nil
}

func (c command) run(b *bench, s storeFile) (sample, error) {
	return b.run(b.dmcow, append(slices.Clip(c.args), s.path)...)
}

func (b *bench) warm(s storeFile) error {
	for _, c := range commands {
		progress("%v: %s", s, c.name)
		pairs, err := compare(b.runs, func() (sample, error) { return b.floor(s) }, func() (sample, error) { return c.run(b, s) })
		if err != nil {
			return err
		}
		bound := 0.0
		if c.bound != "" && c.ratio(s.n) > 0 {
			if bound, err = b.bound(s, c.bound); err != nil {
				return err
			}
		}
		row(s, c, figuresOf(pairs[0]), c.ratio(s.n), bound)
	}
	return nil
}

// bound is how long a bound takes, in ms.
func (b *bench) bound(s storeFile, name string) (float64, error) {
	var all []float64
	for range b.runs {
		took, err := b.child(name, s.path, s.n, s.order, "")
		if err != nil {
			return 0, err
		}
		all = append(all, milliseconds(took.elapsed))
	}
	return median(all), nil
}

func head() {
	fmt.Printf("%-16s %-7s %9s %9s %7s %7s %7s %6s %9s %7s %6s %6s\n",
		"store", "command", "floor ms", "ms", "ratio", "least", "most", "limit", "bound ms", "cpu", "MiB", "limit")
}

// row prints how a command compares with the floor. A limit of 0 is none, and so is a bound of 0 ms.
func row(s storeFile, c command, f figures, limit, bound float64) {
	most, least, over := "-", "-", f.peak > c.memory(s.n)
	if bound > 0 {
		least = fmt.Sprintf("%.1f", bound)
	}
	if limit > 0 {
		most = fmt.Sprintf("%.2f", limit)
		over = over || f.ratio > limit && f.elapsed > bound
	}
	fmt.Printf("%-16v %-7s %9.1f %9.1f %7.2f %7.2f %7.2f %6s %9s %7.2f %6.1f %6.0f%s\n", s, c.name, f.floor, f.elapsed,
		f.ratio, f.least, f.most, most, least, f.cpu, f.peak, c.memory(s.n), mark(over))
}

// dropCaches is where the kernel is told to forget what it has read.
const dropCaches = "/proc/sys/vm/drop_caches"

func (b *bench) cold(sizes []uint64) error {
	if why := b.noCold(); why != "" {
		fmt.Printf("\nCold cache: skipped, %s\n", why)
		return nil
	}
	fmt.Printf("\nCold cache: the same with nothing of the store in the cache.\n\n")
	head()
	for _, n := range sizes {
		if n < 1<<20 || n == 1<<22 {
			continue
		}
		if err := b.withStore(n, "random", b.coldRows); err != nil {
			return err
		}
	}
	return nil
}

// coldRows prints the rows of the first two commands on a store that is not in the cache.
func (b *bench) coldRows(s storeFile) error {
	progress("%v: cold cache", s)
	runs, limit := min(b.runs, 3), coldLimit
	switch {
	case s.n > 1<<24:
		runs = 1 // which takes minutes
	case s.n < 1<<24:
		limit = 0
	}
	cold := func(run measure) measure {
		return func() (sample, error) {
			if err := b.dropCache(); err != nil {
				return sample{}, err
			}
			return run()
		}
	}
	pairs, err := compare(runs, cold(func() (sample, error) { return b.floor(s) }),
		cold(func() (sample, error) { return commands[0].run(b, s) }),
		cold(func() (sample, error) { return commands[1].run(b, s) }))
	for i := range pairs {
		row(s, commands[i], figuresOf(pairs[i]), limit, 0)
	}
	return err
}

// dropCache empties the cache, but for the programs: they are not what is to
// be cold. This one stays there since it is running.
func (b *bench) dropCache() error {
	syscall.Sync()
	if err := os.WriteFile(dropCaches, []byte("3\n"), 0); err != nil {
		return err
	}
	_, err := b.run(b.dmcow, "--version")
	return err
}

// noCold is why the cache cannot be made cold, empty when it can.
func (b *bench) noCold() string {
	f, err := os.OpenFile(dropCaches, os.O_WRONLY, 0)
	if err != nil {
		return err.Error()
	}
	f.Close()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(b.dir, &fs); err != nil {
		return err.Error()
	}
	const tmpfs = 0x01021994
	if fs.Type == tmpfs {
		return "the stores are on a tmpfs, which has no disk (see -dir)"
	}
	return ""
}

// ownPeak is the peak of this process's resident set, in MiB. What getrusage
// has may be the peak of the process that started it.
func ownPeak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}
