package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// explanation says why no test can tell a mutant. It stands in explained.txt as
//
//	FILE FUNCTION: BEFORE -> AFTER
//		why, on one or more lines that begin with a tab
//
// with the two texts as the tool prints them. It holds for all such changes in the function.
type explanation struct {
	what, why string
	line      int
}

func (m *mutant) what() string {
	return fmt.Sprintf("%s %s: %s -> %s", m.File, m.Function, m.Before, m.After)
}

func readExplained(path string) ([]explanation, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []explanation
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimRight(line, " \n")
		switch why, indented := strings.CutPrefix(line, "\t"); {
		case line == "" || strings.HasPrefix(line, "#"):
		case !indented:
			all = append(all, explanation{what: line, line: number})
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: there is no mutant that this explains", path, number)
		default:
			last := &all[len(all)-1]
			last.why = strings.TrimSpace(last.why + " " + why)
		}
	}
	for _, e := range all {
		if e.why == "" {
			return nil, fmt.Errorf("%s:%d: the reason is missing", path, e.line)
		}
	}
	return all, nil
}

// explain writes the reasons to the mutants that live. It returns the explanations that explain nothing any more:
// their mutants, of packages that were looked at as a whole, are dead or gone.
func explain(mutants []*mutant, all []explanation) (stale []explanation) {
	lives := map[string][]*mutant{}
	files := map[string]bool{}
	for _, m := range mutants {
		files[m.File] = true
		if m.Status == survived || m.Status == notCovered {
			lives[m.what()] = append(lives[m.what()], m)
		}
	}
	for _, e := range all {
		file, _, _ := strings.Cut(e.what, " ")
		for _, m := range lives[e.what] {
			m.Reason = e.why
		}
		if files[file] && len(lives[e.what]) == 0 {
			stale = append(stale, e)
		}
	}
	return slices.Clip(stale)
}
