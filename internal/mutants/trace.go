package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"dmcow/internal/mutants/point"
)

// test is one test of one program, run alone.
type test struct {
	program *program
	name    string
	took    time.Duration
	trace   []byte // by mutant
	killed  map[string]int
}

func (t *test) String() string { return t.program.suite.dir + " " + t.name }

// traceAll runs each test alone, and sees how long it takes and what it reaches. A test that fails without a
// mutant, or cannot be run alone, is left out.
func traceAll(ctx context.Context, w *worker, programs []*program) ([]*test, error) {
	var all []*test
	for _, p := range programs {
		names, err := w.tests(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.suite.dir, err)
		}
		for _, name := range names {
			t := &test{program: p, name: name, killed: map[string]int{}}
			if err := w.setMutant(0, true); err != nil {
				return nil, err
			}
			if t.took, err = w.run(ctx, p, []string{name}, 0); ctx.Err() != nil {
				return nil, err
			} else if err != nil {
				fmt.Fprintf(os.Stderr, "%s: left out, it fails without a mutant: %v\n", t, err)
				continue
			}
			if t.trace, err = w.trace(); err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		fmt.Fprintf(os.Stderr, "%s: %d tests\n", p.suite.dir, len(names))
	}
	slices.SortStableFunc(all, func(a, b *test) int { return cmp.Compare(a.took, b.took) })
	return all, nil
}

// reaching are the tests that hold a mutant's package and have it make a difference. Some test may have reached
// it without one.
func reaching(all []*test, m *mutant) (telling []*test, reached bool) {
	suites := suitesOf(m.Package)
	for _, t := range all {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.dir == t.program.suite.dir }) {
			continue
		}
		switch t.trace[m.Number-1] {
		case point.Different:
			telling = append(telling, t)
			reached = true
		case point.Reached:
			reached = true
		}
	}
	return telling, reached
}
