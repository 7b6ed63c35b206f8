package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// tally is one line of the table.
type tally struct {
	name                                           string
	mutants, killed, timedOut, survived, uncovered int
	explained                                      int
}

func (t *tally) count(m *mutant) {
	t.mutants++
	switch m.Status {
	case killed:
		t.killed++
	case timedOut:
		t.timedOut++
	case survived:
		t.survived++
	case notCovered:
		t.uncovered++
	}
	if m.Reason != "" {
		t.explained++
	}
}

// score is how many of all mutants are dead, and how many are dead or explained.
func (t *tally) score() (dead, known string) {
	all := float64(t.mutants) / 100
	d := t.killed + t.timedOut
	return fmt.Sprintf("%.1f%%", float64(d)/all), fmt.Sprintf("%.1f%%", float64(d+t.explained)/all)
}

// count makes the table, one line a package, then all together, for the operators that count or for the others.
func count(mutants []*mutant, scored bool) []*tally {
	var table []*tally
	all := &tally{name: "all"}
	for _, m := range mutants {
		if m.scored() != scored {
			continue
		}
		i := slices.IndexFunc(table, func(t *tally) bool { return t.name == m.Package })
		if i < 0 {
			i = len(table)
			table = append(table, &tally{name: m.Package})
		}
		table[i].count(m)
		all.count(m)
	}
	if len(table) > 1 {
		table = append(table, all)
	}
	return table
}

func printTable(out io.Writer, table []*tally) {
	if len(table) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "package\tmutants\tkilled\ttimed out\tsurvived\tnot covered\tscore\texplained\twith these\t")
	for _, t := range table {
		dead, known := t.score()
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t\n", t.name, t.mutants, t.killed, t.timedOut, t.survived, t.uncovered, dead, t.explained, known)
	}
	w.Flush()
}

// list prints those that live and are not explained.
func list(out io.Writer, mutants []*mutant) {
	for _, m := range mutants {
		if m.Reason != "" || m.Status != survived && m.Status != notCovered {
			continue
		}
		note := string(m.Status)
		if m.Same {
			note += ", no test makes it differ"
		}
		fmt.Fprintf(out, "%s (%s)\n", m, note)
	}
}

// report prints the table.
func report(out io.Writer, mutants []*mutant) {
	printTable(out, count(mutants, true))
	if others := count(mutants, false); len(others) > 0 {
		fmt.Fprintln(out, "of other operators:")
		printTable(out, others)
	}
}

func writeJSON(path string, mutants []*mutant) error {
	content, err := json.MarshalIndent(mutants, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o666)
}
