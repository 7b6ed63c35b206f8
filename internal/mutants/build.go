package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suite is a package whose tests are run, and which of them.
type suite struct {
	dir       string
	only      string // of its tests, this one, whose subtests are tests of their own
	arguments []string
}

var rapid = []string{"-rapid.nofailfile"} // or what a mutant fails on would be tried again ever after

var (
	ofFormat   = suite{dir: "format"}
	ofDump     = suite{dir: "dump"}
	ofCheck    = suite{dir: "check"}
	ofRepair   = suite{dir: "repair"}
	ofStore    = suite{dir: "store", arguments: rapid}
	ofMerge    = suite{dir: "store/merge"}
	ofView     = suite{dir: "view", arguments: rapid}
	ofSnapshot = suite{dir: "snapshot"}
	scripts    = suite{dir: "cmd", only: "TestScripts"}
)

// tested says whose tests hold a package. Those of others have none but their own.
var tested = map[string][]suite{
	"format":                {ofFormat, ofDump, ofCheck},
	"check":                 {ofCheck, ofRepair},
	"repair":                {ofRepair},
	"store":                 {ofStore, ofMerge},
	"store/create":          {ofStore, ofMerge},
	"store/device":          {ofStore, ofMerge},
	"store/internal/header": {ofStore, ofMerge},
	"store/look":            {ofStore, ofMerge},
	"store/merge":           {ofStore, ofMerge},
	"store/save":            {ofStore, ofMerge},
	"store/undo":            {ofStore, ofMerge},
	"view":                  {ofView},
	"snapshot":              {ofSnapshot, scripts},
}

// usual are the packages that -since looks at.
var usual = []string{"format", "check", "repair", "store/...", "view", "lvm", "snapshot"}

func suitesOf(pkg string) []suite {
	if all, known := tested[pkg]; known {
		return all
	}
	return []suite{{dir: pkg}}
}

// program is the tests of a suite, compiled.
type program struct {
	suite
	path string // of the file
	dir  string // to run it in
}

// instrument writes the sources with their points into a directory, and what lays them over the true ones.
func instrument(dir string, found []*finder) (overlay string, err error) {
	replace := map[string]string{}
	for i, f := range found {
		path := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(f.path)))
		if err := os.WriteFile(path, []byte(f.edits.apply()), 0o666); err != nil {
			return "", err
		}
		replace[f.path] = path
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, content, 0o666)
}

// compile makes a program of each suite that the mutants need.
func compile(m module, dir, overlay string, mutants []*mutant) ([]*program, error) {
	var programs []*program
	for _, x := range mutants {
		for _, s := range suitesOf(x.Package) {
			if slices.ContainsFunc(programs, func(p *program) bool { return p.suite.dir == s.dir }) {
				continue
			}
			p := &program{suite: s, dir: filepath.Join(m.dir, s.dir)}
			p.path = filepath.Join(dir, strings.ReplaceAll(s.dir, "/", "-")+".test")
			command := exec.Command("go", "test", "-c", "-overlay", overlay, "-ldflags=-s -w", "-o", p.path, "./"+s.dir)
			command.Dir = m.dir
			if out, err := command.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%s: the instrumented code does not compile: %w\n%s", s.dir, err, out)
			}
			if _, err := os.Stat(p.path); errors.Is(err, os.ErrNotExist) {
				continue // it has no tests
			}
			programs = append(programs, p)
		}
	}
	return programs, nil
}
