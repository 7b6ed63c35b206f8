package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

type status string

const (
	killed     status = "killed"
	timedOut   status = "timed out"
	survived   status = "survived"
	notCovered status = "not covered"
	unknown    status = "" // tests may tell it
)

// quick is how long a test may take to be run together with others.
const quick = 50 * time.Millisecond

// grace is what a test is given beyond five times what it takes.
var grace = 5 * time.Second

// killAll finds out which mutants live.
func killAll(ctx context.Context, workers []*worker, all []*test, mutants []*mutant) error {
	queue := make(chan *mutant)
	errs := make([]error, len(workers))
	h := &hunt{all: all, mutants: len(mutants), last: time.Now()}
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			for m := range queue {
				if errs[i] == nil {
					errs[i] = h.try(ctx, w, m)
				}
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	group.Wait()
	return errors.Join(errs...)
}

// hunt is what the workers share.
type hunt struct {
	all     []*test
	mutants int

	sync.Mutex
	done, lived int
	last        time.Time
}

// try runs the tests that could tell a mutant until one does.
func (h *hunt) try(ctx context.Context, w *worker, m *mutant) error {
	start := time.Now()
	telling := judge(h.all, m)
	if err := w.setMutant(m.Number, false); err != nil {
		return err
	}
	if m.Status == unknown {
		m.Status = survived // until a test tells it
	}
	for _, group := range h.order(m, telling) {
		var failed *exec.ExitError
		_, err := w.run(ctx, group[0].program, names(group), limit(group))
		switch {
		case err == nil:
			continue
		case errors.Is(err, errTimedOut):
			m.Status = timedOut
		case errors.As(err, &failed):
			m.Status = killed
		default:
			return err
		}
		m.Killer = group[0].program.suite.dir + " " + strings.Join(names(group), "|")
		h.credit(m, group)
		break
	}
	m.Seconds = time.Since(start).Seconds()
	h.progress(m)
	return nil
}

// judge says what is known of a mutant as soon as the tests were traced, and which of them may tell it.
func judge(all []*test, m *mutant) (telling []*test) {
	telling, reached := reaching(all, m)
	switch {
	case !reached:
		m.Status = notCovered
	case len(telling) == 0:
		m.Status, m.Same = survived, true
	default:
		m.Status = unknown
	}
	return telling
}

func names(group []*test) (all []string) {
	for _, t := range group {
		all = append(all, t.name)
	}
	return all
}

func limit(group []*test) time.Duration {
	sum := time.Duration(0)
	for _, t := range group {
		sum += t.took
	}
	return 5*sum + grace
}

// order is the tests in the order in which they are run: those that take no time, all at once; then the others,
// the quickest first, but before them those that killed others in the same file.
func (h *hunt) order(m *mutant, telling []*test) (groups [][]*test) {
	h.Lock()
	defer h.Unlock()
	var slow []*test
	for _, t := range telling {
		if t.took > quick || t.program.only != "" {
			slow = append(slow, t)
			continue
		}
		i := slices.IndexFunc(groups, func(g []*test) bool { return g[0].program == t.program })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], t)
	}
	cost := func(t *test) time.Duration { return t.took / time.Duration(1+t.killed[m.File]) }
	slices.SortStableFunc(slow, func(a, b *test) int { return cmp.Compare(cost(a), cost(b)) })
	for _, t := range slow {
		groups = append(groups, []*test{t})
	}
	return groups
}

func (h *hunt) credit(m *mutant, group []*test) {
	h.Lock()
	defer h.Unlock()
	if len(group) == 1 {
		group[0].killed[m.File]++
	}
}

// progress says now and then how far it is, and each mutant that lives.
func (h *hunt) progress(m *mutant) {
	h.Lock()
	defer h.Unlock()
	h.done++
	if m.Status == survived || m.Status == notCovered {
		h.lived++
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.Status, m)
	}
	if h.done == h.mutants || time.Since(h.last) > 10*time.Second {
		h.last = time.Now()
		fmt.Fprintf(os.Stderr, "%d of %d, %d live: %s\n", h.done, h.mutants, h.lived, m.Package)
	}
}
