// Command mutants changes one operator of the code at a time, and sees whether a test notices.
//
//	go run ./internal/mutants [-since COMMIT] [-more] [-only REGEXP] [-again FILE] [-workers N] [-json FILE] [-reach | -n] [PACKAGE...]
//
// It does not compile once for each mutant: all of them are in the instrumented code, each behind a number, and a
// control file says which one is alive (package point). The instrumented sources lie over the true ones while the
// tests are compiled (go test -overlay); nothing in the working tree changes.
//
// First each test is run alone, to see how long it takes and which mutants it tells, that is, for which it comes
// by a point where the mutant has another value. Then each mutant has the tests that tell it, the quickest first,
// until one fails, or takes longer than five times its own time and five seconds (on a busy machine, of a processor's time). Tests are run with -short.
//
// The operators that count are those that gremlins has on by default, so that figures can be compared:
//
//	CONDITIONALS_BOUNDARY  < <= > >= become <= < >= >
//	CONDITIONALS_NEGATION  == != < <= > >= become != == >= > <= <
//	INCREMENT_DECREMENT    ++ -- become -- ++
//	INVERT_NEGATIVES       -x becomes x
//	ARITHMETIC_BASE        + - * / % become - + / * *
//
// With -more there are two others, which have a table of their own: INVERT_LOGICAL (&& and ||), and
// REMOVE_STATEMENT (calls whose value nobody wants, and assignments). Not changed are: what must be constant (the
// declarations of constants, lengths of arrays, their literals' keys), comparisons of two constants, + of strings,
// and ++ where its operand has a call.
//
// A survivor that no test can tell has its reason in explained.txt. It counts as a survivor, and is not listed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

type options struct {
	since   string
	more    bool
	only    string
	again   string
	workers int
	json    string
	dryRun  bool
	reach   bool
}

func main() {
	var o options
	flag.StringVar(&o.since, "since", "", "only mutants on lines that git says were changed since `COMMIT`; without PACKAGE, in "+strings.Join(usual, ", "))
	flag.BoolVar(&o.more, "more", false, "INVERT_LOGICAL and REMOVE_STATEMENT, too")
	flag.StringVar(&o.only, "only", "", "only mutants whose line in the list matches `REGEXP`")
	flag.StringVar(&o.again, "again", "", "only those that live in `FILE`, written by -json, and are not explained")
	flag.IntVar(&o.workers, "workers", 1, "how many run at once")
	flag.StringVar(&o.json, "json", "", "write all that was found to `FILE`")
	flag.BoolVar(&o.reach, "reach", false, "run each test once, and list the mutants that none of them tells for certain")
	flag.BoolVar(&o.dryRun, "n", false, "only list the mutants")
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 && o.since != "" {
		patterns = usual
	}
	if len(patterns) == 0 || o.workers < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, patterns); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, patterns []string) error {
	m, sources, err := load(patterns)
	if err != nil {
		return err
	}
	wanted, err := o.choice(m)
	if err != nil {
		return err
	}
	found, mutants, points := find(sources, o.more, wanted)
	if o.dryRun {
		for _, x := range mutants {
			fmt.Println(x)
		}
		printTable(os.Stdout, count(mutants, true))
		return nil
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := hunted(ctx, o, m, dir, found, mutants, points); err != nil {
		return err
	}
	explained, err := m.explained()
	if err != nil {
		return err
	}
	stale := explain(mutants, explained)
	if o.since != "" || o.only != "" || o.again != "" || o.reach {
		stale = nil // not all of a file was looked at
	}
	list(os.Stdout, mutants)
	if o.reach {
		return nil // who else lives is not known
	}
	report(os.Stdout, mutants)
	for _, e := range stale {
		fmt.Printf("explained.txt:%d: no such mutant lives: %s\n", e.line, e.what)
	}
	if o.json != "" {
		return writeJSON(o.json, mutants)
	}
	return nil
}

// find finds the mutants of all sources, and those of them that are wanted; points is how many numbers they have.
func find(sources []*source, more bool, wanted func(*mutant) bool) (found []*finder, mutants []*mutant, points int) {
	next := uint32(0)
	for _, s := range sources {
		f := &finder{source: s, more: more, wanted: wanted, next: &next, edits: edits{source: s}}
		f.file()
		if len(f.mutants) > 0 {
			found = append(found, f)
			mutants = append(mutants, f.mutants...)
		}
	}
	return found, mutants, int(next)
}

// hunted has each mutant's status found out.
func hunted(ctx context.Context, o options, m module, dir string, found []*finder, mutants []*mutant, points int) error {
	overlay, err := instrument(dir, found)
	if err != nil {
		return err
	}
	programs, err := compile(m, dir, overlay, mutants)
	if err != nil {
		return err
	}
	workers := make([]*worker, o.workers)
	for i := range workers {
		if workers[i], err = newWorker(filepath.Join(dir, fmt.Sprintf("worker%d", i)), programs, points); err != nil {
			return err
		}
	}
	all, err := traceAll(ctx, workers[0], programs)
	if err != nil {
		return err
	}
	if o.reach {
		for _, x := range mutants {
			judge(all, x)
		}
		return nil
	}
	return killAll(ctx, workers, all, mutants)
}

// choice is which mutants are wanted.
func (o options) choice(m module) (func(*mutant) bool, error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return nil, err
	}
	var changed map[string][]lines
	if o.since != "" {
		if changed, err = changedSince(m, o.since); err != nil {
			return nil, err
		}
	}
	lived, err := o.lived(m)
	if err != nil {
		return nil, err
	}
	return func(x *mutant) bool {
		return only.MatchString(x.String()) && (lived == nil || lived[x.what()]) && (changed == nil || isIn(x.Line, changed[x.File]))
	}, nil
}

func isIn(line int, all []lines) bool {
	for _, l := range all {
		if l.from <= line && line < l.to {
			return true
		}
	}
	return false
}

// lived are the survivors of an earlier run that are not explained.
func (o options) lived(m module) (map[string]bool, error) {
	if o.again == "" {
		return nil, nil
	}
	content, err := os.ReadFile(o.again)
	if err != nil {
		return nil, err
	}
	var before []*mutant
	if err := json.Unmarshal(content, &before); err != nil {
		return nil, errors.Join(errors.New(o.again), err)
	}
	explained, err := m.explained()
	if err != nil {
		return nil, err
	}
	lived := map[string]bool{}
	for _, x := range before {
		if x.Status == survived || x.Status == notCovered {
			lived[x.what()] = true
		}
	}
	for _, e := range explained {
		delete(lived, e.what)
	}
	return lived, nil
}

func (m module) explained() ([]explanation, error) {
	return readExplained(filepath.Join(m.dir, "internal/mutants/explained.txt"))
}
